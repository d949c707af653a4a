import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { inspect } from "node:util";
import { SandboxClient, SandkastenError, UnsupportedError } from "../src/index.js";
import { FakeDaemon, sendJson } from "./fake_daemon.js";

const before = { ...process.env };
afterEach(() => {
  process.env = { ...before };
});

test("the environment says where the daemon is, and options have the last word", async () => {
  await using fake = await FakeDaemon.start((response) => sendJson(response, 200, { status: "ok" }));
  process.env.SANDKASTEN_URL = `${fake.url}/`;
  process.env.SANDKASTEN_API_KEY = "of-the-environment";
  await new SandboxClient().health();
  await new SandboxClient({ apiKey: "given" }).health();
  await new SandboxClient({ baseUrl: fake.url.replace("http://", ""), apiKey: "" }).health();
  const keys = fake.seen.map(({ headers }) => headers.authorization);
  assert.deepEqual(keys, ["Bearer of-the-environment", "Bearer given", undefined]);
  delete process.env.SANDKASTEN_URL;
  assert.equal(new SandboxClient().baseUrl, "http://127.0.0.1:8080");
});

test("paths are appended to that of the address", () => {
  assert.equal(
    new SandboxClient({ baseUrl: "https://host.example/sandkasten/" }).baseUrl,
    "https://host.example/sandkasten",
  );
});

test("addresses that are none are refused by name", () => {
  for (const baseUrl of ["", "ftp://x", "http://", "http://x?y", "http://x#y", "nonsense words"]) {
    assert.throws(
      () => new SandboxClient({ baseUrl }),
      (error) => {
        return error instanceof SandkastenError && error.message.includes(JSON.stringify(baseUrl));
      },
    );
  }
  assert.throws(
    () => new SandboxClient({ baseUrl: "unix:/run/sandkasten.sock" }),
    (error) => {
      return error instanceof UnsupportedError && error.message.includes("@sandkasten/client/node");
    },
  );
});

test("a unix socket is an address where there is a fetch for it", () => {
  const { fetch } = globalThis;
  for (const baseUrl of ["unix:/run/a.sock", "unix:///run/a.sock"]) {
    assert.equal(new SandboxClient({ baseUrl, fetch }).baseUrl, "unix:/run/a.sock");
  }
  assert.throws(() => new SandboxClient({ baseUrl: "unix:a.sock", fetch }), SandkastenError);
});

test("passwords and keys are in no message, and no client shows its key", () => {
  assert.throws(
    () => new SandboxClient({ baseUrl: "http://me:hunter2@x" }),
    (error) => {
      return error instanceof SandkastenError && !error.message.includes("hunter2");
    },
  );
  for (const apiKey of ["hunter 2", "hunter2\r\nX: y", "hünter2"]) {
    assert.throws(
      () => new SandboxClient({ apiKey }),
      (error) => {
        return error instanceof SandkastenError && !error.message.includes("nter");
      },
    );
  }
  const client = new SandboxClient({ apiKey: "hunter2" });
  for (const shown of [inspect(client, { depth: 9, showHidden: true }), JSON.stringify(client), String(client)]) {
    assert(!shown.includes("hunter2"), shown);
  }
});
