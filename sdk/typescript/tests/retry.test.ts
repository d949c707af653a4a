import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs, newIdempotencyKey, retryAfterMs } from "../src/retry.js";

const after = (text: string) => retryAfterMs(new Headers({ "Retry-After": text }), Date.parse("2026-01-01T00:00:00Z"));

test("Retry-After is seconds or a date, and what is neither says nothing", () => {
  assert.equal(after("0"), 0);
  assert.equal(after("30"), 30_000);
  assert.equal(after("31"), undefined);
  assert.equal(after("Thu, 01 Jan 2026 00:00:05 GMT"), 5_000);
  assert.equal(after("Thu, 01 Jan 2025 00:00:05 GMT"), 0);
  for (const text of ["", "-", "soon", "1e9", "99999999999999"]) assert.equal(after(text), undefined, text);
  assert.equal(retryAfterMs(new Headers(), 0), undefined);
});

test("pauses grow, and differ from client to client", () => {
  assert.deepEqual([backoffMs(0, 0), backoffMs(0, 1), backoffMs(1, 0), backoffMs(1, 1)], [50, 100, 200, 400]);
});

test("no two keys are the same", () => {
  assert.equal(new Set(Array.from({ length: 1000 }, newIdempotencyKey)).size, 1000);
});
