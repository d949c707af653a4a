# Generated from session.py by tools/make_sync.py; do not edit.
"""A session: a sandbox with a shell that remembers, and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from sandkasten.sync._blocking import Stream, blocking
from sandkasten._core import exec as commands
from sandkasten._core import files, processes, sessions
from sandkasten._core.local_file import open_regular
from sandkasten._core.sessions import UNCHANGED, MaybeUnchanged
from sandkasten.exceptions import SessionExpiredError, SessionNotFoundError, SessionNotRunningError
from sandkasten.sync.files import Files
from sandkasten.sync.processes import Process
from sandkasten.sync.terminal import Terminal
from sandkasten.types import (
    ExecChunk,
    ExecResult,
    ProcessInfo,
    ReadResult,
    SessionEvent,
    SessionInfo,
    SessionStats,
    TerminalSize,
)

if TYPE_CHECKING:
    from sandkasten.sync.client import SandboxClient


class Session:
    """A session by its id. `SandboxClient.create_session` and `get_session` give one.

    As a context manager it destroys the session at the end of the block.
    """

    def __init__(self, client: SandboxClient, session_id: str) -> None:
        self._client = client
        self._transport = client._transport
        self._id = session_id
        self._root = f"{sessions.path(session_id)}/fs"
        self._files = Files(self._transport, self._root)

    @property
    def id(self) -> str:
        """Its id."""
        return self._id

    @property
    def files(self) -> Files:
        """Everything about files: listing, streaming, searching, editing, watching."""
        return self._files

    def exec(
        self,
        cmd: str | None = None,
        *,
        timeout_ms: int | None = 30000,
        raw_output: bool = False,
        argv: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | None = None,
        tty: TerminalSize | None = None,
        separate_output: bool = False,
        shell: str | None = None,
        max_output_bytes: int | None = None,
        on_limit: str | None = None,
        user: str | None = None,
        idempotency_key: str | None = None,
    ) -> ExecResult:
        """Runs a command, and returns when it has ended; whatever its status, that is no exception.

        Args:
            cmd: Shell text, run in a persistent shell: `cd`, variables and background jobs stay.
            timeout_ms: After how many milliseconds it is ended; None or 0 for the daemon's maximum.
            raw_output: Keeps escape sequences and CR LF.
            argv: A program and its arguments, in place of `cmd`.
            env: Variables for this command.
            cwd: An absolute directory to begin in; a persistent shell stays there.
            stdin: Text for its standard input, which is otherwise at its end.
            tty: Gives it a terminal of this size, in a fresh process.
            separate_output: Returns `stdout` and `stderr` apart.
            shell: Which persistent shell, `main` where absent; `none` for a fresh process.
            max_output_bytes: How much output is returned, of each stream, at most 1 MiB.
            on_limit: Which part of a longer output: `head`, `tail` or `head_tail`.
            user: `sandbox`, and nobody else.
            idempotency_key: Names this command, so that the same call again, also after a failure of the connection, waits
                for the first and returns its result. Without one a command is never sent twice.

        Raises:
            CommandTimeoutError: It ran past its timeout; `output` is what it had printed.
            SessionNotRunningError, SessionExpiredError, SessionNotFoundError: There is no session to run it.
            ValueError: Not exactly one of `cmd` and `argv` is given.
        """
        command = commands.Command(
            cmd=cmd,
            argv=argv,
            timeout_ms=timeout_ms,
            raw_output=raw_output,
            env=env,
            cwd=cwd,
            stdin=stdin,
            tty=tty,
            separate_output=separate_output,
            shell=shell,
            max_output_bytes=max_output_bytes,
            on_limit=on_limit,
            user=user,
        )
        return self._transport.run(commands.run(self._id, command, idempotency_key))

    def exec_stream(
        self,
        cmd: str | None = None,
        *,
        timeout_ms: int | None = 30000,
        raw_output: bool = False,
        argv: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | None = None,
        tty: TerminalSize | None = None,
        separate_output: bool = False,
        shell: str | None = None,
        max_output_bytes: int | None = None,
        on_limit: str | None = None,
        user: str | None = None,
    ) -> Stream[ExecChunk]:
        """Runs a command, and gives its output as it is written. The last chunk has `done`, and how it ended.

        What it takes is said at `exec`. Leaving the loop ends the command; `contextlib.closing` around the call does so at once.

        Raises:
            SandkastenStreamError: The command was ended, such as at its timeout: `error_code` says why.
            SandkastenStreamBrokenError: The connection went away before the command's end.
        """
        command = commands.Command(
            cmd=cmd,
            argv=argv,
            timeout_ms=timeout_ms,
            raw_output=raw_output,
            env=env,
            cwd=cwd,
            stdin=stdin,
            tty=tty,
            separate_output=separate_output,
            shell=shell,
            max_output_bytes=max_output_bytes,
            on_limit=on_limit,
            user=user,
        )
        with closing(self._transport.events(commands.stream(self._id, command))) as chunks:
            for chunk in chunks:
                yield chunk

    def result(self, exec_id: str, *, wait_ms: int | None = None) -> ExecResult | ProcessInfo:
        """The result of a command once more; a ProcessInfo where it has not ended. The last 128 are kept.

        Args:
            exec_id: Which command.
            wait_ms: How many milliseconds its end is waited for.

        Raises:
            ProcessNotFoundError: It is not kept.
            CommandTimeoutError, SessionNotRunningError: As the command itself had.
        """
        return self._transport.run(commands.result(self._id, exec_id, wait_ms))

    def cancel(self, exec_id: str) -> ProcessInfo:
        """Ends a command with everything that it has started."""
        return self._transport.run(processes.end(self._id, exec_id))

    def start_process(
        self,
        cmd: str | None = None,
        *,
        argv: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        tty: TerminalSize | None = None,
        name: str | None = None,
        stdin: bool = False,
        timeout_ms: int | None = None,
        separate_output: bool = False,
        hold_output: bool = False,
        user: str | None = None,
    ) -> Process:
        """Starts a process that runs beside the shells until it ends, whoever comes and goes.

        Args:
            cmd, argv, env, cwd, tty, separate_output, user: As for `exec`.
            name: A name to show.
            stdin: Keeps its standard input open, for Process.write.
            timeout_ms: After how many milliseconds it is ended; never where absent.
            hold_output: Waits with more than 1 MiB of output for a client that follows it.

        Raises:
            LimitExceededError: 64 processes run already.
            ValueError: Not exactly one of `cmd` and `argv` is given.
        """
        fields = {
            "cmd": cmd,
            "argv": commands.arguments(cmd, argv),
            "env": dict(env) if env is not None else None,
            "cwd": cwd,
            "tty": {"rows": tty.rows, "cols": tty.cols} if tty is not None else None,
            "name": name,
            "stdin": stdin or None,
            "timeout_ms": timeout_ms,
            "separate_output": separate_output or None,
            "hold_output": hold_output or None,
            "user": user,
        }
        started = self._transport.run(processes.start(self._id, fields))
        return self.process(started.id)

    def process(self, process_id: str) -> Process:
        """A process by its id, whether it is there or not."""
        return Process(self._transport, self._id, process_id)

    def list_processes(self) -> list[ProcessInfo]:
        """All processes and commands that are kept, oldest first."""
        return self._transport.run(processes.list_all(self._id))

    def terminal(
        self,
        name: str | None = None,
        *,
        rows: int | None = None,
        cols: int | None = None,
        since: int | None = None,
        view: bool = False,
    ) -> Terminal:
        """A connection to a terminal, to be used in a with block; one that is not there is started.

        Args:
            name: Which terminal, `main` where absent.
            rows, cols: The size that it takes, in lines and characters.
            since: The first byte of past output that is wanted; all that is kept where absent.
            view: Only watches.
        """
        return Terminal(self._transport, self._id, name=name, process=None, rows=rows, cols=cols, since=since, view=view)

    def write(self, path: str, content: str | bytes) -> None:
        """Writes a file: text as UTF-8, or bytes. `files.write` takes any size.

        Raises:
            InvalidRequestError: The path leads out of /workspace, or the content is too large for a request.
            LimitExceededError: The file system is full.
        """
        self._transport.run(files.write_small(self._root, path, content))

    def read(self, path: str, *, max_bytes: int | None = None) -> ReadResult:
        """Reads a file, up to `max_bytes`: 10 MiB where absent, 100 MiB at most. `files.read` and `download` take any size.

        Raises:
            SandboxFileNotFoundError: There is no such file.
            InvalidRequestError: It is no file, or the path leads out of /workspace.
        """
        return self._transport.run(files.read_small(self._root, path, max_bytes))

    def upload(
        self, file: str | Path | BinaryIO, *, dest_path: str = "/workspace", filename: str | None = None
    ) -> list[str]:
        """Uploads a local or open file into a directory, and returns where it went. `files.upload` takes any size.

        Args:
            file: The file.
            dest_path: The directory inside.
            filename: The name that it gets; that of the file where absent.

        Raises:
            FileNotFoundError: There is no such local file.
            ValueError: An open file has no name, and none is given.
        """
        if isinstance(file, (str, Path)):
            with blocking(lambda: open_regular(file)) as opened:
                return self.upload(opened, dest_path=dest_path, filename=filename or Path(file).name)
        name = filename or getattr(file, "name", None)
        if not isinstance(name, str) or not name:
            raise ValueError("an open file without a name needs a filename")
        return self._transport.run(files.upload_form(self._root, dest_path, Path(name).name, file))

    def stats(self) -> SessionStats:
        """What it uses: memory in bytes, processor time in microseconds."""
        return self._transport.run(sessions.stats(self._id))

    def info(self) -> SessionInfo:
        """What the daemon knows of it."""
        return self._transport.run(sessions.show(self._id))

    def update(
        self,
        *,
        ttl_seconds: int | MaybeUnchanged | None = UNCHANGED,
        name: str | MaybeUnchanged | None = UNCHANGED,
        labels: Mapping[str, str | None] | MaybeUnchanged | None = UNCHANGED,
    ) -> SessionInfo:
        """Changes what is given, and returns what it is then.

        Args:
            ttl_seconds: Counts anew from now on; None for the configured value.
            name: None removes it.
            labels: Merged one by one, where None removes one; None in place of all removes all.

        Raises:
            SessionExistsError: Another live session has that name.
        """
        return self._transport.run(sessions.update(self._id, ttl_seconds=ttl_seconds, name=name, labels=labels))

    def events(self) -> Stream[SessionEvent]:
        """Its present state, and each change of it until its end.

        Raises:
            SandkastenStreamError: States were dropped, because they were read too slowly.
        """
        with closing(self._transport.events(sessions.watch(self._id))) as events:
            for event in events:
                yield event

    def destroy(self) -> None:
        """Ends it: when this returns, its processes are gone and its files are unreachable.

        Raises:
            SessionNotFoundError: It is not there, or was destroyed already.
        """
        self._transport.run(sessions.destroy(self._id))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.destroy()
        except (SessionNotFoundError, SessionExpiredError, SessionNotRunningError):
            # It has ended by itself, or in the block: then there is nothing left to destroy.
            return
