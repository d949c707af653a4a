// Commands of a session: what a request may say, and the stream of one that runs.

import type { ServerEvent } from "./event_parser.js";
import { type EventStream, eventData, eventFailure, type Meaning } from "./event_stream.js";
import type { IdempotentOptions, RequestOptions } from "./options.js";
import type { ExecChunk, ExecDone, ExecRequest, ExecResult, Process } from "./schema.js";
import { type Call, segment, type Transport } from "./transport.js";

/** Shell text, or a program and its arguments, which are executed without a shell. */
export type Command = string | readonly string[];

/** Everything that can be said of a command, beside itself. Names and units are those of the API. */
export type ExecParameters = Omit<ExecRequest, "cmd" | "argv">;

/** Chunks of a command's output as it writes them, then how it ended. */
export type ExecStream = EventStream<ExecChunk, ExecDone> & {
  /** What the command is called: `execResult` and `cancel` take it. */
  readonly execId: string;
};

/** The command as a request has it. */
export function commandFields(command: Command): { cmd: string } | { argv: string[] } {
  return typeof command === "string" ? { cmd: command } : { argv: [...command] };
}

/** Runs a command to its end. It is never sent twice by itself: nobody could tell what doing it again does. */
export function runCommand(
  transport: Transport,
  path: string,
  command: Command,
  parameters: ExecParameters,
  options: IdempotentOptions,
): Promise<ExecResult> {
  const { idempotencyKey } = options;
  const headers = idempotencyKey === undefined ? undefined : { "Idempotency-Key": idempotencyKey };
  return transport.json<ExecResult>({ ...execCall(`${path}/exec`, command, parameters, options), headers });
}

export async function streamCommand(
  transport: Transport,
  path: string,
  command: Command,
  parameters: ExecParameters,
  options: RequestOptions,
): Promise<ExecStream> {
  const stream = await transport.events(execCall(`${path}/exec/stream`, command, parameters, options), meaning);
  return Object.assign(stream, { execId: stream.headers.get("X-Exec-ID") ?? "" });
}

/** The result of an exec that has ended, and the exec itself while it has not. */
export async function execResult(
  transport: Transport,
  path: string,
  execId: string,
  waitMs: number | undefined,
  options: RequestOptions,
): Promise<{ result: ExecResult; process?: never } | { result?: never; process: Process }> {
  const answer = await transport.answer<ExecResult | Process>({
    method: "GET",
    path: `${path}/exec/${segment(execId)}`,
    query: { wait_ms: waitMs },
    repeatable: true,
    options,
    usualTimeoutMs: transport.timeoutMs + (waitMs ?? 0),
  });
  return answer.status === 202 ? { process: answer.value as Process } : { result: answer.value as ExecResult };
}

function execCall(path: string, command: Command, parameters: ExecParameters, options: RequestOptions): Call {
  // A command takes as long as it takes: the daemon ends it at `timeout_ms`, or at its own limit.
  return { method: "POST", path, json: { ...parameters, ...commandFields(command) }, options, usualTimeoutMs: null };
}

function meaning(event: ServerEvent, requestId: string | undefined): Meaning<ExecChunk, ExecDone> {
  switch (event.event) {
    case "chunk":
      return { item: eventData<ExecChunk>(event) };
    case "done":
      return { end: { value: eventData<ExecDone>(event) } };
    case "error":
      throw eventFailure(event, requestId);
    default:
      return {};
  }
}
