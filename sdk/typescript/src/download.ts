// A body under way: a file or an archive.

import { SandkastenError, StreamError } from "./errors.js";
import type { OpenAnswer } from "./transport.js";

/** Bytes that come as they are read. Whoever does not read them to their end cancels them. */
export class Download implements AsyncDisposable {
  /** How many bytes there will be, where the daemon knows that beforehand. */
  readonly size: number | undefined;
  /** Tells one content of the file from another; undefined for archives. */
  readonly etag: string | undefined;
  readonly #answer: OpenAnswer;
  #isTaken = false;

  /** @internal */
  constructor(answer: OpenAnswer) {
    this.#answer = answer;
    const { headers } = answer.response;
    const length = headers.get("Content-Length");
    this.size = length === null ? undefined : Number(length);
    this.etag = headers.get("ETag") ?? undefined;
  }

  /** The bytes. What breaks off ends with a `StreamError`. Can be taken once. */
  get stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    if (this.#isTaken) throw new SandkastenError("the download is being read already");
    this.#isTaken = true;
    const { response, abort } = this.#answer;
    const reader = response.body?.getReader();
    return new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull: async (controller) => {
          try {
            const read = await reader?.read();
            if (read === undefined || read.done) {
              abort.close();
              controller.close();
            } else {
              controller.enqueue(read.value);
            }
          } catch (error) {
            abort.close();
            const reason = abort.explain(error, "the connection broke");
            const broken = new StreamError("the download broke off before its end", { cause: reason });
            controller.error(abort.signal.aborted ? reason : broken);
          }
        },
        cancel: () => this.cancel(),
      },
      // Nothing is read ahead of whom it is for.
      { highWaterMark: 0 },
    );
  }

  /** All of it. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await new Response(this.stream).arrayBuffer());
  }

  /** All of it as UTF-8. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes());
  }

  /** Ends it. */
  cancel(): void {
    this.#answer.abort.end();
    this.#answer.abort.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
  }
}
