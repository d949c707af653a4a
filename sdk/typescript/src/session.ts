// One session: its commands, processes, terminals and files, and its end.

import { SessionNotFoundError } from "./errors.js";
import { type Command, type ExecParameters, type ExecStream, execResult, runCommand, streamCommand } from "./exec.js";
import { Files } from "./files.js";
import type { IdempotentOptions, RequestOptions } from "./options.js";
import { Processes } from "./processes.js";
import type { ExecResult, Process, Session as SessionInfo, SessionStats, UpdateSessionRequest } from "./schema.js";
import { oneSessionMeaning, type SessionEventStream } from "./session_events.js";
import { Terminal, type TerminalParameters } from "./terminal.js";
import { segment, type Transport } from "./transport.js";
import type { WebSocketConstructor } from "./web_socket.js";

export type { SessionInfo };

/** A session of the daemon. With `await using` it is destroyed at the end of the block. */
export class Session implements AsyncDisposable {
  readonly id: string;
  /** Files below `/workspace`. */
  readonly files: Files;
  /** Processes that run beside the shells. */
  readonly processes: Processes;
  readonly #transport: Transport;
  readonly #webSocket: WebSocketConstructor | undefined;
  readonly #path: string;

  /** @internal */
  constructor(transport: Transport, webSocket: WebSocketConstructor | undefined, id: string) {
    this.#transport = transport;
    this.#webSocket = webSocket;
    this.#path = `/v1/sessions/${segment(id)}`;
    this.id = id;
    this.files = new Files(transport, this.#path);
    this.processes = new Processes(transport, this.#path);
  }

  /**
   * Runs a command in the session's persistent shell, or as `parameters` say, and waits for its end. A command that fails is no
   * error: see `exit_code`, `reason` and `hint`. One past its `timeout_ms` is a `CommandTimeoutError`, with the output so far.
   * An abort, or `timeoutMs` of the options, hangs up; the daemon ends the command then, unless it has an `idempotencyKey`.
   */
  exec(command: Command, parameters: ExecParameters = {}, options: IdempotentOptions = {}): Promise<ExecResult> {
    return runCommand(this.#transport, this.#path, command, parameters, options);
  }

  /** Runs a command and gives its output as it is written. Leaving the loop ends the command; `result` is how it ended. */
  execStream(command: Command, parameters: ExecParameters = {}, options: RequestOptions = {}): Promise<ExecStream> {
    return streamCommand(this.#transport, this.#path, command, parameters, options);
  }

  /**
   * The result of an exec by its id, also where its client has gone or the daemon was restarted meanwhile: `result`, or, where it
   * has not ended after `wait_ms` (0 by default), `process`. A timeout is thrown as `exec` throws it.
   */
  execResult(
    execId: string,
    parameters: { wait_ms?: number } = {},
    options: RequestOptions = {},
  ): Promise<{ result: ExecResult; process?: never } | { result?: never; process: Process }> {
    return execResult(this.#transport, this.#path, execId, parameters.wait_ms, options);
  }

  /** Ends an exec, and says how it ended. */
  cancel(execId: string, options: RequestOptions = {}): Promise<Process> {
    return this.processes.get(execId).stop(options);
  }

  /** Connects to a terminal of the session, which is started where there is none, or to one of its processes. */
  terminal(parameters: TerminalParameters = {}, options: RequestOptions = {}): Promise<Terminal> {
    return Terminal.connect(this.#transport, this.#webSocket, this.#path, parameters, options);
  }

  /** What the daemon says of the session, its isolation included. */
  info(options: RequestOptions = {}): Promise<SessionInfo> {
    return this.#transport.json<SessionInfo>({ method: "GET", path: this.#path, repeatable: true, options });
  }

  /** What the session uses at the moment. */
  stats(options: RequestOptions = {}): Promise<SessionStats> {
    return this.#transport.json<SessionStats>({
      method: "GET",
      path: `${this.#path}/stats`,
      repeatable: true,
      options,
    });
  }

  /** Changes what `changes` name: `labels` one by one, where null removes one; `name`; `ttl_seconds`, from now on. */
  update(changes: UpdateSessionRequest, options: RequestOptions = {}): Promise<SessionInfo> {
    return this.#transport.json<SessionInfo>({ method: "PATCH", path: this.#path, json: changes, options });
  }

  /** The state of the session, and each change, to its end. */
  events(options: RequestOptions = {}): Promise<SessionEventStream> {
    const call = { method: "GET", path: `${this.#path}/events`, repeatable: true, options } as const;
    return this.#transport.events(call, oneSessionMeaning);
  }

  /** Ends the session. When this returns, its processes are gone and its files unreachable. */
  destroy(options: RequestOptions = {}): Promise<void> {
    return this.#transport.remove({ method: "DELETE", path: this.#path, options });
  }

  /** Destroys the session, unless somebody has already. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.destroy();
    } catch (error) {
      if (!(error instanceof SessionNotFoundError)) throw error;
    }
  }
}
