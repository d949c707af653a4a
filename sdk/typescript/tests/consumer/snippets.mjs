// Writes each TypeScript block of the guide to a program of its own, or runs these programs and compares what they print.
//
//   node snippets.mjs write GUIDE DIRECTORY
//   node snippets.mjs run DIRECTORY
//
// A block that makes no client has the one of the first block, and a session of it. What a `console.log` prints stands behind it
// as a comment; `…` in it is anything. A block that begins with "```ts no-run" is compiled alone.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const CLIENT = `await using client = new SandboxClient();`;
const SESSION = `await using session = await client.createSession();`;

const [what, ...rest] = process.argv.slice(2);
if (what === "write") write(...rest);
else if (what === "run") run(...rest);
else throw new Error(`what is ${what}?`);

function write(guide, directory) {
  const blocks = [...readFileSync(guide, "utf8").matchAll(/^```ts( no-run)?\n(.*?)^```$/gms)];
  for (const [index, [, isCompiledOnly, text]] of blocks.entries()) {
    const imports = text.match(/^import .*;$/gm) ?? [];
    const body = text.replace(/^import .*;$/gm, "");
    const lines = [...imports];
    if (!/import \{[^}]*\bSandboxClient\b/.test(text))
      lines.push('import { SandboxClient } from "@sandkasten/client";');
    if (!/\bclient = /.test(text)) lines.push(CLIENT);
    if (/\bsession\b/.test(body) && !/\bsession = /.test(body)) lines.push(SESSION);
    writeFileSync(
      join(directory, `${isCompiledOnly ? "compiled" : "snippet"}_${String(index + 1).padStart(2, "0")}.ts`),
      `${lines.join("\n")}\n${body}\nexport {};\n`,
    );
  }
}

function run(directory) {
  const programs = readdirSync(directory).filter((name) => /^snippet_\d+\.js$/.test(name));
  if (programs.length === 0) throw new Error(`${directory} has no snippets`);
  for (const name of programs.sort()) {
    const source = readFileSync(join(directory, name.replace(/\.js$/, ".ts")), "utf8");
    const expected = [...source.matchAll(/console\.log\(.*\); +\/\/ (.*)$/gm)].map(([, text]) => text);
    const printed = execFileSync(process.execPath, ["--experimental-websocket", join(directory, name)], {
      timeout: 60_000,
    });
    const lines = printed
      .toString()
      .trimEnd()
      .split("\n")
      .filter((line) => line !== "");
    const pattern = (text) =>
      new RegExp(
        `^${text
          .split("…")
          .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
          .join(".*")}$`,
      );
    if (lines.length !== expected.length || !expected.every((text, index) => pattern(text).test(lines[index]))) {
      throw new Error(`${name} printed\n${lines.join("\n")}\nand the guide says\n${expected.join("\n")}`);
    }
    console.log(`${name}: ${lines.length} lines as the guide says`);
  }
  console.log(`snippets: ${programs.length}`);
}
