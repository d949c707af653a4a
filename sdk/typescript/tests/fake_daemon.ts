// A server on loopback that answers as a test says, and remembers what it was asked.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Seen {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: string;
}

export type Answerer = (response: ServerResponse, seen: Seen, count: number) => void;

export class FakeDaemon implements AsyncDisposable {
  readonly seen: Seen[] = [];
  /** How many requests were given up by their client before they were answered. */
  hungUp = 0;
  readonly #server;

  private constructor(answer: Answerer) {
    this.#server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("end", () => {
        const body = Buffer.concat(pieces).toString();
        const seen = { method: request.method ?? "", url: request.url ?? "", headers: request.headers, body };
        this.seen.push(seen);
        answer(response, seen, this.seen.length);
      });
      response.on("close", () => {
        if (!response.writableFinished) this.hungUp += 1;
      });
    });
  }

  static async start(answer: Answerer, address: string | number = 0): Promise<FakeDaemon> {
    const fake = new FakeDaemon(answer);
    await new Promise<void>((resolve) => {
      if (typeof address === "string") fake.#server.listen(address, resolve);
      else fake.#server.listen(address, "127.0.0.1", resolve);
    });
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Waits until a client has hung up. */
  async untilHungUp(): Promise<void> {
    while (this.hungUp === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "Content-Type": "application/json", "X-Request-ID": "r-1", ...headers });
  response.end(JSON.stringify(value));
}

export function refuse(
  response: ServerResponse,
  status: number,
  error_code: string,
  headers: Record<string, string> = {},
): void {
  sendJson(response, status, { error_code, message: `refused: ${error_code}` }, headers);
}

export function beginEvents(response: ServerResponse): void {
  response.writeHead(200, { "Content-Type": "text/event-stream", "X-Exec-ID": "00000000000000aa" });
  response.flushHeaders();
}

export function sendEvent(response: ServerResponse, event: string, data: unknown, id = ""): void {
  response.write(`${id === "" ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
