import assert from "node:assert/strict";
import { test } from "node:test";
import { ProcessNotRunningError, RequestTimeoutError } from "../../src/index.js";
import { withSession } from "./real_daemon.js";

test("a process runs beside the shells, takes input and is followed to its end", async () => {
  await withSession(async (session) => {
    const process = await session.processes.start(["cat"], { name: "echo", stdin: true, hold_output: true });
    assert.deepEqual([(await process.info()).status, (await process.info()).name], ["running", "echo"]);
    const followed = await process.follow();
    await process.write("text\n");
    await process.write(Uint8Array.of(0x62, 0x0a), { close: true });
    let text = "";
    for await (const { chunk } of followed) text += chunk;
    assert.equal(text, "text\nb\n");
    assert.equal((await followed.result()).exit_code, 0);
    assert.equal((await process.wait()).reason, "exit");
    await assert.rejects(process.write("x"), ProcessNotRunningError);
    const logs = await process.logs({ since: 5 });
    assert.deepEqual([logs.output, logs.offset, logs.next_offset, logs.status], ["b\n", 5, 7, "ended"]);
    assert((await session.processes.list()).some(({ id, kind }) => id === process.id && kind === "process"));
  });
});

test("a process is told signals and sizes, and stopped with all of its children", async () => {
  await withSession(async (session) => {
    const process = await session.processes.start(
      "trap 'stty size; echo told' USR1; echo ready; while :; do sleep 0.05; done",
      {
        tty: { rows: 10, cols: 20 },
      },
    );
    const followed = await process.follow();
    await followed.next();
    await process.resize({ rows: 30, cols: 40 });
    await process.signal("USR1");
    let text = "";
    for await (const { chunk } of followed) {
      text += chunk;
      if (text.includes("told")) break;
    }
    assert.match(text, /30 40/);
    await assert.rejects(process.wait({ timeoutMs: 50 }), RequestTimeoutError);
    assert.equal((await process.stop()).reason, "cancelled");
  });
});

test("two streams are apart, and input ends by itself", async () => {
  await withSession(async (session) => {
    const process = await session.processes.start("echo out; echo err >&2; cat", {
      separate_output: true,
      stdin: true,
    });
    await process.closeInput();
    await process.wait();
    assert.equal((await process.logs()).output, "out\n");
    assert.equal((await process.logs({ stream: "stderr" })).output, "err\n");
  });
});
