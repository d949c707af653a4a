"""Processes of a session, which run beside its shells."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from sandkasten._core import sessions
from sandkasten._core.answer import BESIDE, event_as, read_as, read_list, reported
from sandkasten._core.request import SLACK, Call, EventCall, Request, body, ignored, query, segment
from sandkasten._core.sse import ServerEvent
from sandkasten._core.verdict import HasVerdict, Verdict

#: How long the daemon waits for a process where nothing else is said, in milliseconds.
USUAL_WAIT_MS = 600_000


@dataclass(frozen=True)
class ProcessInfo(HasVerdict):
    """A process, exec or terminal of a session."""

    id: str
    """Its id"""

    kind: str
    """`exec`, `process` or `terminal`"""

    status: str
    """`queued`, `running` or `ended`"""

    command: str
    """What was started"""

    started_at: str
    """When, RFC 3339 in UTC"""

    tty: bool
    """Whether it has a terminal"""

    name: str | None = None
    """The name that it is shown by"""

    shell: str | None = None
    """Of an exec: its shell"""

    exit_code: int | None = None
    """Its status, once it has ended"""

    duration_ms: int | None = None
    """How long it ran, in milliseconds"""

    verdict: Verdict = field(default_factory=Verdict, metadata=BESIDE)
    """Why it ended, and what it used"""

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.status == "ended"


@dataclass(frozen=True)
class ProcessLogs:
    """Output of a process from an offset on."""

    output: str
    """What was written, as far as it is kept"""

    offset: int
    """The place of its first byte; later than asked for where what came before is gone"""

    next_offset: int
    """The place behind its last byte: what to ask for next"""

    status: str
    """`queued`, `running` or `ended`"""


@dataclass(frozen=True)
class LogChunk:
    """A piece of a process's output."""

    output: str = field(metadata={"key": "chunk"})
    """What was written"""

    offset: int = 0
    """The place of its first byte"""

    next_offset: int = 0
    """The place behind its last byte"""


def path(session_id: str, process_id: str) -> str:
    """Where a process is."""
    return f"{sessions.path(session_id)}/processes/{segment(process_id)}"


def start(session_id: str, fields: Mapping[str, object]) -> Call[ProcessInfo]:
    """Starts a process."""
    return Call(Request("POST", f"{sessions.path(session_id)}/processes", json=body(**fields)), read_as(ProcessInfo))


def list_all(session_id: str) -> Call[list[ProcessInfo]]:
    """All processes and execs that are kept, oldest first."""
    return Call(Request("GET", f"{sessions.path(session_id)}/processes"), read_list(ProcessInfo, "processes"))


def show(session_id: str, process_id: str) -> Call[ProcessInfo]:
    """Looks at one."""
    return Call(Request("GET", path(session_id, process_id)), read_as(ProcessInfo))


def end(session_id: str, process_id: str) -> Call[ProcessInfo]:
    """Ends one with everything that it has started."""
    return Call(Request("DELETE", path(session_id, process_id)), read_as(ProcessInfo))


def wait(session_id: str, process_id: str, timeout_ms: int | None) -> Call[ProcessInfo]:
    """Answers when one has ended, or the time is up."""
    patience = (USUAL_WAIT_MS if timeout_ms is None else timeout_ms) / 1000 + SLACK
    where = f"{path(session_id, process_id)}/wait"
    return Call(Request("GET", where, query=query(timeout_ms=timeout_ms), patience=patience), read_as(ProcessInfo))


def logs(session_id: str, process_id: str, since: int, stream: str | None) -> Call[ProcessLogs]:
    """Its output from an offset on."""
    where = f"{path(session_id, process_id)}/logs"
    return Call(Request("GET", where, query=query(since=since, stream=stream)), read_as(ProcessLogs))


def follow(session_id: str, process_id: str, since: int, stream: str | None) -> EventCall[LogChunk | ProcessInfo]:
    """Its output as it is written, and how it ended."""

    def read(_: httpx.Headers, event: ServerEvent) -> LogChunk | ProcessInfo | None:
        if event.name == "chunk":
            return event_as(LogChunk, event)
        if event.name == "done":
            return event_as(ProcessInfo, event)
        if event.name == "error":
            raise reported(event)
        return None

    request = Request(
        "GET",
        f"{path(session_id, process_id)}/logs",
        query=query(since=since, follow=True, stream=stream),
        patience=4 * sessions.HEARTBEAT,
    )
    return EventCall(request, read, last=frozenset({"done"}))


def write(session_id: str, process_id: str, data: str | bytes | None, close: bool) -> Call[None]:
    """Writes to its standard input, and may end that."""
    fields = body(close=close or None)
    if isinstance(data, str):
        fields["text"] = data
    elif data is not None:
        fields["content_base64"] = base64.b64encode(data).decode("ascii")
    return Call(Request("POST", f"{path(session_id, process_id)}/stdin", json=fields), ignored)


def resize(session_id: str, process_id: str, rows: int, cols: int) -> Call[None]:
    """Sets the size of its terminal."""
    where = f"{path(session_id, process_id)}/resize"
    return Call(Request("POST", where, json={"rows": rows, "cols": cols}), ignored)


def signal(session_id: str, process_id: str, name: str) -> Call[None]:
    """Sends a signal to everything that it has started."""
    return Call(Request("POST", f"{path(session_id, process_id)}/signal", json={"signal": name}), ignored)
