"""Drives a daemon with a package for Python, as users of 0.3.0 do; prints what it did and fails at the first surprise.

The version that has to be installed is the argument.
"""

import asyncio
import io
import os
import sys
import tempfile
import time
from pathlib import Path

import httpx
import sandkasten
from sandkasten import SandboxClient, SandkastenStreamError


def check(held, what):
    if not held:
        raise SystemExit(f"FAILED: {what}")


async def refused(status, call):
    try:
        await call
    except httpx.HTTPStatusError as error:
        body = error.response.json()
        check(error.response.status_code == status, f"expected {status}, got {error.response.status_code} {body}")
        check(set(body) <= {"error_code", "message", "details"}, body)
        return body
    raise SystemExit(f"FAILED: expected a refusal with {status}")


async def commands(session):
    result = await session.exec("echo hello; echo error >&2; cd /tmp; export COLOUR=blue; false")
    check((result.exit_code, result.output, result.cwd) == (1, "hello\nerror\n", "/tmp"), result)
    check(result.truncated is False and isinstance(result.duration_ms, int), result)
    result = await session.exec("pwd; echo $COLOUR")
    check(result.output == "/tmp\nblue\n", result)
    check((await session.exec("printf '\\033[31mred\\r\\n'", raw_output=True)).output == "\x1b[31mred\r\n", "raw output")
    body = await refused(504, session.exec("echo so far; sleep 1000", timeout_ms=300))
    check(body["error_code"] == "COMMAND_TIMEOUT" and body["details"]["output"] == "so far\n", body)
    print("exec: state persists, a timeout is 504")


async def streams(session):
    text, arrivals, last = "", [], None
    async for chunk in session.exec_stream("for i in 1 2 3 4; do echo line $i; sleep 0.2; done; exit 7"):
        check(last is None, "nothing comes behind the last chunk")
        if chunk.done:
            last = chunk
        else:
            text += chunk.output
            arrivals.append(time.monotonic())
            check(abs(chunk.timestamp / 1000 - time.time()) < 60, chunk)
    check(text == "line 1\nline 2\nline 3\nline 4\n", repr(text))
    check(last is not None and (last.exit_code, last.cwd) == (7, "/tmp"), last)
    gaps = [later - earlier for earlier, later in zip(arrivals, arrivals[1:])]
    check(len(gaps) == 3 and all(gap > 0.1 for gap in gaps), f"lines were held back: {gaps}")
    try:
        async for chunk in session.exec_stream("sleep 1000", timeout_ms=300):
            check(not chunk.done, chunk)
        raise SystemExit("FAILED: a timeout is no error of the stream")
    except SandkastenStreamError as error:
        check("300" in str(error), error)
    print("exec_stream: lines arrive as they are printed, a timeout is a stream error")


async def files(session):
    content = bytes(range(256)) * 100
    await session.write("data/all.bin", content)
    await session.write("/workspace/script.py", "print('from a script: ' + str(6 * 7))\n")
    print("write: text and bytes, relative and absolute")
    read = await session.read("data/all.bin")
    check((read.content, read.path, read.truncated) == (content, "/workspace/data/all.bin", False), read.path)
    read = await session.read("data/all.bin", max_bytes=10)
    check((read.content, read.truncated) == (content[:10], True), read)
    check((await refused(404, session.read("missing")))["error_code"] == "FILE_NOT_FOUND", "a missing file")
    check((await refused(400, session.write("/etc/passwd", "x")))["error_code"] == "INVALID_REQUEST", "a path outside")
    result = await session.exec("cd /workspace && python3 script.py")
    check(result.output == "from a script: 42\n", result)
    print("read: byte for byte, cut at max_bytes")
    with tempfile.TemporaryDirectory() as directory:
        local = Path(directory, "local.txt")
        local.write_text("uploaded\n")
        check(await session.upload(local) == ["/workspace/local.txt"], "an upload of a path")
        check(await session.upload(str(local), dest_path="/workspace/sub") == ["/workspace/sub/local.txt"], "a directory")
        paths = await session.upload(io.BytesIO(content), filename="stream.bin")
        check(paths == ["/workspace/stream.bin"], paths)
    result = await session.exec("cat local.txt sub/local.txt; wc -c < stream.bin")
    check(result.output == f"uploaded\nuploaded\n{len(content)}\n", result)
    print("upload: paths and open files")


