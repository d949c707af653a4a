// Requests and answers of the API: the key, time, repetitions, and errors. Knows no single route.

import { Abort } from "./abort.js";
import { ClosedError, ConnectionError, refusalError, UnexpectedAnswerError, UnsupportedError } from "./errors.js";
import type { ServerEvent } from "./event_parser.js";
import { EventStream, type Meaning } from "./event_stream.js";
import type { Address, ClientOptions, RequestOptions } from "./options.js";
import { DEFAULT_RETRIES, DEFAULT_TIMEOUT_MS, resolveAddress, resolveApiKey } from "./options.js";
import { backoffMs, LONGEST_PAUSE_MS, retryAfterMs } from "./retry.js";

/** Parameters of a query; a list is a parameter that is given several times, and undefined is none. */
export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

/** What a request can carry beside JSON. */
export type Body = string | Uint8Array<ArrayBuffer> | Blob | FormData | ReadableStream<Uint8Array>;

/** One request. */
export interface Call {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  query?: Query | undefined;
  headers?: Record<string, string> | undefined;
  /** An object that is sent as JSON. */
  json?: object | undefined;
  body?: Body | undefined;
  /** Whether carrying it out twice is the same as once, so that it may be sent again when nobody knows whether it arrived. */
  repeatable?: boolean;
  options?: RequestOptions | undefined;
  /** Where `options` say nothing: the time it may take, null for any time; absent is the client's. */
  usualTimeoutMs?: number | null;
}

/** An answer whose body was read. */
export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly value: T;
}

/** A body under way. Whoever holds it closes the abort when it is done. */
export interface OpenAnswer {
  readonly response: Response;
  readonly abort: Abort;
}

/** One error answer is not worth more memory than this; the output of a command that ran past its timeout fits in. */
const MOST_ERROR_BYTES = 16 << 20;

export class Transport {
  readonly #address: Address;
  readonly #apiKey: string | undefined;
  readonly #fetch: typeof globalThis.fetch;
  readonly #timeoutMs: number;
  readonly #maxRetries: number;
  readonly #open = new Set<Abort>();
  #closed = false;

  constructor(options: ClientOptions) {
    this.#address = resolveAddress(options);
    this.#apiKey = resolveApiKey(options.apiKey);
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#maxRetries = options.maxRetries ?? DEFAULT_RETRIES;
    const fetch = options.fetch ?? globalThis.fetch;
    if (typeof fetch !== "function") throw new UnsupportedError("this runtime has no fetch: give one");
    // Called by itself: a browser's fetch refuses to be a method of anything else.
    this.#fetch = (input, init) => fetch(input, init);
  }

  /** Where the daemon is, as its user would say it. */
  get baseUrl(): string {
    const { url, socket } = this.#address;
    return socket === undefined ? url : `unix:${socket}`;
  }

  /** Where a WebSocket of this path is. One of a unix socket is in the form that the package `ws` takes. */
  webSocketUrl(path: string): string {
    const { url, socket } = this.#address;
    return socket === undefined ? url.replace(/^http/, "ws") + path : `ws+unix:${socket}:${path}`;
  }

  get timeoutMs(): number {
    return this.#timeoutMs;
  }

  /** The headers that tell who the client is. */
  authorization(): Record<string, string> {
    return this.#apiKey === undefined ? {} : { Authorization: `Bearer ${this.#apiKey}` };
  }

  /** Sends a request and reads the object, or the array, that it is answered with. */
  async json<T extends object>(call: Call): Promise<T> {
    return (await this.answer<T>(call)).value;
  }

