// When a request is given up: its caller does not want it any more, its time is up, or the client was closed.

import { ClosedError, ConnectionError, RequestTimeoutError } from "./errors.js";

/** As long as timers of all runtimes can be; what is longer is for ever. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The signal for one request, and why it was given. */
export class Abort {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #open: Set<Abort>;
  readonly #deadline: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reason: Error | undefined;

  /** Begins now. `open` holds it until it is closed, so that closing a client ends what is under way. */
  constructor(open: Set<Abort>, caller: AbortSignal | undefined, timeoutMs: number | undefined) {
    this.#open = open;
    this.#caller = caller;
    open.add(this);
    this.#deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs;
    if (caller?.aborted) this.#controller.abort();
    caller?.addEventListener("abort", this.#follow);
    this.giveTime(timeoutMs, `no answer within ${timeoutMs} ms`);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** How much of the time is left, in milliseconds. */
  get remainingMs(): number {
    return this.#deadline - Date.now();
  }

  /** Gives the time from now on in place of what was left; undefined for any time. */
  giveTime(ms: number | undefined, message: string): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (ms !== undefined && ms <= LONGEST_TIMER_MS) {
      this.#timer = setTimeout(() => this.end(new RequestTimeoutError(message)), ms);
    }
  }

  /** Gives the request up. */
  end(reason: Error = new ClosedError("it was closed")): void {
    this.#reason ??= reason;
    this.#controller.abort();
  }

  /** Nothing is to be given up any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#follow);
    this.#open.delete(this);
  }

  /** What to throw for what `fetch` has thrown: the reason of an abort, or that the connection failed. */
  explain(error: unknown, what: string): unknown {
    if (this.#caller?.aborted) return this.#caller.reason;
    return this.#reason ?? new ConnectionError(`${what}: ${described(error)}`, { cause: error });
  }

  /** Throws what it was given up for, if it was. */
  check(): void {
    if (this.signal.aborted) throw this.explain(undefined, "it was given up");
  }

  /** Waits; ends early where it is given up, and throws why. */
  async pause(ms: number): Promise<void> {
    this.check();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      const stop = () => {
        clearTimeout(timer);
        resolve();
      };
      this.signal.addEventListener("abort", stop, { once: true });
    });
    this.check();
  }

  readonly #follow = (): void => this.#controller.abort();
}

/** What `fetch` says is "fetch failed"; what has failed is in its cause. */
function described(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  return `${error.message}: ${cause.message || code || cause.name}`;
}
