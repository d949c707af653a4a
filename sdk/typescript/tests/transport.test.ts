import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  ApiError,
  ClosedError,
  ConnectionError,
  InternalError,
  LimitExceededError,
  RequestTimeoutError,
  SandboxClient,
  SandkastenError,
  SessionNotFoundError,
  UnexpectedAnswerError,
} from "../src/index.js";
import { unixSocketFetch } from "../src/node/index.js";
import { type Answerer, FakeDaemon, refuse, sendJson } from "./fake_daemon.js";

const ID = "00000000-0000";

async function against(
  answer: Answerer,
  body: (client: SandboxClient, fake: FakeDaemon) => Promise<void>,
): Promise<void> {
  await using fake = await FakeDaemon.start(answer);
  await using client = new SandboxClient({ baseUrl: fake.url, apiKey: "sk-secret" });
  await body(client, fake);
}

test("a request has the key and the caller's id, and its error the daemon's", async () => {
  await against(
    (response) => refuse(response, 404, "SESSION_NOT_FOUND"),
    async (client, fake) => {
      await assert.rejects(client.session(ID).info({ requestId: "mine" }), (error) => {
        assert(error instanceof SessionNotFoundError);
        assert.deepEqual([error.code, error.status, error.requestId], ["SESSION_NOT_FOUND", 404, "r-1"]);
        return true;
      });
      assert.equal(fake.seen[0]?.headers.authorization, "Bearer sk-secret");
      assert.equal(fake.seen[0]?.headers["x-request-id"], "mine");
    },
  );
});

test("a code that is not known yet is an ApiError", async () => {
  await against(
    (response) => refuse(response, 418, "constructor"),
    async (client) => {
      await assert.rejects(client.health(), (error) => error instanceof ApiError && error.code === "constructor");
    },
  );
});

test("answers that are not the API's are errors that say what came", async () => {
  const answers: [number, string][] = [
    [200, ""],
    [200, "<html>"],
    [200, "7"],
    [200, "null"],
    [200, '{"status":'],
    [302, "elsewhere"],
    [502, "<html>Bad Gateway</html>"],
    [500, '{"error_code": 7, "message": "x"}'],
    [500, "[]"],
    [500, "x".repeat(1 << 20)],
  ];
  for (const [status, body] of answers) {
    await against(
      (response) => response.writeHead(status, { Location: "http://127.0.0.1:1/" }).end(body),
      async (client) => {
        await assert.rejects(client.health(), (error) => {
          assert(
            error instanceof UnexpectedAnswerError && error.status === status,
            `${status} ${body.slice(0, 20)}: ${error}`,
          );
          assert(error.message.length < 400, error.message);
          return true;
        });
      },
    );
  }
});

test("a 429 that says when is asked again, with the same idempotency key for a create", async () => {
  await against(
    (response, _, count) => {
      if (count === 1) refuse(response, 429, "LIMIT_EXCEEDED", { "Retry-After": "0" });
      else sendJson(response, 201, { id: ID });
    },
    async (client, fake) => {
      assert.equal((await client.createSession()).id, ID);
      const keys = fake.seen.map(({ headers }) => headers["idempotency-key"]);
      assert.equal(keys.length, 2);
      assert.match(String(keys[0]), /^[0-9a-f]{32}$/);
      assert.equal(keys[0], keys[1]);
      await client.createSession();
      assert.notEqual(fake.seen[2]?.headers["idempotency-key"], keys[0]);
    },
  );
});

test("a 429 is an error after two repetitions, or where it says nothing or asks for too long", async () => {
  for (const [retryAfter, requests] of [
    ["0", 3],
    ["", 1],
    ["31", 1],
    ["soon", 1],
  ] as const) {
    await against(
      (response) => refuse(response, 429, "LIMIT_EXCEEDED", retryAfter === "" ? {} : { "Retry-After": retryAfter }),
      async (client, fake) => {
        await assert.rejects(client.createSession(), LimitExceededError);
        assert.equal(fake.seen.length, requests, retryAfter);
      },
    );
  }
});

test("a 429 that asks for more than the time that is left is an error at once", async () => {
  await against(
    (response) => refuse(response, 429, "LIMIT_EXCEEDED", { "Retry-After": "10" }),
    async (client, fake) => {
      await assert.rejects(client.health({ timeoutMs: 2_000 }), LimitExceededError);
      assert.equal(fake.seen.length, 1);
    },
  );
});

