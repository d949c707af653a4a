# Generated from _reach.py by tools/make_sync.py; do not edit.
"""What agent frameworks ask of a sandbox beyond the API: commands with any input, and files at any path."""

from __future__ import annotations

import binascii
import errno
import os
import posixpath
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import httpx

from sandkasten.exceptions import (
    InvalidRequestError,
    IsDirectoryError,
    NoSpaceError,
    NotDirectoryError,
    NotRegularFileError,
    PermissionDeniedError,
    SandboxFileNotFoundError,
    SandkastenAPIError,
    SandkastenError,
    SandkastenStreamError,
    SessionNotRunningError,
)
from sandkasten.sync.session import Session

#: Where a session's files are reached by the API, and where commands begin.
WORKSPACE = "/workspace"

#: The most that a command takes on its way: of arguments, and of input.
MOST_ON_THE_WAY = 512 * 1024

#: The codes of a stream whose session has ended.
ENDED = ("SESSION_NOT_RUNNING", "SESSION_EXPIRED", "SESSION_NOT_FOUND")

#: How long a file outside of /workspace is read or written at most, in milliseconds.
LONGEST_MS = 120_000

_NO_SUCH, _IS_DIRECTORY, _NOT_ALLOWED, _NOT_REGULAR = 71, 72, 73, 74

# Prints a file so that every byte of it survives: what commands print is text.
_READ = f"""
[ -d "$1" ] && exit {_IS_DIRECTORY}
[ -e "$1" ] || exit {_NO_SUCH}
[ -f "$1" ] || exit {_NOT_REGULAR}
[ -r "$1" ] || exit {_NOT_ALLOWED}
exec base64 <"$1"
"""

_WRITE = f"""
[ -d "$1" ] && exit {_IS_DIRECTORY}
[ ! -e "$1" ] || [ -f "$1" ] || exit {_NOT_REGULAR}
mkdir -p -- "$(dirname -- "$1")" && {{ true >>"$1"; }} 2>/dev/null || exit {_NOT_ALLOWED}
exec cat >"$1"
"""


@dataclass(frozen=True)
class Outcome:
    """How a command ended, with all that it printed."""

    exit_code: int
    """Its status"""

    stdout: str
    """Its standard output, as it was written; what is no UTF-8 is replaced"""

    stderr: str
    """Its standard error, likewise"""


class OutputLimitError(SandkastenError):
    """A command printed, or a file has, more than is taken: the command was ended.

    Attributes:
        output: What came until then, of the stream that was too long; None of a file.
    """

    def __init__(self, message: str, output: str | None = None) -> None:
        super().__init__(message)
        self.output = output


def run(
    session: Session,
    argv: Sequence[str],
    *,
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    timeout_ms: int | None = None,
    user: str | None = None,
    max_bytes: int,
) -> Outcome:
    """Runs a program in a fresh process, beside all others, with arguments and an input of any size.

    Args:
        session: Where.
        argv: The program and its arguments; looked for in PATH.
        stdin: Its input: text, or bytes.
        env, user: As for Session.exec.
        cwd: Where it begins: absolute, or from /workspace on.
        timeout_ms: After how many milliseconds it is ended; None for the daemon's maximum.
        max_bytes: How much of each output is taken at most.

    Raises:
        TimeoutError: It ran past its timeout, and was ended.
        SessionNotRunningError: The session has ended under it.
        OutputLimitError: It printed more, and was ended.
    """
    where = posixpath.join(WORKSPACE, cwd) if cwd is not None else None
    pieces: dict[str | None, list[str]] = {"stdout": [], "stderr": []}
    sizes: dict[str | None, int] = {"stdout": 0, "stderr": 0}
    given = _Given(session, argv, stdin)
    try:
        command = given.command()
        with closing(
            session.exec_stream(
                argv=command,
                stdin=given.stdin,
                env=env,
                cwd=where,
                timeout_ms=timeout_ms,
                user=user,
                shell="none",
                separate_output=True,
                raw_output=True,
            )
        ) as chunks:
            for chunk in chunks:
                if chunk.done:
                    return Outcome(chunk.exit_code, "".join(pieces["stdout"]), "".join(pieces["stderr"]))
                sizes[chunk.stream] += len(chunk.output.encode())
                pieces[chunk.stream].append(chunk.output)
                if sizes[chunk.stream] > max_bytes:
                    text = "".join(pieces[chunk.stream])
                    raise OutputLimitError(f"{argv[0]!r} printed more than {max_bytes} bytes, and was ended", text)
    except SandkastenStreamError as error:
        if error.error_code == "COMMAND_TIMEOUT":
            raise TimeoutError(str(error)) from error
        if error.error_code in ENDED:
            raise SessionNotRunningError(str(error), error_code=error.error_code, details=error.details) from error
        raise
    finally:
        given.remove()
    raise AssertionError("a stream of output ends with what has ended it")


