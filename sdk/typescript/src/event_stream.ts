// A stream of events as an iterator: what an event means is its caller's affair, how a stream ends is this one's.

import type { Abort } from "./abort.js";
import { ClosedError, RequestTimeoutError, refusalError, StreamError } from "./errors.js";
import { EventParser, type ServerEvent } from "./event_parser.js";
import type { ErrorDetails } from "./schema.js";

/** How long nothing may come, a heartbeat included, of which the daemon sends one every 15 seconds. */
const LONGEST_SILENCE_MS = 60_000;

/** What an event comes to: an item, the end, both, or nothing, where it is of a newer daemon. */
export interface Meaning<Item, End> {
  item?: Item;
  end?: { readonly value: End };
}

/** Items of a stream, and the value that it ends with. Leaving a `for await` over it, or `close`, cancels the request. */
export class EventStream<Item, End = undefined> implements AsyncIterableIterator<Item, undefined>, AsyncDisposable {
  /** The head of the answer. */
  readonly headers: Headers;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #abort: Abort;
  readonly #interpret: (event: ServerEvent) => Meaning<Item, End>;
  readonly #parser = new EventParser();
  #events: ServerEvent[] = [];
  #end: { readonly value: End } | undefined;
  #failure: { readonly error: unknown } | undefined;
  #isLeft = false;

  /** @internal */
  constructor(response: Response, abort: Abort, interpret: (event: ServerEvent) => Meaning<Item, End>) {
    this.headers = response.headers;
    this.#reader = (response.body ?? new ReadableStream<Uint8Array>({ start: (body) => body.close() })).getReader();
    this.#abort = abort;
    this.#interpret = interpret;
    abort.giveTime(undefined, "");
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next item. Throws what the stream ended with where that is a failure, and `StreamError` where it broke off. */
  async next(): Promise<IteratorResult<Item, undefined>> {
    try {
      for (;;) {
        if (this.#end !== undefined || this.#isLeft) return { done: true, value: undefined };
        if (this.#failure !== undefined) throw this.#failure.error;
        const event = this.#events.shift();
        if (event === undefined) {
          await this.#read();
          continue;
        }
        const { item, end } = this.#interpret(event);
        if (end !== undefined) {
          this.#end = end;
          this.#hangUp();
        }
        if (item !== undefined) return { done: false, value: item };
      }
    } catch (error) {
      this.#failure ??= { error };
      this.close();
      throw this.#failure.error;
    }
  }

  /** Called where a loop is left. */
  async return(): Promise<IteratorResult<Item, undefined>> {
    this.#isLeft = true;
    this.close();
    return { done: true, value: undefined };
  }

  /** What the stream ends with. Items that nobody has taken yet are passed over. */
  async result(): Promise<End> {
    while ((await this.next()).done !== true);
    if (this.#end === undefined) throw new ClosedError("the stream was closed before its end");
    return this.#end.value;
  }

  /** Cancels the request, unless the stream has ended. */
  close(): void {
    this.#failure ??= { error: new ClosedError("the stream was closed") };
    this.#hangUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async #read(): Promise<void> {
    const silence = `nothing came for ${LONGEST_SILENCE_MS} ms, not even a heartbeat`;
    this.#abort.giveTime(LONGEST_SILENCE_MS, silence);
    let read: ReadableStreamReadResult<Uint8Array>;
    try {
      this.#abort.check();
      read = await this.#reader.read();
    } catch (error) {
      const reason = this.#abort.explain(error, "the connection broke");
      if (reason instanceof RequestTimeoutError) throw new StreamError(silence);
      // An abort is the caller's own, and thrown as it is.
      if (this.#abort.signal.aborted) throw reason;
      throw new StreamError("the stream broke off before its end", { cause: reason });
    } finally {
      this.#abort.giveTime(undefined, "");
    }
    if (read.done) throw new StreamError("the stream ended without its last event");
    this.#events.push(...this.#parser.feed(read.value));
  }

  #hangUp(): void {
    this.#events = [];
    this.#abort.end();
    this.#abort.close();
    // What becomes of a body that nobody wants any more is no matter.
    this.#reader.cancel().catch(() => {});
  }
}

/** The object that an event carries. */
export function eventData<T extends object>({ event, data }: ServerEvent): T {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new StreamError(`the data of an event ${JSON.stringify(event)} is no JSON`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new StreamError(`the data of an event ${JSON.stringify(event)} is no object`);
  }
  return value as T;
}

/** The error that an event `error` tells. */
export function eventFailure(event: ServerEvent, requestId: string | undefined): Error {
  const { error, error_code, ...details } = eventData<{ error?: string; error_code?: string } & ErrorDetails>(event);
  if (typeof error !== "string") return new StreamError("the stream ended with an error that says nothing");
  if (typeof error_code !== "string") return new StreamError(error);
  return refusalError({ code: error_code, message: error, status: undefined, details, requestId });
}