  async answer<T extends object>(call: Call): Promise<Answer<T>> {
    return this.#attempt(call, async ({ response, abort }) => {
      try {
        return { status: response.status, headers: response.headers, value: await readJson<T>(response, abort) };
      } finally {
        abort.close();
      }
    });
  }

  /** Sends a request that ends something. That it is gone already when it is sent once more is what was wanted. */
  async remove(call: Call): Promise<void> {
    let attempts = 0;
    await this.#attempt(
      { ...call, repeatable: true },
      async ({ response, abort }) => {
        try {
          await readJson<object>(response, abort);
        } finally {
          abort.close();
        }
      },
      (status) => status === 404 && attempts > 1,
      () => {
        attempts += 1;
      },
    );
  }

  /** Sends a request and leaves the body to the caller, with as much time as it takes. */
  async open(call: Call): Promise<OpenAnswer> {
    return this.#attempt(call, async (answer) => {
      answer.abort.giveTime(undefined, "");
      return answer;
    });
  }

  /** Sends a request that is answered with a stream of events. */
  async events<Item, End>(
    call: Call,
    interpret: (event: ServerEvent, requestId: string | undefined) => Meaning<Item, End>,
  ): Promise<EventStream<Item, End>> {
    const headers = { ...call.headers, Accept: "text/event-stream" };
    const { response, abort } = await this.open({ ...call, headers });
    const type = response.headers.get("Content-Type") ?? "";
    if (!type.startsWith("text/event-stream")) {
      abort.end();
      abort.close();
      throw new UnexpectedAnswerError(response.status, `expected a stream of events, and got ${JSON.stringify(type)}`);
    }
    const requestId = response.headers.get("X-Request-ID") ?? undefined;
    return new EventStream(response, abort, (event) => interpret(event, requestId));
  }

  /** What is given up with its caller's signal, after the time, and with the client. */
  begin(options: RequestOptions, usualTimeoutMs: number | undefined = this.#timeoutMs): Abort {
    if (this.#closed) throw new ClosedError("the client was closed");
    return new Abort(this.#open, options.signal, options.timeoutMs ?? usualTimeoutMs);
  }

  /** Gives up what is under way, and refuses what comes. */
  close(): void {
    this.#closed = true;
    for (const abort of [...this.#open]) abort.end(new ClosedError("the client was closed"));
  }

  async #attempt<T>(
    call: Call,
    consume: (answer: OpenAnswer) => Promise<T>,
    isDone: (status: number) => boolean = () => false,
    begin: () => void = () => {},
  ): Promise<T> {
    const usual =
      call.usualTimeoutMs === undefined ? this.#timeoutMs : (call.usualTimeoutMs ?? Number.POSITIVE_INFINITY);
    const abort = this.begin(call.options ?? {}, usual);
    // Made outside of what is repeated: a header that cannot be sent is the caller's mistake, not the connection's.
    const request = this.#request(call, abort);
    try {
      for (let repetition = 0; ; repetition += 1) {
        abort.check();
        begin();
        const mayRepeat = call.repeatable === true && repetition < this.#maxRetries;
        let pauseMs: number | undefined;
        try {
          const response = await this.#send(request, abort);
          if (response.ok || isDone(response.status)) return await consume({ response, abort });
          pauseMs = mayRepeat && response.status === 429 ? retryAfterMs(response.headers, Date.now()) : undefined;
          if (pauseMs === undefined || pauseMs >= abort.remainingMs) throw await refused(response, abort);
          await response.body?.cancel();
        } catch (error) {
          if (!mayRepeat || !(error instanceof ConnectionError)) throw error;
          pauseMs = backoffMs(repetition);
        }
        await abort.pause(Math.min(pauseMs, LONGEST_PAUSE_MS));
      }
    } catch (error) {
      abort.close();
      throw error;
    }
  }

  #request(
    { method, path, query, headers, json, body, options }: Call,
    abort: Abort,
  ): { url: string; init: RequestInit } {
    const all = new Headers({ Accept: "application/json", ...headers, ...this.authorization() });
    if (options?.requestId !== undefined) all.set("X-Request-ID", options.requestId);
    // Redirects are not followed: the daemon sends none, and the key is for nobody else.
    const init: RequestInit & { duplex?: "half" } = { method, headers: all, signal: abort.signal, redirect: "manual" };
    if (json !== undefined) {
      all.set("Content-Type", "application/json");
      init.body = JSON.stringify(json);
    } else if (body !== undefined) {
      init.body = body;
      if (body instanceof ReadableStream) init.duplex = "half";
    }
    return { url: this.#address.url + path + queryText(query), init };
  }

  async #send({ url, init }: { url: string; init: RequestInit }, abort: Abort): Promise<Response> {
    try {
      return await this.#fetch(url, init);
    } catch (error) {
      throw abort.explain(error, `no connection to ${this.baseUrl}`);
    }
  }
}

/** A part of a path: what has a slash, a dot or anything else in it stays one part. */
export function segment(name: string): string {
  if (name === "" || name === "." || name === "..") {
    throw new UnsupportedError(`${JSON.stringify(name)} is no name that a path of the API can have`);
  }
  return encodeURIComponent(name);
}

function queryText(query: Query | undefined): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined || value === null) continue;
    if (typeof value === "object") for (const one of value) parameters.append(name, one);
    else parameters.append(name, String(value));
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

async function readJson<T extends object>(response: Response, abort: Abort): Promise<T> {
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    throw abort.explain(error, "the answer broke off");
  }
  const value = parsed(text);
  if (typeof value !== "object" || value === null) {
    throw new UnexpectedAnswerError(response.status, `expected an object of JSON, and got ${beginning(text)}`);
  }
  return value as T;
}

/** The error of an answer that is no success. */
async function refused(response: Response, abort: Abort): Promise<Error> {
  const text = await readBounded(response);
  // A body that was given up in the middle is no reason; why it was given up is.
  abort.check();
  const { status } = response;
  const body = parsed(text);
  if (isErrorBody(body)) {
    const requestId = response.headers.get("X-Request-ID") ?? undefined;
    return refusalError({
      code: body.error_code,
      message: body.message,
      status,
      details: body.details ?? undefined,
      requestId,
    });
  }
  return new UnexpectedAnswerError(status, `status ${status} without an error of the API: ${beginning(text)}`);
}

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  let text = "";
  try {
    while (reader !== undefined && text.length < MOST_ERROR_BYTES) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    await reader?.cancel();
  } catch {
    // What came is all there is to say; that it is cut off shows.
  }
  return text;
}

function isErrorBody(body: unknown): body is { error_code: string; message: string; details?: object | null } {
  if (typeof body !== "object" || body === null) return false;
  const { error_code, message, details } = body as Record<string, unknown>;
  return (
    typeof error_code === "string" && typeof message === "string" && (details == null || typeof details === "object")
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function beginning(text: string): string {
  if (text === "") return "nothing";
  return text.length <= 200 ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, 200))} and more`;
}
