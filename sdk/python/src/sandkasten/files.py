"""Files of a session or a workspace."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import aclosing
from typing import BinaryIO

from sandkasten._blocking import AsyncContent, AsyncStream, blocking
from sandkasten._core import files
from sandkasten._core.answer import MAX_ANSWER_BYTES
from sandkasten._core.local_file import PartialFile, open_regular
from sandkasten._core.request import Request
from sandkasten.exceptions import InvalidRequestError, SandkastenProtocolError
from sandkasten.transport import Transport
from sandkasten.types import (
    CopiedFiles,
    EditResult,
    FileEntry,
    FileList,
    SearchResult,
    StringEdit,
    UnpackedArchive,
    WatchEvent,
    WrittenFile,
)

#: How much of a local file is read or written at once.
PIECE = 1024 * 1024


class Files:
    """Files of a session (`session.files`) or a workspace (`client.workspace(id).files`).

    Paths of a session are absolute below /workspace or relative to it, those of a workspace go from it on. Every method raises
    a SandkastenAPIError of a class for its code where the daemon refuses, such as SandboxFileNotFoundError, PermissionDeniedError
    or NoSpaceError. Modes are permission bits in octal, as text: "0644".
    """

    def __init__(self, transport: Transport, root: str) -> None:
        self._transport = transport
        self._root = root

    async def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Reads a file, or `length` bytes of it from `offset` on; nothing where that is behind its end.

        What is returned is held in memory: 256 MiB at most. `download` and `stream` take files of any size.

        Raises:
            ValueError: The part begins before the file, or is empty.
            SandkastenProtocolError: The file is larger than 256 MiB.
        """
        content = bytearray()
        try:
            async with aclosing(self.stream(path, offset=offset, length=length)) as pieces:
                async for piece in pieces:
                    content += piece
                    if len(content) > MAX_ANSWER_BYTES:
                        raise SandkastenProtocolError(
                            f"{path!r} has more than {MAX_ANSWER_BYTES} bytes: use download, stream or length"
                        )
        except InvalidRequestError as error:
            if error.status == 416:
                return b""
            raise
        return bytes(content)

    async def read_text(self, path: str) -> str:
        """Reads a file as UTF-8.

        Raises:
            UnicodeDecodeError: It is none.
        """
        return (await self.read(path)).decode()

    async def stream(self, path: str, *, offset: int = 0, length: int | None = None) -> AsyncStream[bytes]:
        """Gives the bytes of a file, or of a part of it, in pieces as they come.

        Raises:
            SandkastenStreamBrokenError: It ended short, such as where the session ended.
        """
        async with aclosing(self._transport.pieces(files.download(self._root, path, offset, length))) as pieces:
            async for piece in pieces:
                yield piece

    async def download(self, path: str, destination: str | os.PathLike[str] | BinaryIO) -> int:
        """Writes a file of any size to a local path or an open file, and returns how many bytes it has.

        A local path gets its name when it is whole, and what was there is replaced then.

        Raises:
            OSError: The local file cannot be written.
            SandkastenStreamBrokenError: The download ended short.
        """
        return await self._save(files.download(self._root, path, 0, None), destination)

    async def write(self, path: str, content: AsyncContent, *, mode: str | None = None) -> WrittenFile:
        """Writes a file of any size: text as UTF-8, bytes, or pieces of them. Missing parents are made.

        The new content appears whole or not at all.

        Raises:
            NoSpaceError: There is no room for it.
            SandkastenStreamBrokenError: It was broken off, perhaps for that reason.
        """
        data = content.encode() if isinstance(content, str) else content
        return await self._transport.run(files.upload(self._root, path, data, mode))

    async def upload(self, source: str | os.PathLike[str] | BinaryIO, path: str, *, mode: str | None = None) -> WrittenFile:
        """Writes a local file, or what an open one gives, of any size, to a path inside.

        Raises:
            OSError: The local file cannot be read.
            NoSpaceError, SandkastenStreamBrokenError: As for `write`.
        """
        async with aclosing(_read(source)) as pieces:
            return await self._transport.run(files.upload(self._root, path, pieces, mode))

    async def stat(self, path: str) -> FileEntry:
        """Looks at one file; of a link at itself."""
        return await self._transport.run(files.stat(self._root, path))

    async def list(self, path: str | None = None, *, depth: int | None = None, glob: str | None = None) -> FileList:
        """Lists a directory: one level of it, or `depth` levels, at most 100.

        A glob without a slash is about names, one with a slash about paths; it lists all levels unless `depth` is given.
        """
        return await self._transport.run(files.list_directory(self._root, path, depth, glob))

    async def tree(self, path: str | None = None) -> FileList:
        """Lists a directory with all that is below it."""
        return await self.list(path, depth=100)

    async def mkdir(self, path: str, *, parents: bool = False, mode: str | None = None) -> None:
        """Makes a directory; with `parents` missing ones too, and then one that is there is no error."""
        await self._transport.run(files.mkdir(self._root, path, parents, mode))

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Moves a file or directory.

        Raises:
            SandboxFileExistsError: The target is there, and `overwrite` is not given.
        """
        await self._transport.run(files.move(self._root, source, target, overwrite))

    async def copy(self, source: str, target: str, *, overwrite: bool = False) -> CopiedFiles:
        """Copies a file, or a directory with all that is in it.

        Raises:
            SandboxFileExistsError: The target is there, and `overwrite` is not given.
        """
        return await self._transport.run(files.copy(self._root, source, target, overwrite))

    async def chmod(self, path: str, mode: str) -> None:
        """Sets the permission bits of a file or directory."""
        await self._transport.run(files.chmod(self._root, path, mode))

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        """Removes a file or an empty directory; with `recursive` also what is in it."""
        await self._transport.run(files.remove(self._root, path, recursive))

    async def search(
        self,
        literal: str | None = None,
        *,
        regex: str | None = None,
        path: str | None = None,
        glob: str | None = None,
        context: int | None = None,
        ignore_case: bool = False,
        max_matches: int | None = None,
    ) -> SearchResult:
        """Searches files below a directory for a text or a regular expression of Rust's `regex` crate.

        Args:
            literal, regex: What to look for; one of them.
            path: Where; all of /workspace where absent.
            glob: In which files, by name or path.
            context: How many lines around a match are returned.
            ignore_case: Whether upper and lower case are the same.
            max_matches: How many matches end the search; 100 where absent.

        Raises:
            ValueError: Not exactly one of `literal` and `regex` is given.
        """
        return await self._transport.run(
            files.search(
                self._root,
                literal,
                regex=regex,
                path=path,
                glob=glob,
                context=context,
                ignore_case=ignore_case,
                max_matches=max_matches,
            )
        )

    async def edit(
        self, path: str, edits: Sequence[StringEdit | tuple[str, str]], *, expect_sha256: str | None = None
    ) -> EditResult:
        """Replaces strings of a file: each `(old, new)`, where `old` must be in it exactly once.

        Args:
            path: The file.
            edits: What to replace, in order; a StringEdit can replace all occurrences.
            expect_sha256: The SHA-256 that the file must have.

        Raises:
            EditMismatchError: An `old` is not there, or not in one place.
            FileChangedError: The file is another than the expected one, or changed meanwhile.
        """
        return await self._transport.run(files.edit(self._root, path, edits, expect_sha256))

    async def patch(self, path: str, diff: str, *, expect_sha256: str | None = None) -> EditResult:
        """Applies a unified diff of one file.

        Raises:
            EditMismatchError: A line of it is not there, or not in one place.
            FileChangedError: The file is another than the expected one, or changed meanwhile.
        """
        return await self._transport.run(files.patch(self._root, path, diff, expect_sha256))

    async def watch(self, path: str | None = None, *, recursive: bool = False) -> AsyncStream[WatchEvent]:
        """Tells what changes in a directory: WatchReady first, a FileChange each, and WatchOverflow or WatchEnd as the last.

        Raises:
            LimitExceededError: There are too many watches.
            SandkastenStreamBrokenError: The connection went away.
        """
        async with aclosing(self._transport.events(files.watch(self._root, path, recursive))) as events:
            async for event in events:
                yield event

    async def stream_archive(self, path: str, *, format: str = "tar") -> AsyncStream[bytes]:  # noqa: A002 it is the API's word
        """Gives a directory as an archive, in pieces as they come; `format` is `tar` or `tar.zst`."""
        async with aclosing(self._transport.pieces(files.archive(self._root, path, format))) as pieces:
            async for piece in pieces:
                yield piece

    async def download_archive(
        self,
        path: str,
        destination: str | os.PathLike[str] | BinaryIO,
        *,
        format: str = "tar",  # noqa: A002
    ) -> int:
        """Writes a directory as an archive to a local path or an open file, and returns how many bytes that has.

        The names and links in it are the sandbox's: unpack it with what refuses those that lead out, such as
        `tarfile.extractall(filter="data")`.
        """
        return await self._save(files.archive(self._root, path, format), destination)

    async def upload_archive(
        self,
        source: str | os.PathLike[str] | BinaryIO | bytes,
        path: str,
        *,
        format: str = "tar",  # noqa: A002
    ) -> UnpackedArchive:
        """Unpacks a local archive, or what an open file gives, into a directory inside, which is made.

        Raises:
            InvalidRequestError: It is no such archive, or holds what is refused; what came before that stays.
        """
        if isinstance(source, bytes):
            return await self._transport.run(files.unpack(self._root, path, source, format))
        async with aclosing(_read(source)) as pieces:
            return await self._transport.run(files.unpack(self._root, path, pieces, format))

    async def _save(self, request: Request, destination: str | os.PathLike[str] | BinaryIO) -> int:
        async with aclosing(self._transport.pieces(request)) as pieces:
            if not isinstance(destination, (str, os.PathLike)):
                return await _copy(pieces, destination)
            partial = await blocking(lambda: PartialFile(destination))
            try:
                size = await _copy(pieces, partial.file)
                await blocking(partial.keep)
            except BaseException:
                partial.discard()
                raise
            return size


async def _copy(pieces: AsyncStream[bytes], file: BinaryIO) -> int:
    size = 0
    gathered = bytearray()
    async for piece in pieces:
        size += len(piece)
        gathered += piece
        if len(gathered) >= PIECE:
            full, gathered = gathered, bytearray()
            await blocking(lambda full=full: file.write(full))  # type: ignore[misc]
    await blocking(lambda: file.write(gathered))
    return size


async def _read(source: str | os.PathLike[str] | BinaryIO) -> AsyncStream[bytes]:
    if not isinstance(source, (str, os.PathLike)):
        while piece := await blocking(lambda: source.read(PIECE)):
            yield piece
        return
    with await blocking(lambda: open_regular(source)) as file:
        while piece := await blocking(lambda: file.read(PIECE)):
            yield piece
