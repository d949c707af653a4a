// A stranger's program, which is only type-checked: with the types of a browser, and with those of Node alone.

import {
  type ExecResult,
  isKnownApiError,
  SandboxClient,
  type Session,
  type schema,
  type WebSocketConstructor,
} from "@sandkasten/client";

export async function sample(WebSocket: WebSocketConstructor, signal: AbortSignal): Promise<ExecResult | undefined> {
  await using client = new SandboxClient({
    baseUrl: "http://127.0.0.1:8080",
    apiKey: "k",
    timeoutMs: 5_000,
    WebSocket,
  });
  const session: Session = await client.createSession({ image: "host", labels: { a: "b" }, wait_ms: 0 }, { signal });
  for await (const { chunk, timestamp } of await session.execStream(["make", "-j2"])) chunk.concat(String(timestamp));
  const bytes: ReadableStream<Uint8Array> = (await session.files.download("a")).stream;
  await session.files.write("b", bytes, { mode: "0644" });
  const size: schema.TerminalSize = { rows: 24, cols: 80 };
  const terminal = await session.terminal({ name: "main", ...size });
  for await (const event of terminal) if (event.kind === "output") terminal.write(event.bytes);
  try {
    return await session.exec("make", { separate_output: true });
  } catch (error) {
    if (!isKnownApiError(error)) throw error;
    switch (error.code) {
      case "COMMAND_TIMEOUT":
        error.output.trim();
        return undefined;
      case "LIMIT_EXCEEDED":
        throw error;
    }
    // @ts-expect-error: there is no such code
    if (error.code === "NO_SUCH_CODE") return undefined;
  }
  // @ts-expect-error: fields of requests are checked
  return session.exec("make", { timeoutMs: 5 });
}