test("a connection that breaks is tried again for a read and a create, whenever it breaks", async () => {
  for (const afterHead of [false, true]) {
    await against(
      (response, _, count) => {
        if (count > 1) return sendJson(response, 201, { id: ID, status: "ok" });
        if (!afterHead) return response.destroy();
        response.writeHead(201, { "Content-Length": "100" });
        response.write("{");
        setTimeout(() => response.destroy(), 20);
      },
      async (client, fake) => {
        await client.health();
        assert.equal(fake.seen.length, 2);
      },
    );
  }
});

test("what is no read is never sent twice", async () => {
  await against(
    (response) => response.destroy(),
    async (client, fake) => {
      const session = client.session(ID);
      const calls: (() => Promise<unknown>)[] = [
        () => session.exec("make"),
        () => session.exec("make", {}, { idempotencyKey: "k" }),
        () => session.execStream("make"),
        () => session.processes.start("make"),
        () => session.processes.get("a").write("x"),
        () => session.update({ name: "n" }),
        () => session.files.edit("a", [{ old: "a", new: "b" }]),
        () => session.files.write("a", new Blob(["x"]).stream()),
        () => client.workspaces.create("w-1"),
      ];
      for (const [index, call] of calls.entries()) {
        await assert.rejects(call(), ConnectionError);
        assert.equal(fake.seen.length, index + 1, String(call));
      }
    },
  );
});

test("a 429 for an exec is not repeated", async () => {
  await against(
    (response) => refuse(response, 429, "LIMIT_EXCEEDED", { "Retry-After": "0" }),
    async (client, fake) => {
      await assert.rejects(client.session(ID).exec("make"), LimitExceededError);
      assert.equal(fake.seen.length, 1);
    },
  );
});

test("a write of bytes is sent again, as a whole", async () => {
  await against(
    (response, _, count) =>
      count === 1 ? response.destroy() : sendJson(response, 200, { ok: true, path: "/workspace/a", bytes: 3 }),
    async (client, fake) => {
      await client.session(ID).files.write("a", new TextEncoder().encode("abc"));
      assert.deepEqual(
        fake.seen.map(({ body }) => body),
        ["abc", "abc"],
      );
    },
  );
});

test("a removal whose answer was lost has worked when there is nothing the second time", async () => {
  await against(
    (response, _, count) => (count === 1 ? response.destroy() : refuse(response, 404, "SESSION_NOT_FOUND")),
    async (client) => client.session(ID).destroy(),
  );
  await against(
    (response) => refuse(response, 404, "SESSION_NOT_FOUND"),
    async (client) => assert.rejects(client.session(ID).destroy(), SessionNotFoundError),
  );
});

test("leaving a block destroys the session, and is content where it is gone", async () => {
  await against(
    (response) => refuse(response, 404, "SESSION_NOT_FOUND"),
    async (client, fake) => {
      {
        await using _session = client.session(ID);
      }
      assert.equal(fake.seen[0]?.method, "DELETE");
    },
  );
  await against(
    (response) => refuse(response, 500, "INTERNAL_ERROR"),
    async (client) =>
      assert.rejects(async () => {
        await using _session = client.session(ID);
      }, InternalError),
  );
});

test("nobody listens: the error names the address, and why", async () => {
  const fake = await FakeDaemon.start(() => {});
  const { url } = fake;
  await fake[Symbol.asyncDispose]();
  const client = new SandboxClient({ baseUrl: url, maxRetries: 1 });
  await assert.rejects(client.health(), (error) => {
    assert(error instanceof ConnectionError);
    assert(error.message.includes(url) && error.message.includes("ECONNREFUSED"), error.message);
    return true;
  });
});

test("time is up: before the head, in the middle of a body, and over all repetitions", async () => {
  const answers: Answerer[] = [
    () => {},
    (response) => response.writeHead(200).write("{"),
    (response) => refuse(response, 429, "LIMIT_EXCEEDED", { "Retry-After": "0" }),
  ];
  for (const [index, answer] of answers.entries()) {
    await against(answer, async (client) => {
      const expected = index === 2 ? LimitExceededError : RequestTimeoutError;
      await assert.rejects(client.health({ timeoutMs: 100 }), expected);
    });
  }
});

test("an error whose body never ends is given up in time", async () => {
  await against(
    (response) => response.writeHead(500).write("{"),
    async (client) => {
      await assert.rejects(client.session(ID).exec("make", {}, { timeoutMs: 100 }), RequestTimeoutError);
    },
  );
});

