// A terminal of a session, or one of its processes, over a WebSocket.

import type { Abort } from "./abort.js";
import {
  ClosedError,
  ConnectionError,
  refusalError,
  StreamError,
  UnexpectedAnswerError,
  UnsupportedError,
} from "./errors.js";
import type { RequestOptions } from "./options.js";
import type { operations, Process, StreamName, TerminalSize } from "./schema.js";
import type { Transport } from "./transport.js";
import type { WebSocketConstructor, WebSocketLike } from "./web_socket.js";

/** Which terminal, and how it is looked at. */
export type TerminalParameters = NonNullable<operations["attach_terminal"]["parameters"]["query"]>;

/** What a terminal tells. */
export type TerminalEvent =
  | {
      kind: "output";
      bytes: Uint8Array<ArrayBuffer>;
      /** Which stream, where the process keeps two apart. */
      stream: StreamName;
      /** The place of the first of these bytes in that stream. */
      offset: number;
    }
  /** Something that was sent could not be taken; or, where the next call throws the same error, why the terminal is lost. */
  | { kind: "refused"; error: Error };

/** The most bytes of one frame that the daemon takes. */
const FRAME_BYTES = 64 << 10;
/** How much may wait for whoever reads: a WebSocket cannot be told to wait. */
const MOST_WAITING_BYTES = 16 << 20;
const OPEN = 1;

/** A text frame of the daemon. */
type Notice =
  | { type: "attached"; process: Process; written: number }
  | { type: "stream"; stream: StreamName }
  | { type: "offset"; offset: number }
  | { type: "exit"; process: Process }
  | { type: "error"; error: string; error_code: string };

/** A connection to a terminal, which goes on without it. Iterating gives what is written, to the end of its process. */
export class Terminal implements AsyncIterableIterator<TerminalEvent, undefined>, AsyncDisposable {
  readonly #socket: WebSocketLike;
  readonly #abort: Abort;
  readonly #waiting: TerminalEvent[] = [];
  #waitingBytes = 0;
  #wake: (() => void) | undefined;
  #stream: StreamName = "stdout";
  readonly #offsets: Record<StreamName, number>;
  #attached: Process | undefined;
  #ended: Process | undefined;
  #failure: Error | undefined;
  /** What the last frame complained of; undefined where it was another frame. */
  #refusal: Error | undefined;
  #complaint = "";
  #isClosed = false;

