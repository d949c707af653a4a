"""Commands of a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from sandkasten._core import sessions
from sandkasten._core.answer import BESIDE, event_as, read_as, reported
from sandkasten._core.processes import ProcessInfo
from sandkasten._core.request import SLACK, Call, EventCall, Request, body, query, segment
from sandkasten._core.sse import ServerEvent
from sandkasten._core.verdict import HasVerdict, Verdict

#: The longest that a command may run, in milliseconds, whatever a daemon is configured to.
LONGEST_MS = 600_000


@dataclass(frozen=True)
class TerminalSize:
    """How many characters a terminal shows: 1 to 1,000 each way."""

    rows: int = 24
    cols: int = 80


@dataclass
class ExecResult(HasVerdict):
    """How a command ended."""

    exit_code: int
    """Its status: 0 is success, 128 and more a signal"""

    cwd: str
    """The shell's working directory afterwards"""

    output: str
    """Standard output and error as one, in the order that they were written"""

    truncated: bool
    """Whether there was more output than was returned"""

    duration_ms: int
    """How long it took, in milliseconds"""

    exec_id: str | None = None
    """By what its result can be asked for once more"""

    stdout: str | None = None
    """With `separate_output`: its standard output"""

    stderr: str | None = None
    """With `separate_output`: its standard error"""

    omitted_bytes: int = 0
    """How many bytes of output were left out"""

    verdict: Verdict = field(default_factory=Verdict, metadata=BESIDE)
    """Why it ended, and what it used"""


@dataclass
class ExecChunk:
    """A piece of a command's output; the last one has `done`, no output, and how the command ended."""

    output: str
    """What was written"""

    timestamp: int
    """When it was read, in milliseconds since the Unix epoch; 0 in the last one"""

    done: bool = False
    """Whether it is the last one"""

    exit_code: int = 0
    """The command's status; with `done`"""

    cwd: str = ""
    """The shell's working directory; with `done`"""

    duration_ms: int = 0
    """How long the command took, in milliseconds; with `done`"""

    stream: str | None = None
    """With `separate_output`: `stdout` or `stderr`"""

    exec_id: str | None = None
    """The command's id, by which it can be cancelled"""

    verdict: Verdict | None = None
    """Why the command ended, and what it used; with `done`"""


@dataclass(frozen=True)
class _Chunk:
    chunk: str
    timestamp: int = 0
    stream: str | None = None


@dataclass(frozen=True)
class _Done:
    exit_code: int
    cwd: str
    duration_ms: int = 0
    exec_id: str | None = None
    verdict: Verdict = field(default_factory=Verdict, metadata=BESIDE)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command as it is asked for; what the fields mean is said by Session.exec."""

    cmd: str | None
    argv: Sequence[str] | None
    timeout_ms: int | None
    raw_output: bool
    env: Mapping[str, str] | None
    cwd: str | None
    stdin: str | None
    tty: TerminalSize | None
    separate_output: bool
    shell: str | None
    max_output_bytes: int | None
    on_limit: str | None
    user: str | None

    def body(self) -> dict[str, object]:
        """Its JSON.

        Raises:
            ValueError: Not exactly one of `cmd` and `argv` is given, or `argv` is one text.
        """
        argv = arguments(self.cmd, self.argv)
        return body(
            cmd=self.cmd,
            argv=argv,
            timeout_ms=self.timeout_ms,
            raw_output=self.raw_output or None,
            env=dict(self.env) if self.env is not None else None,
            cwd=self.cwd,
            stdin=self.stdin,
            tty={"rows": self.tty.rows, "cols": self.tty.cols} if self.tty is not None else None,
            separate_output=self.separate_output or None,
            shell=self.shell,
            max_output_bytes=self.max_output_bytes,
            on_limit=self.on_limit,
            user=self.user,
        )

    @property
    def patience(self) -> float:
        """The seconds until the daemon ends it at the latest."""
        return (self.timeout_ms or LONGEST_MS) / 1000 + SLACK


def arguments(cmd: str | None, argv: Sequence[str] | None) -> list[str] | None:
    """The arguments, where the command is given as such.

    Raises:
        ValueError: Not exactly one of both is given, or the arguments are one text.
    """
    if (cmd is None) == (argv is None):
        raise ValueError("give a command as shell text or as argv, and not as both")
    if isinstance(argv, str):
        raise ValueError(f"argv is a list of arguments, and no text: write argv=[{argv!r}]")
    return list(argv) if argv is not None else None


def run(session_id: str, command: Command, idempotency_key: str | None) -> Call[ExecResult]:
    """Runs a command, and answers when it has ended."""
    return Call(
        Request(
            "POST",
            f"{sessions.path(session_id)}/exec",
            json=command.body(),
            headers={"Idempotency-Key": idempotency_key} if idempotency_key is not None else {},
            patience=command.patience,
        ),
        read_as(ExecResult),
    )


def stream(session_id: str, command: Command) -> EventCall[ExecChunk]:
    """Runs a command, and gives its output as it is written."""

    def read(headers: httpx.Headers, event: ServerEvent) -> ExecChunk | None:
        exec_id = headers.get("X-Exec-ID")
        if event.name == "chunk":
            chunk = event_as(_Chunk, event)
            return ExecChunk(chunk.chunk, chunk.timestamp, stream=chunk.stream, exec_id=exec_id)
        if event.name == "done":
            done = event_as(_Done, event)
            return ExecChunk("", 0, True, done.exit_code, done.cwd, done.duration_ms, None, done.exec_id or exec_id, done.verdict)
        if event.name == "error":
            raise reported(event)
        return None

    request = Request(
        "POST",
        f"{sessions.path(session_id)}/exec/stream",
        json=command.body(),
        patience=4 * sessions.HEARTBEAT,
    )
    return EventCall(request, read, last=frozenset({"done"}))


def result(session_id: str, exec_id: str, wait_ms: int | None) -> Call[ExecResult | ProcessInfo]:
    """The result of a command that has ended, or where it is in its life."""

    def read(response: httpx.Response) -> ExecResult | ProcessInfo:
        return read_as(ProcessInfo)(response) if response.status_code == 202 else read_as(ExecResult)(response)

    return Call(
        Request(
            "GET",
            f"{sessions.path(session_id)}/exec/{segment(exec_id)}",
            query=query(wait_ms=wait_ms),
            patience=(wait_ms or 0) / 1000 + SLACK,
        ),
        read,
    )
