import assert from "node:assert/strict";
import { test } from "node:test";
import {
  IdempotencyKeyReusedError,
  InvalidImageError,
  SandboxClient,
  SessionExistsError,
  SessionNotFoundError,
  SessionNotRunningError,
  UnauthorizedError,
} from "../../src/index.js";
import { realClient, withSession } from "./real_daemon.js";

test("the daemon is healthy and describes itself, and knows its key", async () => {
  const client = realClient();
  assert.equal(client.baseUrl, process.env.SANDKASTEN_URL);
  assert.deepEqual(await client.health(), { status: "ok" });
  assert.equal((await client.openapi()).openapi, "3.1.0");
  await assert.rejects(new SandboxClient({ apiKey: "wrong" }).listSessions(), UnauthorizedError);
});

test("a session is made, described, changed and destroyed", async () => {
  await withSession(async (session, client) => {
    const info = await session.info();
    assert.deepEqual([info.id, info.image, info.status, info.cwd], [session.id, "host", "running", "/workspace"]);
    assert(info.isolation?.no_new_privs);
    const stats = await session.stats();
    assert(stats.memory_bytes > 0 && stats.memory_bytes < stats.memory_limit);
    const name = `n-${session.id}`;
    const changed = await session.update({ name, labels: { a: "1", b: "2" }, ttl_seconds: 3600 });
    assert.deepEqual([changed.name, changed.labels, changed.ttl_seconds], [name, { a: "1", b: "2" }, 3600]);
    assert.deepEqual((await session.update({ labels: { a: null } })).labels, { b: "2" });
    await assert.rejects(client.createSession({ image: "host", name }), SessionExistsError);
    await session.destroy();
    await assert.rejects(session.destroy(), SessionNotFoundError);
    await assert.rejects(session.exec("true"), SessionNotRunningError);
    assert.equal((await session.info()).status, "destroyed");
  });
});

test("sessions are listed by label, in pages", async () => {
  const client = realClient();
  const label = `test=${crypto.randomUUID()}`;
  const [key = "", value = ""] = label.split("=");
  const made = [];
  for (let count = 0; count < 3; count += 1)
    made.push(await client.createSession({ image: "host", labels: { [key]: value } }));
  const ids = made.map(({ id }) => id);
  const listed = async (limit?: number) =>
    (await client.listSessions({ label: [label], ...(limit === undefined ? {} : { limit }) })).map(({ id }) => id);
  assert.deepEqual(await listed(), ids);
  assert.deepEqual(await listed(1), ids);
  const first = await client.iterateSessions({ label: [label], limit: 1 }).next();
  assert.equal(first.value?.id, ids[0]);
  for (const session of made) await session.destroy();
  assert.deepEqual(await listed(), []);
  assert.equal((await client.listSessions({ label: [label], status: ["destroyed"] })).length, 3);
});

test("one key makes one session", async () => {
  const client = realClient();
  const idempotencyKey = crypto.randomUUID();
  await using session = await client.createSession({ image: "host" }, { idempotencyKey });
  assert.equal((await client.createSession({ image: "host" }, { idempotencyKey })).id, session.id);
  await assert.rejects(
    client.createSession({ image: "host", ttl_seconds: 5 }, { idempotencyKey }),
    IdempotencyKeyReusedError,
  );
});

test("a create waits for a place as long as it is told to", async () => {
  const client = new SandboxClient({ maxRetries: 0 });
  await using session = await client.createSession({ image: "host", wait_ms: 5_000 });
  assert.match(session.id, /^[0-9a-f]{8}-/);
  await assert.rejects(client.createSession({ image: "no-such-image" }), InvalidImageError);
  await assert.rejects(client.createSession({ wait_ms: -1 }), { code: "INVALID_REQUEST" });
});

test("the states of a session are told, to its end", async () => {
  await withSession(async (session, client) => {
    const all = await client.events();
    const events = await session.events();
    assert.equal((await events.next()).value?.kind, "state");
    await session.destroy();
    const last = await events.next();
    assert(last.value?.kind === "state" && last.value.status === "destroyed" && last.value.session_id === session.id);
    assert.deepEqual(await events.next(), { done: true, value: undefined });
    let seen = "";
    for await (const event of all) {
      if (event.kind !== "state" || event.session_id !== session.id) continue;
      if (event.status === "running") seen = event.id;
      if (event.status === "destroyed") break;
    }
    const missed = await client.events({ lastEventId: seen });
    for await (const event of missed) {
      if (event.kind === "state" && event.session_id === session.id) {
        assert.equal(event.status, "destroyed");
        break;
      }
    }
  });
});
