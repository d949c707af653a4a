// Terminals against a server that misbehaves.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import WebSocket, { WebSocketServer } from "ws";
import { SandboxClient, StreamError, type Terminal, UnexpectedAnswerError, UnsupportedError } from "../src/index.js";
import { unixSocketFetch } from "../src/node/index.js";

const ATTACHED = JSON.stringify({ type: "attached", process: { id: "0123456789abcdef" }, written: 0 });

/** A terminal of a server that sends this behind the first frame. */
async function against(serve: (socket: WebSocket) => void, body: (terminal: Terminal) => Promise<void>): Promise<void> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  try {
    await new Promise((resolve) => server.once("listening", resolve));
    server.on("connection", (socket, request) => {
      assert.equal(request.headers.authorization, "Bearer k");
      socket.send(ATTACHED);
      serve(socket);
    });
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const client = new SandboxClient({ baseUrl, apiKey: "k", WebSocket });
    await using terminal = await client.session("00000000-0000").terminal();
    await body(terminal);
  } finally {
    for (const socket of server.clients) socket.terminate();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("a terminal over a unix socket, by the package ws and by nothing else", async () => {
  const path = join(tmpdir(), `sandkasten-sdk-tty-${process.pid}.sock`);
  const listener = createServer();
  const server = new WebSocketServer({ server: listener });
  try {
    await new Promise<void>((resolve) => listener.listen(path, resolve));
    server.on("connection", (socket, request) => {
      socket.send(ATTACHED);
      socket.send(Buffer.from(`${request.url} ${request.headers.authorization}`));
      socket.send(JSON.stringify({ type: "exit", process: { id: "0123456789abcdef", exit_code: 0 } }));
      socket.close();
    });
    const options = { baseUrl: `unix:${path}`, fetch: unixSocketFetch(path), apiKey: "k" };
    const terminal = await new SandboxClient({ ...options, WebSocket })
      .session("00000000-0000")
      .terminal({ name: "t" });
    const { value } = await terminal.next();
    assert(value?.kind === "output");
    assert.equal(new TextDecoder().decode(value.bytes), "/v1/sessions/00000000-0000/tty?name=t Bearer k");
    // The runtime's own would go to whoever listens on this host.
    await assert.rejects(new SandboxClient(options).session("00000000-0000").terminal(), UnsupportedError);
  } finally {
    server.close();
    await new Promise((resolve) => listener.close(resolve));
  }
});

const drain = async (terminal: Terminal) => {
  for await (const _ of terminal);
};

test("a connection that closes before the exit is an error", async () => {
  await against(
    (socket) => socket.close(1000),
    async (terminal) => {
      await assert.rejects(drain(terminal), StreamError);
      assert.throws(() => terminal.write("x"), StreamError);
    },
  );
});

test("a text that is no JSON is an error", async () => {
  await against(
    (socket) => socket.send("{"),
    async (terminal) => assert.rejects(drain(terminal), UnexpectedAnswerError),
  );
});

test("bytes that nobody reads are held up to a bound, and the error says where to go on", async () => {
  await against(
    (socket) => {
      for (let count = 0; count < 17; count += 1) socket.send(Buffer.alloc(1 << 20));
    },
    async (terminal) => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      let end = 0;
      await assert.rejects(async () => {
        for await (const event of terminal) if (event.kind === "output") end = event.offset + event.bytes.length;
      }, /connect again with since/);
      assert.equal(end, 16 << 20);
    },
  );
});

test("offsets follow what the daemon says, of each stream", async () => {
  const frames = [
    "ab",
    { type: "stream", stream: "stderr" },
    "c",
    { type: "offset", offset: 70 },
    "d",
    { type: "stream", stream: "stdout" },
    "e",
  ];
  await against(
    (socket) => {
      for (const frame of frames) socket.send(typeof frame === "string" ? Buffer.from(frame) : JSON.stringify(frame));
      socket.send(JSON.stringify({ type: "unknown of a newer daemon" }));
      socket.send(JSON.stringify({ type: "exit", process: { id: "0123456789abcdef", exit_code: 7 } }));
      socket.close();
    },
    async (terminal) => {
      const seen: unknown[] = [];
      for await (const event of terminal) if (event.kind === "output") seen.push([event.stream, event.offset]);
      assert.deepEqual(seen, [
        ["stdout", 0],
        ["stderr", 0],
        ["stderr", 70],
        ["stdout", 2],
      ]);
      assert.equal(terminal.process.exit_code, 7);
    },
  );
});

test("a runtime without a WebSocket, and a browser with a key, are refused by name", async () => {
  const saved = { socket: globalThis.WebSocket, process: globalThis.process };
  const session = new SandboxClient({ baseUrl: "http://127.0.0.1:1", apiKey: "k" }).session("00000000-0000");
  try {
    Object.assign(globalThis, { WebSocket: undefined });
    await assert.rejects(
      session.terminal(),
      (error) => error instanceof UnsupportedError && error.message.includes("package ws"),
    );
    Object.assign(globalThis, { WebSocket });
    Object.defineProperty(globalThis, "process", { value: undefined, configurable: true, writable: true });
    const refused = session.terminal().then(
      () => undefined,
      (error: unknown) => error,
    );
    Object.defineProperty(globalThis, "process", { value: saved.process, configurable: true, writable: true });
    const error = await refused;
    assert(error instanceof UnsupportedError && error.message.includes("browser"), String(error));
  } finally {
    Object.assign(globalThis, { WebSocket: saved.socket });
    Object.defineProperty(globalThis, "process", { value: saved.process, configurable: true, writable: true });
  }
});
