import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";
import {
  ConnectionError,
  SandboxClient,
  type Session,
  SessionNotFoundError,
  SessionNotRunningError,
  type Terminal,
  UnauthorizedError,
} from "../../src/index.js";
import { withSession } from "./real_daemon.js";

async function readUntil(terminal: Terminal, text: string): Promise<string> {
  const decoder = new TextDecoder();
  let seen = "";
  while (!seen.includes(text)) {
    const { value } = await terminal.next();
    if (value === undefined) break;
    if (value.kind === "output") seen += decoder.decode(value.bytes, { stream: true });
  }
  return seen;
}

async function useTerminal(session: Session): Promise<void> {
  const terminal = await session.terminal({ name: "t", rows: 11, cols: 22 });
  assert.equal(terminal.process.kind, "terminal");
  terminal.write("stty size; x=1\n");
  await readUntil(terminal, "11 22");
  terminal.resize({ rows: 33, cols: 44 });
  terminal.write("stty size\n");
  await readUntil(terminal, "33 44");
  // Nobody sees what is beyond these bounds; the terminal says so, and goes on.
  terminal.resize({ rows: 0, cols: 0 });
  for await (const event of terminal) if (event.kind === "refused") break;
  assert.throws(() => terminal.write("x"), { name: "ClosedError" });

  await using again = await session.terminal({ name: "t" });
  await using viewer = await session.terminal({ process: again.process.id, view: true });
  again.write(`echo x is $x; : ${"y".repeat(100_000)}\n`);
  await readUntil(again, "x is 1");
  again.write("exit 3\n");
  for await (const _ of again);
  assert.deepEqual([again.process.exit_code, again.process.status], [3, "ended"]);
  for await (const _ of viewer);
  assert.equal(viewer.process.exit_code, 3);
}

test("a terminal over the runtime's own WebSocket", async () => {
  await withSession(useTerminal);
});

test("a terminal over the package ws", async () => {
  await withSession(async ({ id }) => useTerminal(new SandboxClient({ WebSocket }).session(id)));
});

test("a process is attached to, its streams apart, with the offsets of what is wanted", async () => {
  await withSession(async (session) => {
    const process = await session.processes.start("printf 0123; cat; printf err >&2", {
      stdin: true,
      separate_output: true,
    });
    const terminal = await session.terminal({ process: process.id, since: 2 });
    terminal.write("45");
    terminal.closeInput();
    const text = { stdout: "", stderr: "" };
    const offsets: number[] = [];
    for await (const event of terminal) {
      assert(event.kind === "output");
      text[event.stream] += new TextDecoder().decode(event.bytes);
      if (event.stream === "stdout") offsets.push(event.offset);
    }
    assert.equal(text.stdout, "2345");
    assert.equal(offsets[0], 2);
    assert(text.stderr.endsWith("r"));
  });
});

test("what cannot be connected has the daemon's reason, where a plain request tells it", async () => {
  await withSession(async (session) => {
    for (const options of [{}, { WebSocket }]) {
      const client = new SandboxClient(options);
      await assert.rejects(client.session("00000000-0000").terminal(), SessionNotFoundError);
      await assert.rejects(
        new SandboxClient({ ...options, apiKey: "wrong" }).session(session.id).terminal(),
        UnauthorizedError,
      );
      // Why a process is not attached to is told to no WebSocket.
      await assert.rejects(client.session(session.id).terminal({ process: "0123456789abcdef" }), ConnectionError);
    }
  });
});

test("a session that ends takes its terminals along, and the error says so", async () => {
  await withSession(async (session) => {
    const terminal = await session.terminal();
    await session.destroy();
    await assert.rejects(async () => {
      for await (const _ of terminal);
    }, SessionNotRunningError);
  });
});

test("closing the client closes its terminals", async () => {
  await withSession(async ({ id }) => {
    const client = new SandboxClient();
    const terminal = await client.session(id).terminal();
    await readUntil(terminal, "$");
    client.close();
    await assert.rejects(
      async () => {
        for await (const _ of terminal);
      },
      { name: "ClosedError" },
    );
  });
});
