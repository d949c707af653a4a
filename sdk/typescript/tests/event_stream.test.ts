import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Abort } from "../src/abort.js";
import { EventStream } from "../src/event_stream.js";
import {
  CommandTimeoutError,
  ImagePullFailedError,
  SandboxClient,
  StreamError,
  UnexpectedAnswerError,
} from "../src/index.js";
import { type Answerer, beginEvents, FakeDaemon, sendEvent, sendJson } from "./fake_daemon.js";

async function streamed<T>(
  answer: Answerer,
  body: (stream: Awaited<ReturnType<typeof execStream>>, fake: FakeDaemon) => Promise<T>,
) {
  await using fake = await FakeDaemon.start(answer);
  await using client = new SandboxClient({ baseUrl: fake.url, apiKey: "k" });
  return await body(await execStream(client), fake);
}
const execStream = (client: SandboxClient) => client.session("00000000-0000").execStream("make");
const done = { exit_code: 0, cwd: "/", duration_ms: 1, reason: "exit" };

test("chunks come one by one, and the result is the last event", async () => {
  await streamed(
    (response) => {
      beginEvents(response);
      sendEvent(response, "chunk", { chunk: "a", timestamp: 1 });
      sendEvent(response, "of a newer daemon", { x: 1 });
      sendEvent(response, "chunk", { chunk: "b", timestamp: 2 });
      sendEvent(response, "done", done);
      response.end();
    },
    async (stream) => {
      let text = "";
      for await (const { chunk } of stream) text += chunk;
      assert.equal(text, "ab");
      assert.deepEqual(await stream.result(), done);
      assert.equal(stream.execId, "00000000000000aa");
    },
  );
});

test("a pull tells how far it is, and answers with the image or with why there is none", async () => {
  const progress = { phase: "fetching", layers_done: 1 };
  const ends = [
    { event: "done", data: { digest: "sha256:1", image: { name: "a" } } },
    { event: "error", data: { error: "no such image", error_code: "IMAGE_PULL_FAILED" } },
  ];
  for (const end of ends) {
    await using fake = await FakeDaemon.start((response) => {
      beginEvents(response);
      sendEvent(response, "progress", progress);
      sendEvent(response, end.event, end.data);
    });
    const client = new SandboxClient({ baseUrl: fake.url });
    const pull = await client.images.pull({ reference: "a:1", name: "a" });
    assert.deepEqual((await pull.next()).value, progress);
    assert.deepEqual(JSON.parse(fake.seen[0]?.body ?? ""), { reference: "a:1", name: "a" });
    if (end.event === "done") assert.equal((await pull.result()).image.name, "a");
    else await assert.rejects(pull.result(), ImagePullFailedError);
  }
});

test("the result can be asked for without a loop", async () => {
  await streamed(
    (response) => {
      beginEvents(response);
      sendEvent(response, "chunk", { chunk: "a", timestamp: 1 });
      sendEvent(response, "done", done);
    },
    async (stream) => assert.equal((await stream.result()).exit_code, 0),
  );
});

test("a stream that ends without its last event is an error, and stays one", async () => {
  await streamed(
    (response) => {
      beginEvents(response);
      sendEvent(response, "chunk", { chunk: "a", timestamp: 1 });
      response.end();
    },
    async (stream) => {
      assert.equal((await stream.next()).value?.chunk, "a");
      await assert.rejects(stream.next(), StreamError);
      await assert.rejects(stream.next(), StreamError);
      await assert.rejects(stream.result(), StreamError);
    },
  );
});

test("a connection that breaks in the middle is an error", async () => {
  await streamed(
    (response) => {
      beginEvents(response);
      sendEvent(response, "chunk", { chunk: "a", timestamp: 1 });
      setTimeout(() => response.destroy(), 20);
    },
    async (stream) => {
      await stream.next();
      await assert.rejects(stream.next(), (error) => error instanceof StreamError && error.cause instanceof Error);
    },
  );
});

test("leaving the loop cancels the request", async () => {
  await streamed(
    (response) => {
      beginEvents(response);
      sendEvent(response, "chunk", { chunk: "a", timestamp: 1 });
    },
    async (stream, fake) => {
      for await (const _ of stream) break;
      await fake.untilHungUp();
      assert.deepEqual(await stream.next(), { done: true, value: undefined });
    },
  );
});

test("closing a stream that nobody has begun to read cancels the request", async () => {
  await streamed(beginEvents, async (stream, fake) => {
    stream.close();
    await fake.untilHungUp();
  });
});

test("a loop that waits is ended by close, and by the caller's signal with its reason", async () => {
  await streamed(beginEvents, async (stream) => {
    setTimeout(() => stream.close(), 20);
    await assert.rejects(stream.next(), { name: "ClosedError" });
  });
  await using fake = await FakeDaemon.start(beginEvents);
  await using client = new SandboxClient({ baseUrl: fake.url });
  const reason = new Error("enough");
  const controller = new AbortController();
  const stream = await client.session("00000000-0000").execStream("make", {}, { signal: controller.signal });
  setTimeout(() => controller.abort(reason), 20);
  await assert.rejects(stream.next(), reason);
});

test("an error event has the class of its code, with the verdict", async () => {
  await streamed(
    (response) => {
      beginEvents(response);
      sendEvent(response, "error", { error: "too long", error_code: "COMMAND_TIMEOUT", reason: "timeout", limit: 300 });
    },
    async (stream) => {
      await assert.rejects(stream.next(), (error) => {
        assert(error instanceof CommandTimeoutError);
        assert.deepEqual(
          [error.message, error.details?.limit, error.output, error.status],
          ["too long", 300, "", undefined],
        );
        return true;
      });
    },
  );
});

test("events that are no objects of JSON are errors", async () => {
  for (const data of ["", "{", "[]", "null", "7"]) {
    await streamed(
      (response) => {
        beginEvents(response);
        response.write(`event: chunk\ndata: ${data}\n\n`);
      },
      async (stream) => assert.rejects(stream.next(), StreamError, data),
    );
  }
});

test("an answer that is no stream of events is refused", async () => {
  await assert.rejects(
    streamed(
      (response) => sendJson(response, 200, {}),
      async () => {},
    ),
    UnexpectedAnswerError,
  );
});

test("a stream that falls silent is an error after a minute", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const response = new Response(new ReadableStream<Uint8Array>());
    const abort = new Abort(new Set(), undefined, undefined);
    // A body that heeds its signal, as that of a fetch does.
    const silent = new ReadableStream<Uint8Array>({
      start: (body) => abort.signal.addEventListener("abort", () => body.error(new Error("aborted"))),
    });
    const stream = new EventStream<object>(new Response(silent, response), abort, () => ({}));
    const next = stream.next();
    mock.timers.tick(59_000);
    mock.timers.tick(1_000);
    await assert.rejects(next, /nothing came for 60000 ms/);
  } finally {
    mock.timers.reset();
  }
});
