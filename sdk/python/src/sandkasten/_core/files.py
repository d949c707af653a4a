"""Files of sessions and workspaces, which take the same calls."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO

import httpx

from sandkasten._core.answer import event_as, named, parse, read_as
from sandkasten._core.request import Call, EventCall, Form, Request, body, ignored, query
from sandkasten._core.sessions import HEARTBEAT
from sandkasten._core.sse import ServerEvent
from sandkasten.exceptions import SandkastenProtocolError

#: What an archive of a directory is written as.
FORMATS = ("tar", "tar.zst")


@dataclass
class ReadResult:
    """A file's content, as Session.read gives it."""

    content: bytes = field(metadata=named("content_base64"))
    """The content, or as much as was asked for"""

    path: str
    """The path that was read, absolute"""

    truncated: bool
    """Whether the file goes on behind it"""


@dataclass(frozen=True)
class WrittenFile:
    """Where an upload went."""

    path: str
    """The file, absolute"""

    size: int = field(metadata=named("bytes"))
    """How many bytes it has"""


@dataclass(frozen=True)
class FileEntry:
    """One file, links not followed. Bytes of a name that are no UTF-8 appear as U+FFFD."""

    name: str
    """The last part of its path"""

    path: str
    """Its path, absolute; in a workspace from that on"""

    type: str
    """`file`, `directory`, `symlink`, `fifo`, `socket` or `device`"""

    size: int
    """Its size in bytes"""

    mode: str
    """Its permission bits in octal, four digits"""

    mtime: str
    """When its content last changed, RFC 3339 in UTC"""

    target: str | None = None
    """Where a link leads, as it says so itself"""


@dataclass(frozen=True)
class FileList:
    """What is in a directory."""

    path: str
    """The directory, absolute"""

    entries: list[FileEntry]
    """What is in it, by name, each directory before what is in it; 10,000 at most"""

    truncated: bool
    """Whether there is more"""


@dataclass(frozen=True)
class CopiedFiles:
    """What a copy has made."""

    entries: int
    """Files, directories and links that were copied"""

    size: int = field(metadata=named("bytes"))
    """Bytes of content that were copied"""

    skipped: int = 0
    """Pipes, sockets and devices, which are left out"""


@dataclass(frozen=True)
class UnpackedArchive:
    """What an archive held."""

    entries: int
    """How many entries"""

    size: int = field(metadata=named("bytes"))
    """Bytes of content"""


@dataclass(frozen=True)
class SearchMatch:
    """A line with a match."""

    path: str
    """The file, absolute"""

    line: int
    """The line, from 1 on"""

    column: int
    """The character that the match begins with, from 1 on"""

    text: str
    """The line; of one with more than 1,000 bytes, what is around the match"""

    before: list[str] = field(default_factory=list)
    """Lines before it, with `context`"""

    after: list[str] = field(default_factory=list)
    """Lines after it, with `context`"""


@dataclass(frozen=True)
class SearchResult:
    """What a search has found."""

    matches: list[SearchMatch]
    """Lines with a match, by path and line"""

    files_searched: int
    """How many files were searched"""

    files_skipped: int
    """How many were not: binary, too large, or not readable"""

    truncated: bool
    """Whether a limit ended the search"""


@dataclass(frozen=True)
class StringEdit:
    """One string for another."""

    old: str
    """What is there, in one place only unless all are replaced"""

    new: str
    """What takes its place"""

    replace_all: bool = False
    """Whether every occurrence is replaced"""


@dataclass(frozen=True)
class EditedHunk:
    """Where a hunk of a patch was applied."""

    line: int
    """The line of the old content, from 1 on"""

    offset: int
    """How many lines that is from where the patch has it"""


@dataclass(frozen=True)
class EditResult:
    """A file after an edit."""

    path: str
    """The file, absolute"""

    size: int = field(metadata=named("bytes"))
    """Its size in bytes"""

    changes: int = 0
    """How many strings were replaced, or hunks applied"""

    sha256: str = ""
    """The SHA-256 of its new content, for `expect_sha256` of the next edit"""

    hunks: list[EditedHunk] = field(default_factory=list)
    """Where each hunk was applied; with a patch"""


