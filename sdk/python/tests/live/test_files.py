"""Files of sessions and workspaces."""

import hashlib
import io
import secrets
import tarfile
from contextlib import aclosing
from pathlib import Path

import pytest

from sandkasten import SandboxClient, Session
from sandkasten.exceptions import (
    DirectoryNotEmptyError,
    EditMismatchError,
    FileChangedError,
    InvalidRequestError,
    IsDirectoryError,
    LimitExceededError,
    NoSpaceError,
    PermissionDeniedError,
    SandboxFileExistsError,
    SandboxFileNotFoundError,
    SandkastenAPIError,
    SandkastenStreamBrokenError,
    WorkspaceExistsError,
    WorkspaceInUseError,
    WorkspaceNotFoundError,
)
from sandkasten.types import FileChange, StringEdit, WatchEnd, WatchReady


async def test_small_files_go_in_and_out(session: Session, tmp_path: Path) -> None:
    await session.write("a/b.bin", b"\x00\xff" * 10)
    await session.write("/workspace/t.txt", "grüße")
    read = await session.read("a/b.bin", max_bytes=3)
    assert (read.content, read.path, read.truncated) == (b"\x00\xff\x00", "/workspace/a/b.bin", True)
    assert (await session.read("t.txt")).content.decode() == "grüße"
    local = tmp_path / "local.txt"
    local.write_text("up")
    assert await session.upload(local, filename="other.txt") == ["/workspace/other.txt"]
    assert await session.upload(io.BytesIO(b"x"), dest_path="/workspace/sub", filename="x") == ["/workspace/sub/x"]
    with pytest.raises(ValueError, match="filename"):
        await session.upload(io.BytesIO(b"x"))
    with pytest.raises(FileNotFoundError):
        await session.upload(tmp_path)
    with pytest.raises(SandboxFileNotFoundError):
        await session.read("missing")
    with pytest.raises(InvalidRequestError):
        await session.write("/etc/passwd", "x")


async def test_files_of_any_size_are_streamed(session: Session, tmp_path: Path) -> None:
    source, target = tmp_path / "big", tmp_path / "back"
    content = secrets.token_bytes(1 << 20) * 20
    source.write_bytes(content)
    written = await session.files.upload(source, "dir/big", mode="0600")
    assert (written.path, written.size) == ("/workspace/dir/big", len(content))
    target.write_text("old")
    assert await session.files.download("dir/big", target) == len(content)
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(content).digest()
    opened = io.BytesIO()
    assert await session.files.download("dir/big", opened) == len(content)
    assert opened.getvalue() == content
    assert await session.files.read("dir/big", offset=len(content) - 3) == content[-3:]
    assert await session.files.read("dir/big", offset=1, length=4) == content[1:5]
    assert await session.files.read("dir/big", offset=len(content) + 1, length=4) == b""
    with pytest.raises(ValueError, match="part"):
        await session.files.read("dir/big", length=0)
    async with aclosing(session.files.stream("dir/big", offset=10)) as pieces:
        async for piece in pieces:
            assert content[10:].startswith(piece)
            break
    assert (await session.files.upload(io.BytesIO(b"open"), "open")).size == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "big"]


