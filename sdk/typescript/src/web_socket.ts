// What this library needs of a WebSocket, so that the runtime's own one, and that of the package `ws`, will do.

/** The part of a WebSocket that a terminal uses. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "error", listener: (event: { message?: unknown }) => void): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { code: number; reason: string }) => void): void;
}

/** Makes a WebSocket that sends these headers with its handshake. */
export type WebSocketConstructor = new (url: string, init: { headers: Record<string, string> }) => WebSocketLike;