async def workspaces(client, url, key):
    check(await client.list_workspaces() == [], "no workspace yet")
    async with await client.create_session(image="host", workspace_id="user-1") as first:
        check((await first.info()).workspace_id == "user-1", "info names the workspace")
        await first.write("notes/a.txt", "kept")
        await first.exec("echo also > b.txt")
        check((await refused(409, client.delete_workspace("user-1")))["error_code"] == "WORKSPACE_IN_USE", "in use")
    async with await client.create_session(image="host", workspace_id="user-1") as second:
        check((await second.read("notes/a.txt")).content == b"kept", "the next session reads it")
        check((await second.exec("cat b.txt")).output == "also\n", "and so does its shell")
    check([workspace.id for workspace in await client.list_workspaces()] == ["user-1"], "it is listed")
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as plain:
        listed = (await plain.get("/v1/workspaces")).json()["workspaces"][0]
        check(listed["labels"] == {"sandkasten.workspace_id": "user-1"} and listed["created_at"], listed)
        entries = (await plain.get("/v1/workspaces/user-1/fs", params={"path": "/"})).json()["entries"]
        check(entries == [{"name": "b.txt", "is_dir": False}, {"name": "notes", "is_dir": True}], entries)
    body = await refused(400, client.create_session(image="host", workspace_id="../x"))
    check(body["error_code"] == "INVALID_WORKSPACE", body)
    await client.delete_workspace("user-1")
    check((await refused(404, client.delete_workspace("user-1")))["error_code"] == "WORKSPACE_NOT_FOUND", "gone")
    check(await client.list_workspaces() == [], "the list is empty again")
    print("workspaces: kept from one session to the next, listed, and deleted when nobody uses them")


async def looks(client, session):
    stats = await session.stats()
    check(0 < stats.memory_bytes < stats.memory_limit == 512 << 20 and stats.cpu_usage_usec > 0, stats)
    print(f"stats: {stats}")
    info = await session.info()
    check((info.id, info.image, info.status, info.cwd) == (session.id, "host", "running", "/workspace"), info)
    check(info.workspace_id is None and info.last_activity and info.created_at < info.expires_at, info)
    print(f"info: {info}")
    listed = await client.list_sessions()
    check([one.id for one in listed] == [session.id], listed)
    check((await client.get_session(session.id)).id == session.id, "get_session")
    print(f"list: {len(listed)} session")


async def main():
    print(f"package: sandkasten {sandkasten.__version__}")
    check(sandkasten.__version__ == sys.argv[1], "the version")
    url, key = os.environ["SANDKASTEN_URL"], os.environ["SANDKASTEN_API_KEY"]
    async with SandboxClient(base_url=url, api_key=key) as client:
        session = await client.create_session(image="host", ttl_seconds=600)
        print(f"create: {session.id}")
        await commands(session)
        await streams(session)
        await files(session)
        await looks(client, session)
        await session.destroy()
        body = await refused(404, session.destroy())
        check(body["error_code"] == "SESSION_NOT_FOUND", body)
        await refused(409, session.exec("true"))
        check(await client.list_sessions() == [], "the list is empty")
        async with await client.create_session(image="host") as scoped:
            check((await scoped.exec("echo in a block")).output == "in a block\n", "a session in a block")
        check(await client.list_sessions() == [], "the block destroyed its session")
        print("destroy: once, and by leaving a block")
        await workspaces(client, url, key)
        body = await refused(400, client.create_session(image="no-such-image"))
        check(body["error_code"] == "INVALID_IMAGE", body)
    async with SandboxClient(base_url=url, api_key="wrong") as stranger:
        check((await refused(401, stranger.list_sessions()))["error_code"] == "UNAUTHORIZED", "a wrong key")


asyncio.run(main())
