// What only Node can: a `fetch` over a unix socket. Nothing else of the library names Node.

import { request as httpRequest, type IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** The statuses whose answers have no body, which a `Response` insists on. */
const WITHOUT_BODY = [204, 205, 304];

/**
 * A `fetch` that reaches the daemon on this socket, whatever host the URL names. Give it to a client together with
 * the `baseUrl` `unix:/path`. Redirects are not followed, and answers have no time of their own: `timeoutMs` bounds them.
 */
export function unixSocketFetch(socketPath: string): typeof globalThis.fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const { pathname, search, host } = new URL(request.url);
    const sent = httpRequest({
      socketPath,
      path: pathname + search,
      method: request.method,
      headers: { ...Object.fromEntries(request.headers), host },
      signal: request.signal,
      // A socket for each request: one that is kept could have been closed by a daemon that was replaced.
      agent: false,
    });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      sent.once("response", resolve);
      // Stays, so that an abort after the head ends no program.
      sent.on("error", reject);
    });
    if (request.body === null) {
      sent.end();
    } else {
      // Where the daemon answers before it has read everything, the answer counts, and not that nobody reads on.
      pipeline(Readable.fromWeb(request.body as Parameters<typeof Readable.fromWeb>[0]), sent).catch(
        (error: unknown) => {
          sent.destroy(error instanceof Error ? error : undefined);
        },
      );
    }
    let answer: IncomingMessage;
    try {
      answer = await answered;
    } catch (cause) {
      if (request.signal.aborted) throw request.signal.reason;
      throw new TypeError(`fetch by ${socketPath} failed`, { cause });
    }
    return asResponse(answer);
  };
}

function asResponse(answer: IncomingMessage): Response {
  const headers = new Headers();
  for (let index = 0; index + 1 < answer.rawHeaders.length; index += 2) {
    headers.append(answer.rawHeaders[index] ?? "", answer.rawHeaders[index + 1] ?? "");
  }
  const status = answer.statusCode ?? 0;
  if (WITHOUT_BODY.includes(status)) answer.resume();
  const body = WITHOUT_BODY.includes(status) ? null : (Readable.toWeb(answer) as unknown as ReadableStream<Uint8Array>);
  return new Response(body, { status, headers });
}
