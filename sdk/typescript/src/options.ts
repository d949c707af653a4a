// What a client and a single request can be told, and where they take it from when they are not.

import { SandkastenError, UnsupportedError } from "./errors.js";
import type { WebSocketConstructor } from "./web_socket.js";

/** How a client reaches its daemon. */
export interface ClientOptions {
  /** `http://host:port`, perhaps with a path, or `unix:/path` with a `fetch` that can reach it. Absent: `SANDKASTEN_URL`, and without that `http://127.0.0.1:8080`. */
  baseUrl?: string;
  /** Absent: `SANDKASTEN_API_KEY`, and without that no key. */
  apiKey?: string;
  /** How long a plain request may take, its repetitions included, in milliseconds: 60,000 by default. */
  timeoutMs?: number;
  /** How often a request that may be repeated is repeated: 2 by default, 0 for never. */
  maxRetries?: number;
  /** In place of the runtime's own `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** In place of the runtime's own `WebSocket`; it has to take `{ headers }` as its second argument. */
  WebSocket?: WebSocketConstructor;
}

/** What holds for one request. */
export interface RequestOptions {
  /** Gives the request, or the stream that came of it, up. What it was aborted with is thrown. */
  signal?: AbortSignal;
  /** In place of the client's `timeoutMs`. For a stream it is the time until the stream begins. */
  timeoutMs?: number;
  /** The `X-Request-ID`, 1 to 128 printable ASCII characters without spaces; the daemon makes one up where there is none. */
  requestId?: string;
}

/** What holds for one request that makes something. */
export interface IdempotentOptions extends RequestOptions {
  /** 1 to 255 printable ASCII characters. The same key with the same body gets the same answer, and makes nothing again. */
  idempotencyKey?: string;
}

const DEFAULT_URL = "http://127.0.0.1:8080";
export const DEFAULT_TIMEOUT_MS = 60_000;
export const DEFAULT_RETRIES = 2;

/** A variable of the environment, where the runtime has one and lets it be read. */
export function environmentVariable(name: string): string | undefined {
  const runtime = globalThis as {
    process?: { env?: Record<string, string | undefined> };
    Deno?: { env?: { get(name: string): string | undefined } };
  };
  try {
    return runtime.process?.env?.[name] ?? runtime.Deno?.env?.get(name);
  } catch {
    // Deno asks for a permission. Without it, the caller says what it wants.
    return undefined;
  }
}

/** Where requests go. */
export interface Address {
  /** What paths of the API are appended to: without a slash at the end. */
  readonly url: string;
  /** The unix socket that the given `fetch` goes by, in the place of the host of the URL. */
  readonly socket: string | undefined;
}

/** The address of the daemon. A unix socket is one where there is a `fetch` that can reach it. */
export function resolveAddress({ baseUrl, fetch }: ClientOptions): Address {
  const text = baseUrl ?? (environmentVariable("SANDKASTEN_URL") || DEFAULT_URL);
  const malformed = () =>
    new SandkastenError(`${JSON.stringify(text)} is no address of a daemon: give http://host:port`);
  if (text.startsWith("unix:")) {
    if (fetch === undefined) {
      throw new UnsupportedError(
        `${JSON.stringify(text)} is a unix socket, which this runtime's fetch cannot reach: in Node, give the client ` +
          `unixSocketFetch(path) of "@sandkasten/client/node" as its fetch`,
      );
    }
    const socket = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    if (!socket.startsWith("/")) throw malformed();
    return { url: "http://localhost", socket };
  }
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `http://${text}`);
  } catch {
    throw malformed();
  }
  if (!["http:", "https:"].includes(url.protocol) || url.search !== "" || url.hash !== "") throw malformed();
  if (url.username !== "" || url.password !== "") {
    // The text stays out of the message: it has a password in it.
    throw new SandkastenError(
      "the address of the daemon has a user or a password in it; the API takes a key: give apiKey",
    );
  }
  return { url: `${url.origin}${url.pathname.replace(/\/+$/, "")}`, socket: undefined };
}

/** The key, which has to be fit for a header. */
export function resolveApiKey(given: string | undefined): string | undefined {
  const key = given ?? environmentVariable("SANDKASTEN_API_KEY");
  if (key === undefined || key === "") return undefined;
  if (!/^[!-~]+$/.test(key)) {
    throw new SandkastenError(
      "the API key has a space, a line end or a character beyond ASCII in it, which no key has",
    );
  }
  return key;
}