async def test_a_download_that_fails_leaves_what_was_there(session: Session, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_text("kept")
    with pytest.raises(SandboxFileNotFoundError):
        await session.files.download("missing", target)
    with pytest.raises(IsADirectoryError):
        await session.files.download("missing", tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("kept", "kept")]


async def test_directories_are_made_listed_moved_copied_and_removed(session: Session) -> None:
    files = session.files
    await files.mkdir("a/b", parents=True, mode="0750")
    await files.write("a/b/one.py", "x = 1\n")
    await files.write("a/two.txt", "", mode="0640")
    assert [entry.path for entry in (await files.list("a")).entries] == ["/workspace/a/b", "/workspace/a/two.txt"]
    assert [entry.name for entry in (await files.list(glob="*.py")).entries] == ["one.py"]
    tree = await files.tree()
    assert [entry.name for entry in tree.entries] == ["a", "b", "one.py", "two.txt"]
    assert not tree.truncated
    entry = await files.stat("a/two.txt")
    assert (entry.type, entry.size, entry.mode) == ("file", 0, "0640")
    await files.chmod("a/two.txt", "0600")
    assert (await files.stat("a/two.txt")).mode == "0600"
    copied = await files.copy("a", "c")
    assert (copied.entries, copied.skipped) == (4, 0)
    await files.move("c/b/one.py", "c/three.py")
    with pytest.raises(SandboxFileExistsError):
        await files.move("c/three.py", "a/two.txt")
    await files.move("c/three.py", "a/two.txt", overwrite=True)
    assert await files.read_text("a/two.txt") == "x = 1\n"
    await session.exec("ln -s /etc/passwd link")
    link = await files.stat("link")
    assert (link.type, link.target) == ("symlink", "/etc/passwd")
    with pytest.raises(DirectoryNotEmptyError):
        await files.remove("a")
    with pytest.raises(IsDirectoryError):
        await files.read("a")
    await files.remove("a", recursive=True)
    with pytest.raises(SandboxFileNotFoundError):
        await files.stat("a")


async def test_files_are_searched_and_edited(session: Session) -> None:
    files = session.files
    await files.write("src/main.py", "def one():\n    return 1\n\ndef two():\n    return 2\n")
    found = await files.search(regex=r"def \w+", path="src", glob="*.py", context=1)
    assert [(match.line, match.column, match.text) for match in found.matches] == [(1, 1, "def one():"), (4, 1, "def two():")]
    assert (found.matches[0].before, found.matches[0].after) == ([], ["    return 1"])
    assert (found.files_searched, found.truncated) == (1, False)
    assert len((await files.search("RETURN", ignore_case=True, max_matches=1)).matches) == 1
    with pytest.raises(ValueError, match="literal"):
        await files.search()
    edited = await files.edit("src/main.py", [("return 1", "return 10"), StringEdit("def ", "async def ", replace_all=True)])
    assert edited.changes == 3
    content = await files.read("src/main.py")
    assert (edited.size, edited.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    with pytest.raises(EditMismatchError):
        await files.edit("src/main.py", [("no such line", "")])
    with pytest.raises(FileChangedError):
        await files.edit("src/main.py", [("10", "11")], expect_sha256="0" * 64)
    diff = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n async def one():\n-    return 10\n+    return 12\n"
    patched = await files.patch("src/main.py", diff, expect_sha256=edited.sha256)
    assert [(hunk.line, hunk.offset) for hunk in patched.hunks] == [(1, 0)]


async def test_changes_are_told_as_they_happen(session: Session) -> None:
    await session.files.mkdir("seen")
    changes = []
    async for event in session.files.watch("seen", recursive=True):
        if isinstance(event, WatchReady):
            assert (event.path, event.directories) == ("/workspace/seen", 1)
            await session.exec("cd seen; echo x > a; mv a b; rm b; cd ..; rmdir seen")
        elif isinstance(event, FileChange):
            changes.append((event.kind, event.path, event.from_))
        else:
            assert isinstance(event, WatchEnd)
            assert event.reason == "removed"
    assert ("renamed", "/workspace/seen/b", "/workspace/seen/a") in changes
    assert changes[-1][:2] == ("removed", "/workspace/seen/b")


async def test_directories_travel_as_archives(session: Session, tmp_path: Path) -> None:
    await session.files.write("src/deep/a.txt", "packed")
    target = tmp_path / "src.tar"
    size = await session.files.download_archive("src", target)
    assert size == target.stat().st_size
    with tarfile.open(target) as archive:
        names = [name.removeprefix("./") for name in archive.getnames()]
    assert "deep/a.txt" in names
    assert (await session.files.upload_archive(target, "copy")).size == len("packed")
    assert await session.files.read_text("copy/deep/a.txt") == "packed"
    packed = b"".join([piece async for piece in session.files.stream_archive("src", format="tar.zst")])
    assert packed.startswith(b"\x28\xb5\x2f\xfd")
    await session.files.upload_archive(packed, "again", format="tar.zst")
    assert await session.files.read_text("again/deep/a.txt") == "packed"
    with pytest.raises(ValueError, match="zip"):
        await session.files.download_archive("src", target, format="zip")
    with pytest.raises(SandkastenAPIError):
        await session.files.upload_archive(b"no archive at all" * 100, "bad")


async def test_what_may_not_be_done_is_named(session: Session) -> None:
    await session.exec("mkdir locked; touch locked/x; chmod 0 locked")
    with pytest.raises(PermissionDeniedError):
        await session.files.read("locked/x")
    await session.exec("head -c 1G /dev/zero > big")
    with pytest.raises(NoSpaceError):
        await session.files.write("more", bytes(1 << 16))
    with pytest.raises(LimitExceededError):
        await session.write("more", bytes(1 << 16))
    with pytest.raises((NoSpaceError, SandkastenStreamBrokenError)):
        await session.files.write("more", bytes(64 << 20))
    assert [entry.name for entry in (await session.files.list()).entries] == ["big", "locked"]


async def test_a_workspace_has_files_without_a_session(client: SandboxClient) -> None:
    name = f"user-{secrets.token_hex(4)}"
    workspace = client.workspace(name)
    assert workspace.id == name
    with pytest.raises(WorkspaceNotFoundError):
        await workspace.files.list()
    await workspace.files.write("src/a.txt", "kept")
    assert [entry.path for entry in (await workspace.files.tree()).entries] == ["src", "src/a.txt"]
    async with await client.create_session(workspace_id=name) as session:
        assert (await session.exec("cat src/a.txt")).output == "kept"
        assert (await session.info()).workspace_id == name
        with pytest.raises(WorkspaceInUseError):
            await client.delete_workspace(name)
    listed = {info.id: info for info in await client.list_workspaces()}
    assert (listed[name].files, listed[name].labels) == (1, {"sandkasten.workspace_id": name})
    copy, renamed, empty = f"{name}-copy", f"{name}-renamed", f"{name}-empty"
    assert (await client.copy_workspace(name, copy)).id == copy
    await client.rename_workspace(copy, renamed)
    assert await client.workspace(renamed).files.read_text("src/a.txt") == "kept"
    assert (await client.create_workspace(empty)).created_at
    with pytest.raises(WorkspaceExistsError):
        await client.create_workspace(empty)
    for one in (name, renamed, empty):
        await client.delete_workspace(one)
    assert {info.id for info in await client.list_workspaces()}.isdisjoint({name, copy, renamed, empty})
