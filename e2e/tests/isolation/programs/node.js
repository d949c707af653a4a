// What Node does beside running JavaScript, each on a line of output.
'use strict';
const assert = require('node:assert');
const childProcess = require('node:child_process');
const crypto = require('node:crypto');
const events = require('node:events');
const fs = require('node:fs/promises');
const http = require('node:http');
const path = require('node:path');
const timers = require('node:timers/promises');
const util = require('node:util');
const zlib = require('node:zlib');
const { Worker } = require('node:worker_threads');

async function workers() {
  const shared = new Int32Array(new SharedArrayBuffer(4));
  const body = `const { workerData } = require('node:worker_threads');
    for (let i = 0; i < 1000; i++) Atomics.add(workerData, 0, 1);`;
  const all = Array.from({ length: 4 }, () => new Worker(body, { eval: true, workerData: shared }));
  await Promise.all(all.map((worker) => events.once(worker, 'exit')));
  return shared[0];
}

async function children() {
  const run = util.promisify(childProcess.execFile);
  const { stdout } = await run('sh', ['-c', 'echo from a shell | tr a-z A-Z']);
  const child = childProcess.fork(__filename, ['child']);
  child.send(20);
  const [answer] = await events.once(child, 'message');
  await events.once(child, 'exit');
  const sleeper = childProcess.spawn('sleep', ['1000']);
  sleeper.kill();
  const [, signal] = await events.once(sleeper, 'exit');
  return [stdout.trim(), answer, signal];
}

async function files() {
  const directory = await fs.mkdtemp('/workspace/node-');
  const watcher = fs.watch(directory)[Symbol.asyncIterator]();
  const change = watcher.next();
  await fs.writeFile(path.join(directory, 'a'), 'text');
  const { value } = await change;
  await watcher.return();
  await fs.rename(path.join(directory, 'a'), path.join(directory, 'b'));
  await fs.symlink('b', path.join(directory, 'c'));
  const text = await fs.readFile(path.join(directory, 'c'), 'utf8');
  const names = await fs.readdir(directory);
  await fs.rm(directory, { recursive: true });
  return [value.filename, text, names.join()];
}

async function server() {
  const listening = http.createServer((request, response) => request.pipe(response)).listen(0, 'localhost');
  await events.once(listening, 'listening');
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const request = http.request({ port: listening.address().port, host: 'localhost', method: 'POST' });
      request.end(`message ${i}`);
      const [response] = await events.once(request, 'response');
      return (await response.toArray()).join('');
    }),
  );
  listening.close();
  return answers.filter((answer, i) => answer === `message ${i}`).length;
}

async function ticks() {
  const order = [];
  const immediate = timers.setImmediate().then(() => order.push('immediate'));
  await Promise.all([
    timers.setTimeout(20).then(() => order.push('late')),
    timers.setTimeout(1).then(() => order.push('early')),
    immediate,
  ]);
  let beats = 0;
  for await (const _ of timers.setInterval(1)) if (++beats === 3) break;
  assert(order.indexOf('early') < order.indexOf('late') && order.length === 3);
  return beats;
}

async function threadPool() {
  const key = await util.promisify(crypto.pbkdf2)('password', 'salt', 1000, 16, 'sha256');
  const packed = await util.promisify(zlib.gzip)(Buffer.alloc(100000));
  const unpacked = await util.promisify(zlib.gunzip)(packed);
  return [key.length, unpacked.length];
}

async function main() {
  for (const part of [workers, children, files, server, ticks, threadPool]) {
    console.log(part.name, String(await part()));
  }
}

if (process.argv[2] === 'child') {
  process.once('message', (number) => process.send(number + 1, () => process.disconnect()));
} else {
  main();
}
