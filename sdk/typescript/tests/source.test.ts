// What holds of the sources themselves.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { refusalError } from "../src/errors.js";
import { ApiError, isKnownApiError } from "../src/index.js";

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