  private constructor(socket: WebSocketLike, abort: Abort, since: number) {
    this.#socket = socket;
    this.#abort = abort;
    this.#offsets = { stdout: since, stderr: since };
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.#take(data));
    socket.addEventListener("close", ({ code }) => this.#lose(code));
    // Whatever an error is, the connection is lost. Some runtimes say here, and here alone, why, and Node 20 closes nothing after it.
    socket.addEventListener("error", ({ message }) => {
      this.#complaint = typeof message === "string" ? message : "";
      this.#lose(1006);
    });
    abort.signal.addEventListener("abort", this.#giveUp, { once: true });
  }

  /** @internal */
  static async connect(
    transport: Transport,
    given: WebSocketConstructor | undefined,
    sessionPath: string,
    parameters: TerminalParameters,
    options: RequestOptions,
  ): Promise<Terminal> {
    const headers = transport.authorization();
    const WebSocket = given ?? ownWebSocket(transport.baseUrl, Object.keys(headers).length > 0);
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, String(value));
    const url = transport.webSocketUrl(`${sessionPath}/tty?${query}`);
    const abort = transport.begin(options);
    let socket: WebSocketLike | undefined;
    try {
      abort.check();
      if (options.requestId !== undefined) headers["X-Request-ID"] = options.requestId;
      socket = new WebSocket(url, { headers });
      const terminal = new Terminal(socket, abort, parameters.since ?? 0);
      await terminal.#attach();
      return terminal;
    } catch (error) {
      socket?.close();
      abort.close();
      abort.check();
      if (!(error instanceof ConnectionError)) throw error;
      // A WebSocket does not say why it was refused. A plain request does, where the session or the key is the reason.
      await transport.json({ method: "GET", path: sessionPath, repeatable: true, options });
      throw error;
    }
  }

  /** The process behind it: as it was when the connection was made, and once it has ended, how. */
  get process(): Process {
    const process = this.#ended ?? this.#attached;
    if (process === undefined) throw new ClosedError("the terminal was not connected");
    return process;
  }

  /** Types. Nothing waits for it to be taken. */
  write(input: string | Uint8Array): void {
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    for (let start = 0; start < bytes.length; start += FRAME_BYTES) {
      this.#send(Uint8Array.from(bytes.subarray(start, start + FRAME_BYTES)));
    }
  }

  /** The window has another size now, in characters. */
  resize({ rows, cols }: TerminalSize): void {
    this.#send(JSON.stringify({ type: "resize", rows, cols }));
  }

  /** Ends the standard input, behind all that was written; a terminal gets Ctrl-D. */
  closeInput(): void {
    this.#send(JSON.stringify({ type: "close_input" }));
  }

  /** Hangs up. The terminal lives on, and is found again by its name. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
    this.#abort.close();
    this.#socket.close();
    this.#wake?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** What is written next; done when the process has ended. Throws where the connection or the terminal was lost. */
  async next(): Promise<IteratorResult<TerminalEvent, undefined>> {
    for (;;) {
      if (this.#isClosed) return { done: true, value: undefined };
      const event = this.#waiting.shift();
      if (event !== undefined) {
        if (event.kind === "output") this.#waitingBytes -= event.bytes.length;
        return { done: false, value: event };
      }
      if (this.#ended !== undefined) return { done: true, value: undefined };
      if (this.#failure !== undefined) throw this.#failure;
      await this.#change();
    }
  }

  async return(): Promise<IteratorResult<TerminalEvent, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  /** Waits for the first frame. From then on there is time. */
  async #attach(): Promise<void> {
    while (this.#attached === undefined) {
      this.#abort.check();
      if (this.#failure !== undefined) {
        throw new ConnectionError(
          `the terminal could not be connected: ${this.#complaint || "the runtime does not say why"}`,
        );
      }
      await this.#change();
    }
    this.#abort.giveTime(undefined, "");
  }

  readonly #giveUp = (): void => {
    const reason = this.#abort.explain(undefined, "the terminal was given up");
    this.#fail(reason instanceof Error ? reason : new ClosedError("the terminal was given up", { cause: reason }));
    this.#wake?.();
  };

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #take(data: unknown): void {
    if (this.#failure !== undefined) return;
    this.#refusal = undefined;
    if (data instanceof ArrayBuffer) this.#takeOutput(new Uint8Array(data));
    else this.#takeNotice(String(data));
    this.#wake?.();
  }

  #takeOutput(bytes: Uint8Array<ArrayBuffer>): void {
    const offset = this.#offsets[this.#stream];
    this.#offsets[this.#stream] += bytes.length;
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > MOST_WAITING_BYTES) {
      this.#fail(
        new StreamError(
          `more than ${MOST_WAITING_BYTES} bytes wait to be read; connect again with since: the next offset`,
        ),
      );
      return;
    }
    this.#waiting.push({ kind: "output", bytes, stream: this.#stream, offset });
  }

  #takeNotice(text: string): void {
    let notice: Notice;
    try {
      notice = JSON.parse(text) as Notice;
    } catch (cause) {
      this.#fail(new UnexpectedAnswerError(101, "the terminal sent a text that is no JSON", { cause }));
      return;
    }
    switch (notice.type) {
      case "attached":
        this.#attached = notice.process;
        break;
      case "stream":
        this.#stream = notice.stream;
        break;
      case "offset":
        this.#offsets[this.#stream] = notice.offset;
        break;
      case "exit":
        this.#ended = notice.process;
        break;
      case "error": {
        const refusal = { code: notice.error_code, message: notice.error, status: undefined };
        this.#refusal = refusalError({ ...refusal, details: undefined, requestId: undefined });
        this.#waiting.push({ kind: "refused", error: this.#refusal });
      }
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#socket.close();
  }

  #lose(code: number): void {
    this.#abort.close();
    this.#failure ??=
      this.#refusal ??
      new StreamError(`the connection to the terminal was closed with code ${code}, before its process ended`);
    this.#wake?.();
  }

  #send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#isClosed) throw new ClosedError("the terminal was closed");
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#socket.readyState !== OPEN) throw new StreamError("the connection to the terminal is closed");
    this.#socket.send(data);
  }
}

/** The runtime's own WebSocket. With a key, only one of a runtime that sends headers with it will do. */
function ownWebSocket(baseUrl: string, hasKey: boolean): WebSocketConstructor {
  const runtime = globalThis as { WebSocket?: unknown; process?: { versions?: object }; Deno?: object };
  if (typeof runtime.WebSocket !== "function") {
    throw new UnsupportedError(
      "this runtime has no WebSocket of its own: give one to the client, such as that of the package ws: " +
        "new SandboxClient({ WebSocket })",
    );
  }
  if (baseUrl.startsWith("unix:")) {
    throw new UnsupportedError(
      `the runtime's own WebSocket cannot reach ${baseUrl}: give the client that of the package ws, which can`,
    );
  }
  if (hasKey && runtime.process?.versions === undefined && runtime.Deno === undefined) {
    throw new UnsupportedError(
      "the WebSocket of a browser cannot send the API key, and the daemon takes it from nowhere else: connect to terminals " +
        "from a server, or by a proxy that adds the key",
    );
  }
  return runtime.WebSocket as unknown as WebSocketConstructor;
}