@dataclass(frozen=True)
class WatchReady:
    """The first event of a watch: what changes from now on is told."""

    path: str
    """The directory, absolute"""

    directories: int
    """How many directories are watched"""


@dataclass(frozen=True)
class FileChange:
    """A file has changed."""

    path: str
    """Where, absolute"""

    kind: str
    """`created`, `modified`, `removed`, `renamed` or `attributes`"""

    is_dir: bool
    """Whether it is a directory"""

    from_: str | None = field(default=None, metadata=named("from"))
    """The old path of what was renamed"""


@dataclass(frozen=True)
class WatchOverflow:
    """The last event of a watch: changes were lost. List anew, and watch again."""

    reason: str
    """Why, in words"""


@dataclass(frozen=True)
class WatchEnd:
    """The last event of a watch: there is nothing to watch any more."""

    reason: str
    """`session` or `removed`"""


WatchEvent = WatchReady | FileChange | WatchOverflow | WatchEnd
_WATCH_EVENTS: dict[str, type[WatchReady] | type[FileChange] | type[WatchOverflow] | type[WatchEnd]] = {
    "ready": WatchReady,
    "change": FileChange,
    "overflow": WatchOverflow,
    "end": WatchEnd,
}


def read_small(root: str, path: str, max_bytes: int | None) -> Call[ReadResult]:
    """Reads a file in JSON: up to 10 MiB, or what is asked for, at most 100 MiB."""
    return Call(Request("GET", f"{root}/read", query=query(path=path, max_bytes=max_bytes)), read_as(ReadResult))


def write_small(root: str, path: str, content: str | bytes) -> Call[None]:
    """Writes a file in JSON."""
    data = content.encode() if isinstance(content, str) else content
    fields = {"path": path, "content_base64": base64.b64encode(data).decode("ascii")}
    return Call(Request("POST", f"{root}/write", json=fields), ignored)


def upload_form(root: str, directory: str, filename: str, file: IO[bytes]) -> Call[list[str]]:
    """Uploads a file as a form."""

    def read(response: httpx.Response) -> list[str]:
        value = parse(response.content, "the answer")
        paths = value.get("paths") if isinstance(value, dict) else None
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise SandkastenProtocolError("the answer names no paths of uploaded files")
        return paths

    form = Form({"path": directory}, [("file", (filename, file))])
    return Call(Request("POST", f"{root}/upload", form=form), read)


