// What holds of the sources themselves.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { Download } from "../src/download.js";
import { refusalError } from "../src/errors.js";
import { EventStream } from "../src/event_stream.js";
import { Files } from "../src/files.js";
import { Images } from "../src/images.js";
import * as index from "../src/index.js";
import { ApiError, isKnownApiError, SandboxClient } from "../src/index.js";
import { Processes, ProcessHandle } from "../src/processes.js";
import { Session } from "../src/session.js";
import { Terminal } from "../src/terminal.js";
import { Workspaces } from "../src/workspaces.js";

/** Compiled tests are in `build/tests`. */
const ROOT = join(import.meta.dirname, "..", "..");
const CONTRACT = join(ROOT, "..", "..", "docs", "contract");

test("the types are those of the API's document", async () => {
  // Fails, and says so, where what would be written is not what is there.
  await promisify(execFile)("npm", ["run", "--silent", "schema", "--", "--check"], { cwd: ROOT });
});

test("every code of the API has a class of its own, with that code", async () => {
  const page = await readFile(join(CONTRACT, "error-codes.md"), "utf8");
  const codes = [...page.matchAll(/^\| `([A-Z_]+)` \| \d+ \|$/gm)].map(([, code]) => code ?? "");
  assert(codes.length > 20, "the page has codes");
  const classes = new Set<unknown>();
  for (const code of codes) {
    const error = refusalError({ code, message: "x", status: 400, details: undefined, requestId: undefined });
    assert(isKnownApiError(error) && error.code === code && error.name !== "ApiError", code);
    assert.equal(
      Object.entries(index).find(([name]) => name === error.name)?.[1],
      error.constructor,
      `${error.name} is exported`,
    );
    classes.add(error.constructor);
  }
  assert.equal(classes.size, codes.length);
  const newer = refusalError({ code: "NEWER", message: "x", status: 400, details: undefined, requestId: undefined });
  assert(newer instanceof ApiError && !isKnownApiError(newer));
});

test("nothing but the entry for Node names Node, and there is no dependency", async () => {
  const sources = (await readdir(join(ROOT, "src"))).filter((name) => name.endsWith(".ts"));
  assert(sources.length > 10);
  for (const name of sources) {
    const text = await readFile(join(ROOT, "src", name), "utf8");
    for (const [, from] of text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
      assert.match(from ?? "", /^\.\/[a-z0-9_]+\.js$/, `${name} imports ${from}`);
    }
    assert.doesNotMatch(text, /\bBuffer\b|\brequire\s*\(/, name);
  }
  const { dependencies, peerDependencies } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  assert.deepEqual([dependencies, peerDependencies], [undefined, undefined]);
});

test("every public method is called against the real daemon", async () => {
  const classes = [
    SandboxClient,
    Session,
    Files,
    Processes,
    ProcessHandle,
    Workspaces,
    Images,
    Terminal,
    EventStream,
    Download,
  ];
  const directory = join(ROOT, "tests", "daemon");
  const sources = await Promise.all((await readdir(directory)).map((name) => readFile(join(directory, name), "utf8")));
  const text = sources.join("\n");
  for (const { name, prototype } of classes) {
    const methods = Object.getOwnPropertyNames(prototype).filter((method) => method !== "constructor");
    assert(methods.length > 1, name);
    // What a loop and the end of a block call goes without saying.
    for (const method of methods.filter((method) => method !== "return")) {
      assert.match(text, new RegExp(`\\.${method}\\b`), `${name}.${method} is in no test against the daemon`);
    }
  }
});
