import assert from "node:assert/strict";
import { test } from "node:test";
import {
  EditMismatchError,
  FileChangedError,
  FileExistsError,
  FileNotFoundError,
  type Files,
  InvalidRequestError,
  IsDirectoryError,
  WorkspaceExistsError,
  WorkspaceNotFoundError,
} from "../../src/index.js";
import { realClient, withSession } from "./real_daemon.js";

/** Everything that both kinds of files can; `root` is in front of the paths of answers. */
async function useFiles(files: Files, root: string): Promise<void> {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index % 256);
  assert.deepEqual(await files.write("a/all.bin", bytes, { mode: "0640" }), {
    ok: true,
    path: `${root}a/all.bin`,
    bytes: 100_000,
  });
  assert.deepEqual((await files.read("a/all.bin")).content, bytes);
  const beginning = await files.read("a/all.bin", { max_bytes: 3 });
  assert.deepEqual([beginning.content, beginning.truncated], [bytes.subarray(0, 3), true]);
  assert.deepEqual(await files.readRange("a/all.bin", 99_998, 10), bytes.subarray(99_998));
  await assert.rejects(files.readRange("a/all.bin", 100_000, 1), InvalidRequestError);
  await files.write("a/streamed.bin", new Blob([bytes, bytes]).stream());
  const download = await files.download("a/streamed.bin");
  assert.equal(download.size, 200_000);
  assert.equal((await download.bytes()).length, 200_000);
  const given = await files.download("a/streamed.bin");
  given.cancel();
  await assert.rejects(given.text());
  await files.write("empty", "");
  assert.equal(await files.readText("empty"), "");

  assert.deepEqual((await files.stat("a/all.bin")).mode, "0640");
  await files.chmod("a/all.bin", "0600");
  assert.deepEqual([(await files.stat("a/all.bin")).mode, (await files.stat("a")).type], ["0600", "directory"]);
  assert.deepEqual([await files.exists("a"), await files.exists("b")], [true, false]);
  await files.mkdir("b/c", { parents: true });
  await files.move("a/streamed.bin", "b/moved.bin");
  assert.equal((await files.copy("b", "d")).entries >= 2, true);
  await assert.rejects(files.copy("b", "d"), FileExistsError);
  await files.copy("empty", "d/moved.bin", { overwrite: true });
  const paths = ({ entries }: { entries: { path: string }[] }) =>
    entries.map(({ path }) => path.slice(root.length)).sort();
  assert.deepEqual(paths(await files.tree("b")), ["b/c", "b/moved.bin"]);
  assert.deepEqual(paths(await files.list("d", { depth: 1 })), ["d/c", "d/moved.bin"]);
  assert.deepEqual(paths(await files.list(undefined, { glob: "*.bin" })), ["a/all.bin", "b/moved.bin", "d/moved.bin"]);
  await assert.rejects(files.readText("b"), IsDirectoryError);
  await files.remove("d", { recursive: true });
  await assert.rejects(files.remove("d"), FileNotFoundError);

  await files.write("src/main.py", "x = 1\ny = 1\n");
  const edited = await files.edit("src/main.py", [{ old: "x = 1", new: "x = 2" }]);
  await assert.rejects(files.edit("src/main.py", [{ old: "z", new: "" }]), EditMismatchError);
  const patch = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n x = 2\n-y = 1\n+y = 2\n";
  await files.patch("src/main.py", patch, { expect_sha256: edited.sha256 });
  await assert.rejects(files.patch("src/main.py", patch, { expect_sha256: edited.sha256 }), FileChangedError);
  assert.equal(await files.readText("src/main.py"), "x = 2\ny = 2\n");
  const found = await files.search({ regex: "^y = (\\d)", path: "src", glob: "*.py", context: 1 });
  assert.deepEqual(
    found.matches.map(({ line, before }) => [line, before]),
    [[2, ["x = 2"]]],
  );

  for (const format of ["tar", "tar.zst"] as const) {
    const archive = await (await files.downloadArchive("src", { format })).bytes();
    assert.equal((await files.uploadArchive(`copy-${format}`, archive, { format })).entries >= 1, true);
    assert.equal(await files.readText(`copy-${format}/main.py`), "x = 2\ny = 2\n");
  }
  const uploaded = await files.upload(
    [
      { name: "u1.txt", content: "1" },
      { name: "u2.txt", content: bytes },
    ],
    { path: "up" },
  );
  assert.deepEqual(
    uploaded.map((path) => path.replace(/^\/workspace\//, "")),
    ["up/u1.txt", "up/u2.txt"],
  );

  const watch = await files.watch("src", { recursive: true });
  await files.write("src/new/b.py", "");
  const kinds = new Set<string>();
  for await (const { path, kind } of watch) {
    kinds.add(kind);
    if (path.endsWith("b.py")) break;
  }
  assert(kinds.has("created"));
  const gone = await files.watch("src/new");
  await files.remove("src", { recursive: true });
  assert.deepEqual(await gone.result(), { kind: "end", reason: "removed" });
}

test("files of a session go in and out, and are seen by its commands", async () => {
  await withSession(async (session) => {
    await useFiles(session.files, "/workspace/");
    assert.equal((await session.exec("wc -c < up/u2.txt")).output, "100000\n");
  });
});

test("files of a workspace are the same without a session, and kept from one to the next", async () => {
  const client = realClient();
  const id = `ts-${crypto.randomUUID()}`;
  await assert.rejects(client.workspaces.files(id).list(), WorkspaceNotFoundError);
  assert.equal((await client.workspaces.create(id)).id, id);
  await assert.rejects(client.workspaces.create(id), WorkspaceExistsError);
  await useFiles(client.workspaces.files(id), "");
  {
    await using session = await client.createSession({ image: "host", workspace_id: id });
    assert.equal((await session.exec("wc -c < up/u2.txt")).output, "100000\n");
    await assert.rejects(client.workspaces.remove(id), { code: "WORKSPACE_IN_USE" });
  }
  assert.equal((await client.workspaces.copy(id, `${id}-2`)).id, `${id}-2`);
  await client.workspaces.rename(`${id}-2`, `${id}-3`);
  assert.equal(await client.workspaces.files(`${id}-3`).exists("up/u1.txt"), true);
  const listed = (await client.workspaces.list()).map((workspace) => workspace.id);
  assert(listed.includes(id) && listed.includes(`${id}-3`));
  await client.workspaces.remove(id);
  await client.workspaces.remove(`${id}-3`);
  await assert.rejects(client.workspaces.remove(id), WorkspaceNotFoundError);
});
