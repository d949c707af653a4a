// Server-Sent Events: from bytes, cut anywhere, to events. Knows nothing of requests.

import { StreamError } from "./errors.js";

/** One event of a stream. */
export interface ServerEvent {
  /** `message` where the stream does not say. */
  readonly event: string;
  readonly data: string;
  /** The last id that the stream has given, this event's or an earlier one's; empty where there was none. */
  readonly id: string;
}

/** The most characters of one event: outputs come in chunks of at most 1 MiB, and this is what JSON may make of that. */
const MOST_CHARACTERS = 16 << 20;

/** Takes a stream piece by piece. */
export class EventParser {
  readonly #decoder = new TextDecoder();
  /** The line that has not ended yet, in pieces, so that a long one is not copied for each of them. */
  #line: string[] = [];
  #lineLength = 0;
  #afterCarriageReturn = false;
  #event = "";
  #data: string[] = [];
  #dataLength = 0;
  #id = "";

  /** Returns the events that end in this piece. Throws `StreamError` where one is too long. */
  feed(piece: Uint8Array): ServerEvent[] {
    let text = this.#decoder.decode(piece, { stream: true });
    if (text === "") return [];
    // A line feed that belongs to a carriage return of the piece before ends no second line.
    if (this.#afterCarriageReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterCarriageReturn = text.endsWith("\r");
    const events: ServerEvent[] = [];
    const lines = text.split(/\r\n|\n|\r/);
    const rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = this.#take(this.#line.join("") + line);
      this.#line = [];
      this.#lineLength = 0;
      if (event !== undefined) events.push(event);
    }
    this.#line.push(rest);
    this.#lineLength += rest.length;
    if (this.#lineLength + this.#dataLength > MOST_CHARACTERS) {
      throw new StreamError(`an event of the stream is longer than ${MOST_CHARACTERS} characters`);
    }
    return events;
  }

  /** Takes a line; an empty one ends an event. */
  #take(line: string): ServerEvent | undefined {
    if (line === "") return this.#finish();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line.startsWith(" ", colon + 1) ? colon + 2 : colon + 1);
    if (field === "event") {
      this.#event = value;
    } else if (field === "data") {
      this.#data.push(value);
      this.#dataLength += value.length;
    } else if (field === "id" && !value.includes("\0")) {
      this.#id = value;
    }
    return undefined;
  }

  #finish(): ServerEvent | undefined {
    const event = { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id };
    const hasData = this.#data.length > 0;
    this.#event = "";
    this.#data = [];
    this.#dataLength = 0;
    return hasData ? event : undefined;
  }
}
