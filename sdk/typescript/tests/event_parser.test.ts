import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError } from "../src/errors.js";
import { EventParser, type ServerEvent } from "../src/event_parser.js";

const bytes = (text: string) => new TextEncoder().encode(text);

function parse(...pieces: Uint8Array[]): ServerEvent[] {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.feed(piece));
}

const STREAM = bytes(
  ': a comment\n\nevent: chunk\ndata: {"a":"ü€😀"}\n\nid: 7\r\nevent:done\r\ndata: one\r\ndata:  two\r\n\r\n' +
    "data\rdata: x\r\rretry: 5\nunknown: y\n\nevent: without data\n\ndata: last: with: colons\n\n",
);
const EVENTS = [
  { event: "chunk", data: '{"a":"ü€😀"}', id: "" },
  { event: "done", data: "one\n two", id: "7" },
  { event: "message", data: "\nx", id: "7" },
  { event: "message", data: "last: with: colons", id: "7" },
];

test("a stream is the same however it is cut in two", () => {
  assert.deepEqual(parse(STREAM), EVENTS);
  for (let cut = 0; cut <= STREAM.length; cut += 1) {
    assert.deepEqual(parse(STREAM.subarray(0, cut), STREAM.subarray(cut)), EVENTS, `cut at ${cut}`);
  }
});

test("a stream is the same byte by byte", () => {
  assert.deepEqual(parse(...Array.from(STREAM, (byte) => Uint8Array.of(byte))), EVENTS);
});

test("an event that has not ended is none", () => {
  assert.deepEqual(parse(bytes("data: x\n")), []);
});

test("what is no UTF-8 becomes replacement characters", () => {
  assert.deepEqual(parse(Uint8Array.of(...bytes("data: "), 0xff, ...bytes("\n\n"))), [
    { event: "message", data: "\ufffd", id: "" },
  ]);
});

test("a line, or an event of many lines, that never ends is refused", () => {
  const mebibyte = new Uint8Array(1 << 20).fill(0x61);
  const lines = bytes(`data: ${"b".repeat(1 << 20)}\n`);
  for (const piece of [mebibyte, lines]) {
    const parser = new EventParser();
    assert.throws(() => {
      for (let count = 0; count < 20; count += 1) parser.feed(piece);
    }, StreamError);
  }
});

test("heartbeats are never too many", () => {
  const parser = new EventParser();
  const beat = bytes(`: ${"x".repeat(1 << 20)}\n\n`);
  for (let count = 0; count < 20; count += 1) assert.deepEqual(parser.feed(beat), []);
  assert.deepEqual(parser.feed(bytes("data: x\n\n")).length, 1);
});