test("an abort is thrown as the caller's reason, also one that came before", async () => {
  await against(
    () => {},
    async (client, fake) => {
      const reason = new Error("enough");
      await assert.rejects(client.health({ signal: AbortSignal.abort(reason) }), reason);
      assert.equal(fake.seen.length, 0);
      const controller = new AbortController();
      setTimeout(() => controller.abort(reason), 20);
      await assert.rejects(client.health({ signal: controller.signal }), reason);
    },
  );
});

test("closing a client gives up what is under way and refuses what comes", async () => {
  await against(
    () => {},
    async (client) => {
      setTimeout(() => client.close(), 20);
      await assert.rejects(client.health(), ClosedError);
      await assert.rejects(client.health(), ClosedError);
    },
  );
});

test("pages are followed by their cursor alone", async () => {
  await against(
    (response, _, count) => {
      const link = `<http://evil.example/v1/sessions?cursor=1.00000000-000${count}>; rel="next"`;
      sendJson(response, 200, [{ id: `${count}` }], count < 3 ? { Link: link } : {});
    },
    async (client, fake) => {
      const sessions = await client.listSessions({ label: ["a=b", "c"], limit: 1 });
      assert.deepEqual(
        sessions.map(({ id }) => id),
        ["1", "2", "3"],
      );
      assert.equal(fake.seen[1]?.url, "/v1/sessions?label=a%3Db&label=c&limit=1&cursor=1.00000000-0001");
    },
  );
});

test("names stay one part of a path", async () => {
  await against(
    (response) => refuse(response, 404, "IMAGE_NOT_FOUND"),
    async (client, fake) => {
      await assert.rejects(client.images.get("../sessions?x#y"));
      assert.equal(fake.seen[0]?.url, "/v1/images/..%2Fsessions%3Fx%23y");
      for (const name of ["", ".", ".."]) assert.throws(() => client.session(name), SandkastenError);
    },
  );
});

test("a download that breaks off is an error", async () => {
  await against(
    (response) => {
      response.writeHead(200, { "Content-Length": "100", ETag: '"x"' });
      response.write("abc");
      setTimeout(() => response.destroy(), 20);
    },
    async (client) => {
      const download = await client.session(ID).files.download("a");
      assert.deepEqual([download.size, download.etag], [100, '"x"']);
      await assert.rejects(download.text(), { name: "StreamError" });
      assert.throws(() => download.stream, SandkastenError);
    },
  );
});

test("a range that is answered with the whole file is refused", async () => {
  await against(
    (response) => response.writeHead(200).end("abc"),
    async (client) => {
      await assert.rejects(client.session(ID).files.readRange("a", 1, 1), UnexpectedAnswerError);
      await assert.rejects(client.session(ID).files.readRange("a", -1, 1), RangeError);
    },
  );
});

test("a file whose content is no base64 is refused", async () => {
  await against(
    (response) => sendJson(response, 200, { path: "a", content_base64: "%", truncated: false }),
    async (client) => assert.rejects(client.session(ID).files.read("a"), UnexpectedAnswerError),
  );
});

test("Node reaches a unix socket, with bodies and streams, errors and aborts", async () => {
  const path = join(tmpdir(), `sandkasten-sdk-${process.pid}.sock`);
  await using fake = await FakeDaemon.start((response, { url, body }) => {
    if (url === "/healthz") sendJson(response, 200, { status: "ok" });
    else if (body !== "") sendJson(response, 200, { ok: true, path: body, bytes: body.length });
    else if (url.includes("stats")) response.destroy();
    else refuse(response, 404, "SESSION_NOT_FOUND");
  }, path);
  const client = new SandboxClient({
    baseUrl: `unix:${path}`,
    fetch: unixSocketFetch(path),
    apiKey: "k",
    maxRetries: 0,
  });
  const session = client.session(ID);
  assert.deepEqual(await client.health(), { status: "ok" });
  assert.equal((await session.files.write("a", "text")).path, "text");
  assert.equal((await session.files.write("a", new Blob(["streamed"]).stream())).path, "streamed");
  await assert.rejects(session.info(), SessionNotFoundError);
  await assert.rejects(session.stats(), ConnectionError);
  await assert.rejects(client.health({ signal: AbortSignal.abort(new Error("enough")) }), /enough/);
  assert.equal(fake.seen[0]?.headers.host, "localhost");
  const nobody = new SandboxClient({
    baseUrl: `unix:${path}`,
    fetch: unixSocketFetch(`${path}.not`),
    maxRetries: 0,
  });
  await assert.rejects(nobody.health(), ConnectionError);
});
