// A daemon: its sessions, workspaces and images.

import { Images } from "./images.js";
import type { ClientOptions, IdempotentOptions, RequestOptions } from "./options.js";
import { newIdempotencyKey } from "./retry.js";
import type { CreateSessionRequest, Health, operations } from "./schema.js";
import { Session, type SessionInfo } from "./session.js";
import { anySessionMeaning, type SessionEventStream } from "./session_events.js";
import { Transport } from "./transport.js";
import type { WebSocketConstructor } from "./web_socket.js";
import { Workspaces } from "./workspaces.js";

/** What a session is to be, and how long to wait for a place, in milliseconds: 0 to 600,000. */
export type CreateParameters = CreateSessionRequest & { wait_ms?: number };

/** Which sessions are wanted. `limit` is how many come with one answer: all pages are fetched. */
export type SessionQuery = Omit<NonNullable<operations["list_sessions"]["parameters"]["query"]>, "cursor">;

/** Speaks to one daemon. Holds no connection by itself; `close` ends what is under way. */
export class SandboxClient implements AsyncDisposable {
  readonly workspaces: Workspaces;
  readonly images: Images;
  readonly #transport: Transport;
  readonly #webSocket: WebSocketConstructor | undefined;

  /** Asks nothing of the daemon yet. Throws where the address or the key cannot be one. */
  constructor(options: ClientOptions = {}) {
    this.#transport = new Transport(options);
    this.#webSocket = options.WebSocket;
    this.workspaces = new Workspaces(this.#transport);
    this.images = new Images(this.#transport);
  }

  /** Where the daemon is. */
  get baseUrl(): string {
    return this.#transport.baseUrl;
  }

  /** Answers as long as the daemon does; needs no key. */
  health(options: RequestOptions = {}): Promise<Health> {
    return this.#transport.json<Health>({ method: "GET", path: "/healthz", repeatable: true, options });
  }

  /** The OpenAPI document of this very daemon. */
  openapi(options: RequestOptions = {}): Promise<Record<string, unknown>> {
    return this.#transport.json({ method: "GET", path: "/openapi.json", repeatable: true, options });
  }

  /**
   * Makes a session, of the daemon's default image unless `image` says another one. It is sent again where the connection fails
   * or a 429 says when, with an idempotency key, so that there is one session in the end.
   */
  async createSession(parameters: CreateParameters = {}, options: IdempotentOptions = {}): Promise<Session> {
    const { wait_ms, ...json } = parameters;
    const info = await this.#transport.json<SessionInfo>({
      method: "POST",
      path: "/v1/sessions",
      query: { wait_ms },
      headers: { "Idempotency-Key": options.idempotencyKey ?? newIdempotencyKey() },
      json,
      repeatable: true,
      options,
      usualTimeoutMs: this.#transport.timeoutMs + (wait_ms ?? 0),
    });
    return this.session(info.id);
  }

  /** A session by its id. Nothing is asked of the daemon. */
  session(id: string): Session {
    return new Session(this.#transport, this.#webSocket, id);
  }

  /** The sessions that meet the query, oldest first; all live ones without it. */
  async listSessions(query: SessionQuery = {}, options: RequestOptions = {}): Promise<SessionInfo[]> {
    const sessions: SessionInfo[] = [];
    for await (const session of this.iterateSessions(query, options)) sessions.push(session);
    return sessions;
  }

  /** The same one by one, a page fetched when it is needed. Pages neither repeat nor miss what is there all the while. */
  async *iterateSessions(query: SessionQuery = {}, options: RequestOptions = {}): AsyncGenerator<SessionInfo, void> {
    let cursor: string | undefined;
    do {
      const { headers, value } = await this.#transport.answer<SessionInfo[]>({
        method: "GET",
        path: "/v1/sessions",
        query: { ...query, cursor },
        repeatable: true,
        options,
      });
      yield* value;
      cursor = nextCursor(headers);
    } while (cursor !== undefined);
  }

  /**
   * The present state of each live session, then each change. With the id of the last event seen, what was missed since then
   * comes first, as long as the same daemon remembers it.
   */
  events(parameters: { lastEventId?: string } = {}, options: RequestOptions = {}): Promise<SessionEventStream> {
    const { lastEventId } = parameters;
    const headers = lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId };
    const call = { method: "GET", path: "/v1/events", headers, repeatable: true, options } as const;
    return this.#transport.events(call, anySessionMeaning);
  }

  /** Gives up every request and stream that is under way. Sessions live on. */
  close(): void {
    this.#transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

/** The cursor of the page after this one, where the answer names one. */
function nextCursor(headers: Headers): string | undefined {
  const link = /<([^>]*)>\s*;\s*rel="next"/.exec(headers.get("Link") ?? "")?.[1];
  if (link === undefined) return undefined;
  // The address is relative to the API. Only its cursor is taken, so that no answer leads anywhere else.
  return new URLSearchParams(link.slice(link.indexOf("?") + 1)).get("cursor") ?? undefined;
}