class _Given:
    """What a command is given. Where that is too much for a request it goes by way of files, which the command removes."""

    def __init__(self, session: Session, argv: Sequence[str], stdin: str | bytes | None) -> None:
        self._files = session.files
        self._argv = list(argv)
        self._left: list[str] = []
        self._input: bytes | None = None
        self.stdin: str | None = None
        stdin_bytes = stdin.encode("utf-8", "surrogateescape") if isinstance(stdin, str) else stdin or b""
        if len(stdin_bytes) <= MOST_ON_THE_WAY:
            try:
                self.stdin = stdin_bytes.decode() if stdin is not None else None
            except UnicodeDecodeError:
                self._input = stdin_bytes
        else:
            self._input = stdin_bytes

    def command(self) -> list[str]:
        """The program and arguments to run."""
        size = sum(len(argument.encode("utf-8", "surrogateescape")) + 1 for argument in self._argv)
        if self._input is None and size <= MOST_ON_THE_WAY:
            return self._argv
        name = f"{WORKSPACE}/.sandkasten-{secrets.token_hex(12)}"
        lines = ['/bin/rm -f -- "$0"']
        if self._input is not None:
            self._put(f"{name}.in", self._input)
            lines += [f"exec <{name}.in", f"/bin/rm -f -- {name}.in"]
        lines.append(f"exec {shlex.join(self._argv)}\n")
        self._put(name, "\n".join(lines).encode("utf-8", "surrogateescape"))
        return ["/bin/sh", name]

    def _put(self, path: str, content: bytes) -> None:
        self._left.append(path)
        self._files.write(path, content, mode="0600")

    def remove(self) -> None:
        """Removes what the command has not removed itself, because it was never run."""
        for path in self._left:
            try:
                self._files.remove(path)
            except (SandkastenAPIError, httpx.TransportError):
                # It is gone, as it should be, or the session or the daemon is.
                continue


def read(session: Session, path: str, *, max_bytes: int) -> bytes:
    """Reads a file at any path: absolute, or from /workspace on.

    Raises:
        FileNotFoundError, IsADirectoryError, PermissionError, OSError: It cannot be read.
        OutputLimitError: It has more than `max_bytes`.
    """
    where = absolute(path)
    with os_errors(path):
        if is_below_workspace(where):
            content = bytearray()
            with closing(session.files.stream(where)) as pieces:
                for piece in pieces:
                    content += piece
                    if len(content) > max_bytes:
                        raise OutputLimitError(f"{path!r} has more than {max_bytes} bytes")
            return bytes(content)
        try:
            encoded = max_bytes // 3 * 4 + max_bytes // 32 + 64
            command = ["/bin/sh", "-c", _READ, "sh", where]
            outcome = run(session, command, timeout_ms=LONGEST_MS, max_bytes=encoded)
        except OutputLimitError as error:
            raise OutputLimitError(f"{path!r} has more than {max_bytes} bytes") from error
    _raise_for(outcome, path)
    try:
        content_bytes = binascii.a2b_base64(outcome.stdout.encode("ascii"))
    except ValueError as error:
        raise OSError(errno.EIO, "base64 inside of the sandbox printed something else", path) from error
    if len(content_bytes) > max_bytes:
        raise OutputLimitError(f"{path!r} has more than {max_bytes} bytes")
    return content_bytes


def write(session: Session, path: str, content: bytes) -> None:
    """Writes a file at any path: absolute, or from /workspace on. Missing parents are made.

    Raises:
        IsADirectoryError, PermissionError: It cannot be written.
        OSError: Such as that the file system is full.
    """
    where = absolute(path)
    with os_errors(path):
        if not is_below_workspace(where):
            command = ["/bin/sh", "-c", _WRITE, "sh", where]
            _raise_for(run(session, command, stdin=content, timeout_ms=LONGEST_MS, max_bytes=MOST_ON_THE_WAY), path)
            return
        try:
            is_writable = int((session.files.stat(where)).mode, 8) & 0o222
        except SandboxFileNotFoundError:
            is_writable = 1
        # An upload puts a new file in the place of the old one, and would not be stopped by its mode.
        if not is_writable:
            raise PermissionError(errno.EACCES, "the file is read-only", path)
        session.files.write(where, content)


def absolute(path: str) -> str:
    """The path as the sandbox has it, without `..`: links are not looked at."""
    return posixpath.normpath(posixpath.join(WORKSPACE, path))


def is_below_workspace(path: str) -> bool:
    """Whether the API reaches it."""
    return path == WORKSPACE or path.startswith(f"{WORKSPACE}/")


@contextmanager
def os_errors(path: str) -> Iterator[None]:
    """Makes the refusals of a file those that Python has for its own files."""
    try:
        yield
    except SandboxFileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, error.message, path) from error
    except IsDirectoryError as error:
        raise IsADirectoryError(errno.EISDIR, error.message, path) from error
    except NotDirectoryError as error:
        raise NotADirectoryError(errno.ENOTDIR, error.message, path) from error
    except PermissionDeniedError as error:
        raise PermissionError(errno.EACCES, error.message, path) from error
    except NoSpaceError as error:
        raise OSError(errno.ENOSPC, error.message, path) from error
    except (InvalidRequestError, NotRegularFileError) as error:
        raise OSError(errno.EINVAL, error.message, path) from error


def _raise_for(outcome: Outcome, path: str) -> None:
    if outcome.exit_code == 0:
        return
    number = {_NO_SUCH: errno.ENOENT, _IS_DIRECTORY: errno.EISDIR, _NOT_ALLOWED: errno.EACCES}.get(outcome.exit_code)
    if outcome.exit_code == _NOT_REGULAR:
        raise OSError(errno.EINVAL, "it is no regular file", path)
    if number is None:
        raise OSError(errno.EIO, outcome.stderr[-500:] or f"status {outcome.exit_code}", path)
    raise OSError(number, os.strerror(number).lower(), path)
