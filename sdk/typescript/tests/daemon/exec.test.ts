import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTimeoutError, ProcessNotFoundError } from "../../src/index.js";
import { withSession } from "./real_daemon.js";

test("a shell keeps its state, and a result says how it ended", async () => {
  await withSession(async (session) => {
    const first = await session.exec("echo out; echo err >&2; cd /tmp; export COLOUR=blue; false");
    assert.deepEqual([first.exit_code, first.output, first.cwd, first.reason], [1, "out\nerr\n", "/tmp", "exit"]);
    assert.equal((await session.exec("pwd; echo $COLOUR")).output, "/tmp\nblue\n");
    assert.equal((await session.exec("kill -SEGV $BASHPID", { shell: "none" })).signal, "SIGSEGV");
  });
});

test("every field of a request arrives", async () => {
  await withSession(async (session) => {
    const result = await session.exec(["sh", "-c", "cat; echo $A >&2; pwd"], {
      env: { A: "ü" },
      cwd: "/tmp",
      stdin: "typed\n",
      separate_output: true,
      timeout_ms: 10_000,
      user: "sandbox",
    });
    assert.deepEqual([result.stdout, result.stderr], ["typed\n/tmp\n", "ü\n"]);
    const cut = await session.exec("seq 1000", { max_output_bytes: 10, on_limit: "tail" });
    assert(cut.truncated && cut.output.endsWith("1000\n"), cut.output);
    assert.equal((await session.exec("printf '\\033[31mred\\r\\n'", { raw_output: true })).output, "\x1b[31mred\r\n");
    assert.equal((await session.exec("stty size", { tty: { rows: 11, cols: 22 }, shell: "none" })).output, "11 22\n");
  });
});

test("a timeout is an error with the output so far", async () => {
  await withSession(async (session) => {
    await assert.rejects(session.exec("echo so far; sleep 1000", { timeout_ms: 300 }), (error) => {
      assert(error instanceof CommandTimeoutError);
      assert.deepEqual([error.output, error.status, error.details?.reason], ["so far\n", 504, "timeout"]);
      return true;
    });
    const stream = await session.execStream("echo so far; sleep 1000", { timeout_ms: 300 });
    let text = "";
    await assert.rejects(async () => {
      for await (const { chunk } of stream) text += chunk;
    }, CommandTimeoutError);
    assert.equal(text, "so far\n");
  });
});

test("lines arrive as they are printed, and name their stream", async () => {
  await withSession(async (session) => {
    const stream = await session.execStream("for i in 1 2 3; do echo $i; echo e$i >&2; sleep 0.2; done; exit 7", {
      separate_output: true,
    });
    const arrivals: number[] = [];
    const text = { stdout: "", stderr: "" };
    for await (const { chunk, stream: name } of stream) {
      assert(name);
      text[name] += chunk;
      if (name === "stdout") arrivals.push(performance.now());
    }
    assert.deepEqual(text, { stdout: "1\n2\n3\n", stderr: "e1\ne2\ne3\n" });
    assert((arrivals[2] ?? 0) - (arrivals[0] ?? 0) > 200, `lines were held back: ${arrivals}`);
    assert.equal((await stream.result()).exit_code, 7);
  });
});

test("leaving the loop ends the command", async () => {
  await withSession(async (session) => {
    const stream = await session.execStream("echo $BASHPID; sleep 1000");
    for await (const _ of stream) break;
    const [left] = (await session.processes.list()).filter(({ id }) => id === stream.execId);
    const end = await session.processes.get(left?.id ?? "").wait({ timeoutMs: 30_000 });
    assert.equal(end.reason, "cancelled");
  });
});

test("a result is there once more, and a command that runs is cancelled by its id", async () => {
  await withSession(async (session) => {
    const { exec_id, output } = await session.exec("echo once", {}, { idempotencyKey: "k" });
    assert.equal((await session.exec("echo once", {}, { idempotencyKey: "k" })).exec_id, exec_id);
    assert.equal((await session.execResult(exec_id ?? "")).result?.output, output);
    const stream = await session.execStream("echo begun; sleep 1000");
    await stream.next();
    assert.equal((await session.execResult(stream.execId, { wait_ms: 50 })).process?.status, "running");
    assert.equal((await session.cancel(stream.execId)).reason, "cancelled");
    // The stream ends with the command, and says so.
    const ended = await stream.result().then(
      (done) => done.reason,
      (error) => error.details?.reason,
    );
    assert.equal(ended, "cancelled");
    await assert.rejects(session.execResult("0123456789abcdef"), ProcessNotFoundError);
  });
});

test("an abort ends the command", async () => {
  await withSession(async (session) => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const running = session.exec("sleep 1000", { shell: "aborted" }, { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 300);
    await assert.rejects(running, reason);
    // The next command of that shell waits for the one before.
    assert.equal((await session.exec("echo free", { shell: "aborted" })).output, "free\n");
  });
});

test("closing a stream ends its command", async () => {
  await withSession(async (session) => {
    const stream = await session.execStream("echo begun; sleep 1000");
    await stream.next();
    stream.close();
    assert.equal((await session.processes.get(stream.execId).wait({ timeoutMs: 30_000 })).reason, "cancelled");
  });
});