def download(root: str, path: str, offset: int, length: int | None) -> Request:
    """Gets a file, or a part of it.

    Raises:
        ValueError: The part begins before the file, or is empty.
    """
    if offset < 0 or (length is not None and length < 1):
        raise ValueError(f"a part of a file begins at 0 or later and has at least 1 byte, not {offset} and {length}")
    headers = {}
    if offset > 0 or length is not None:
        headers["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
    return Request("GET", f"{root}/raw", query=query(path=path), headers=headers)


def upload(root: str, path: str, content: bytes | Iterable[bytes] | AsyncIterable[bytes], mode: str | None) -> Call[WrittenFile]:
    """Writes a file of any size."""
    return Call(Request("PUT", f"{root}/raw", query=query(path=path, mode=mode), content=content), read_as(WrittenFile))


def stat(root: str, path: str) -> Call[FileEntry]:
    """Looks at one file."""
    return Call(Request("GET", f"{root}/stat", query=query(path=path)), read_as(FileEntry))


def list_directory(root: str, path: str | None, depth: int | None, glob: str | None) -> Call[FileList]:
    """Lists a directory."""
    return Call(Request("GET", f"{root}/list", query=query(path=path, depth=depth, glob=glob)), read_as(FileList))


def mkdir(root: str, path: str, parents: bool, mode: str | None) -> Call[None]:
    """Makes a directory."""
    return Call(Request("POST", f"{root}/mkdir", json=body(path=path, parents=parents or None, mode=mode)), ignored)


def move(root: str, source: str, target: str, overwrite: bool) -> Call[None]:
    """Moves a file."""
    return Call(Request("POST", f"{root}/move", json=_from_to(source, target, overwrite)), ignored)


def copy(root: str, source: str, target: str, overwrite: bool) -> Call[CopiedFiles]:
    """Copies a file or directory."""
    return Call(Request("POST", f"{root}/copy", json=_from_to(source, target, overwrite)), read_as(CopiedFiles))


def _from_to(source: str, target: str, overwrite: bool) -> dict[str, object]:
    return {"from": source, "to": target, "overwrite": overwrite}


def chmod(root: str, path: str, mode: str) -> Call[None]:
    """Sets permission bits."""
    return Call(Request("POST", f"{root}/chmod", json={"path": path, "mode": mode}), ignored)


def remove(root: str, path: str, recursive: bool) -> Call[None]:
    """Removes a file or directory."""
    return Call(Request("DELETE", f"{root}/remove", query=query(path=path, recursive=recursive)), ignored)


def search(
    root: str,
    literal: str | None,
    *,
    regex: str | None,
    path: str | None,
    glob: str | None,
    context: int | None,
    ignore_case: bool,
    max_matches: int | None,
) -> Call[SearchResult]:
    """Searches files.

    Raises:
        ValueError: Not exactly one of `literal` and `regex` is given.
    """
    if (literal is None) == (regex is None):
        raise ValueError("give a literal text or a regular expression, and not both")
    fields = body(
        literal=literal,
        regex=regex,
        path=path,
        glob=glob,
        context=context,
        ignore_case=ignore_case or None,
        max_matches=max_matches,
    )
    return Call(Request("POST", f"{root}/search", json=fields), read_as(SearchResult))


def edit(root: str, path: str, edits: Sequence[StringEdit | tuple[str, str]], expect_sha256: str | None) -> Call[EditResult]:
    """Replaces strings of a file."""
    each = [change if isinstance(change, StringEdit) else StringEdit(*change) for change in edits]
    written = [{"old": change.old, "new": change.new, "replace_all": change.replace_all} for change in each]
    return _edit(root, body(path=path, edits=written, expect_sha256=expect_sha256))


def patch(root: str, path: str, diff: str, expect_sha256: str | None) -> Call[EditResult]:
    """Applies a unified diff to a file."""
    return _edit(root, body(path=path, patch=diff, expect_sha256=expect_sha256))


def _edit(root: str, fields: dict[str, object]) -> Call[EditResult]:
    return Call(Request("POST", f"{root}/edit", json=fields), read_as(EditResult))


def watch(root: str, path: str | None, recursive: bool) -> EventCall[WatchEvent]:
    """Tells what changes in a directory."""

    def read(_: httpx.Headers, event: ServerEvent) -> WatchEvent | None:
        cls = _WATCH_EVENTS.get(event.name)
        return event_as(cls, event) if cls is not None else None

    request = Request("GET", f"{root}/watch", query=query(path=path, recursive=recursive), patience=4 * HEARTBEAT)
    return EventCall(request, read, last=frozenset({"overflow", "end"}))


def archive(root: str, path: str, format: str) -> Request:  # noqa: A002 it is the API's word
    """Gets a directory as an archive."""
    return Request("GET", f"{root}/archive", query=query(path=path, format=_known(format)))


def unpack(
    root: str,
    path: str,
    content: bytes | Iterable[bytes] | AsyncIterable[bytes],
    format: str,  # noqa: A002
) -> Call[UnpackedArchive]:
    """Unpacks an archive into a directory."""
    return Call(
        Request("PUT", f"{root}/archive", query=query(path=path, format=_known(format)), content=content),
        read_as(UnpackedArchive),
    )


def _known(archive_format: str) -> str:
    if archive_format not in FORMATS:
        raise ValueError(f"{archive_format!r} is no format of archives: take one of {', '.join(FORMATS)}")
    return archive_format
