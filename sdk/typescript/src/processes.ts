// Processes that run beside the shells of a session.

import { bytesToBase64 } from "./base64.js";
import { type EventStream, eventData, eventFailure } from "./event_stream.js";
import { type Command, commandFields } from "./exec.js";
import type { RequestOptions } from "./options.js";
import type {
  LogChunk,
  Process,
  ProcessList,
  ProcessLogs,
  ProcessRequest,
  StreamName,
  TerminalSize,
} from "./schema.js";
import { segment, type Transport } from "./transport.js";

/** Everything that can be said of a process when it is started, beside its command. Names and units are those of the API. */
export type ProcessParameters = Omit<ProcessRequest, "cmd" | "argv">;

/** Which part of an output is wanted. */
export interface LogParameters {
  /** The first byte, 0 by default. What the daemon does not keep any more is left out. */
  since?: number;
  /** Which of two streams, where they are apart: `stdout` by default. */
  stream?: StreamName;
}

/** One answer waits at most this long for an end; `wait` asks again. */
const LONGEST_WAIT_MS = 60_000;

/** The processes and execs of one session. */
export class Processes {
  readonly #transport: Transport;
  readonly #path: string;

  /** @internal */
  constructor(transport: Transport, sessionPath: string) {
    this.#transport = transport;
    this.#path = `${sessionPath}/processes`;
  }

  /** Starts a process, which runs until it ends, whoever comes and goes. Not sent again where the connection fails. */
  async start(
    command: Command,
    parameters: ProcessParameters = {},
    options: RequestOptions = {},
  ): Promise<ProcessHandle> {
    const json = { ...parameters, ...commandFields(command) };
    const started = await this.#transport.json<Process>({ method: "POST", path: this.#path, json, options });
    return this.get(started.id);
  }

  /** Every process and every exec that the daemon knows of, ended ones too. */
  async list(options: RequestOptions = {}): Promise<Process[]> {
    const call = { method: "GET", path: this.#path, repeatable: true, options } as const;
    return (await this.#transport.json<ProcessList>(call)).processes;
  }

  /** A process or exec by its id. Nothing is asked of the daemon. */
  get(id: string): ProcessHandle {
    return new ProcessHandle(this.#transport, `${this.#path}/${segment(id)}`, id);
  }
}

/** One process, or one exec, of a session. */
export class ProcessHandle {
  readonly id: string;
  readonly #transport: Transport;
  readonly #path: string;

  /** @internal */
  constructor(transport: Transport, path: string, id: string) {
    this.#transport = transport;
    this.#path = path;
    this.id = id;
  }

  /** Where it is in its life, and how it ended. */
  info(options: RequestOptions = {}): Promise<Process> {
    return this.#transport.json<Process>({ method: "GET", path: this.#path, repeatable: true, options });
  }

  /** What is kept of its output, at most the last 1 MiB. `next_offset` is what to ask for next. */
  logs(parameters: LogParameters = {}, options: RequestOptions = {}): Promise<ProcessLogs> {
    const call = {
      method: "GET",
      path: `${this.#path}/logs`,
      query: { ...parameters },
      repeatable: true,
      options,
    } as const;
    return this.#transport.json<ProcessLogs>(call);
  }

  /** Its output as it is written, to its end; the result is how it ended. Leaving the loop does not end the process. */
  follow(parameters: LogParameters = {}, options: RequestOptions = {}): Promise<EventStream<LogChunk, Process>> {
    const query = { ...parameters, follow: true };
    return this.#transport.events<LogChunk, Process>(
      { method: "GET", path: `${this.#path}/logs`, query, repeatable: true, options },
      (event, requestId) => {
        if (event.event === "chunk") return { item: eventData<LogChunk>(event) };
        if (event.event === "done") return { end: { value: eventData<Process>(event) } };
        if (event.event === "error") throw eventFailure(event, requestId);
        return {};
      },
    );
  }

  /** Waits for its end, for as long as that takes, or for `timeoutMs` of the options, which is a `RequestTimeoutError`. */
  async wait(options: RequestOptions = {}): Promise<Process> {
    const deadline = options.timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + options.timeoutMs;
    for (;;) {
      const remaining = deadline - Date.now();
      const process = await this.#transport.json<Process>({
        method: "GET",
        path: `${this.#path}/wait`,
        query: { timeout_ms: LONGEST_WAIT_MS },
        repeatable: true,
        options: remaining === Number.POSITIVE_INFINITY ? options : { ...options, timeoutMs: Math.max(remaining, 0) },
        usualTimeoutMs: this.#transport.timeoutMs + LONGEST_WAIT_MS,
      });
      if (process.status === "ended") return process;
    }
  }

  /** Gives bytes to its standard input, at most 1 MiB of text at once. `close` ends the input behind them. */
  async write(
    input: string | Uint8Array,
    parameters: { close?: boolean } = {},
    options: RequestOptions = {},
  ): Promise<void> {
    const content = typeof input === "string" ? { text: input } : { content_base64: bytesToBase64(input) };
    await this.#post("stdin", { ...content, ...parameters }, options);
  }

  /** Ends its standard input. */
  async closeInput(options: RequestOptions = {}): Promise<void> {
    await this.#post("stdin", { close: true }, options);
  }

  /** Sends a signal, such as `TERM`, to everything that it has started. */
  async signal(signal: string, options: RequestOptions = {}): Promise<void> {
    await this.#post("signal", { signal }, options);
  }

  /** Tells its terminal a size, in characters. */
  async resize(size: TerminalSize, options: RequestOptions = {}): Promise<void> {
    await this.#post("resize", size, options);
  }

  /** Ends it with everything that it has started, and says how it ended. An exec is cancelled in the same way. */
  stop(options: RequestOptions = {}): Promise<Process> {
    return this.#transport.json<Process>({ method: "DELETE", path: this.#path, repeatable: true, options });
  }

  async #post(what: string, json: object, options: RequestOptions): Promise<void> {
    await this.#transport.json({ method: "POST", path: `${this.#path}/${what}`, json, options });
  }
}
