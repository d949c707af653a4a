// When a request that may be sent again is sent again. Pure.

/** A daemon that asks for a longer pause than this is not asked again. */
export const LONGEST_PAUSE_MS = 30_000;

/** How long to wait after a connection failed for the first, second … time: longer each time, and not all clients at once. */
export function backoffMs(repetition: number, random: number = Math.random()): number {
  return 100 * 4 ** repetition * (0.5 + random / 2);
}

/** How long a 429 asks to wait; undefined where it does not say, or asks for too long. */
export function retryAfterMs(headers: Headers, now: number): number | undefined {
  const text = headers.get("Retry-After")?.trim() ?? "";
  const ms = /^\d{1,6}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(ms) || ms > LONGEST_PAUSE_MS ? undefined : Math.max(ms, 0);
}

/** A key that nobody else has: 128 bits of chance. */
export function newIdempotencyKey(): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
