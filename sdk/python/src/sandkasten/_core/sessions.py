"""Sessions: their making, lists, changes, figures and states."""

from __future__ import annotations

import enum
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import httpx

from sandkasten._core.answer import event_as, read_as, read_list
from sandkasten._core.request import SLACK, Call, EventCall, Request, body, ignored, query, segment
from sandkasten._core.sse import ServerEvent
from sandkasten.exceptions import SandkastenProtocolError, SandkastenStreamError

#: Every daemon sends a comment this often, in seconds, on a stream that is silent; more silence means a dead connection.
HEARTBEAT = 15.0


class Unchanged(enum.Enum):
    """Stands for a field that an update leaves as it is."""

    UNCHANGED = enum.auto()


UNCHANGED = Unchanged.UNCHANGED
MaybeUnchanged = Literal[Unchanged.UNCHANGED]


@dataclass(frozen=True)
class SessionIsolation:
    """What the kernel was seen to enforce on a session's processes when it was created."""

    namespaces: list[str]
    """Namespaces that differ from the host's"""

    seccomp: str
    """The seccomp mode and the number of filters"""

    cgroup: str
    """The cgroup hierarchies that limit it: `v2` or `v1`"""

    capabilities: list[int]
    """The five capability sets of its first process"""

    landlock_abi: int
    """The landlock ABI in force, 0 where the kernel has none"""

    no_new_privs: bool
    """Whether `no_new_privs` is set"""

    readonly_rootfs: bool
    """Whether the root file system is read-only"""

    uid_base: int
    """The first user id of the host's that is the session's"""


@dataclass
class SessionInfo:
    """A session as the daemon shows it. Times are RFC 3339 in UTC."""

    id: str
    """Its id"""

    image: str
    """The image it started from"""

    status: str
    """`running`, `paused`, `expired`, `destroyed` or `crashed`"""

    cwd: str
    """The shell's working directory after the last command"""

    created_at: str
    """When it was created"""

    expires_at: str
    """When it ends, unless it is used before"""

    workspace_id: str | None = None
    """The workspace at /workspace; None where its files end with it"""

    container_id: str | None = None
    """Always None: there is no container. It is here for users of version 0.3.0"""

    last_activity: str | None = None
    """When it was last used; only where one session was asked for"""

    name: str | None = None
    """Its name for people, unique among live sessions"""

    labels: dict[str, str] = field(default_factory=dict)
    """What its client wrote on it"""

    ttl_seconds: int | None = None
    """After how many seconds without use it ends"""

    acquire_source: str | None = None
    """How its sandbox came to be: `cold` or `pool`"""

    reason: str | None = None
    """Why it is in its status, where there is more to say"""

    isolation: SessionIsolation | None = None
    """What the kernel enforces on it"""


@dataclass
class SessionStats:
    """What a session uses, from its cgroup."""

    memory_bytes: int
    """Memory in use, in bytes, page cache and tmpfs included"""

    memory_limit: int
    """The memory limit, in bytes"""

    cpu_usage_usec: int
    """Processor time used, in microseconds"""

    cpu_limit_millis: int = 0
    """The CPU limit, in thousandths of a core"""

    memory_peak_bytes: int = 0
    """The most memory that was in use at once, in bytes"""

    oom_kills: int = 0
    """Processes killed because the memory limit was reached"""

    pids: int = 0
    """Processes and threads alive"""

    pids_limit: int = 0
    """The limit of processes and threads"""


@dataclass(frozen=True)
class _State:
    session_id: str
    status: str
    at: str
    reason: str | None = None


@dataclass(frozen=True)
class SessionEvent:
    """A session is in this state from `at` on."""

    session_id: str
    """Which session"""

    status: str
    """Its status: see SessionInfo"""

    at: str
    """Since when, RFC 3339 in UTC"""

    reason: str | None = None
    """Why, where there is more to say"""

    event_id: str | None = None
    """What a later stream of all sessions is to go on behind: `last_event_id`"""


@dataclass(frozen=True)
class Health:
    """What the daemon says of itself."""

    status: str
    """`ok` as long as it answers"""


@dataclass(frozen=True)
class Page:
    """Some sessions of a list, and what the next page begins behind."""

    sessions: list[SessionInfo]
    cursor: str | None


def new_key() -> str:
    """A random idempotency key."""
    return secrets.token_hex(16)


def create(
    *,
    image: str | None,
    ttl_seconds: int | None,
    workspace_id: str | None,
    name: str | None,
    labels: Mapping[str, str] | None,
    wait_ms: int | None,
    idempotency_key: str | None,
) -> Call[SessionInfo]:
    """Creates a session. Without a key it gets a random one, so that it can be sent again."""
    return Call(
        Request(
            "POST",
            "/v1/sessions",
            query=query(wait_ms=wait_ms),
            json=body(
                image=image,
                ttl_seconds=ttl_seconds,
                workspace_id=workspace_id,
                name=name,
                labels=dict(labels) if labels is not None else None,
            ),
            headers={"Idempotency-Key": idempotency_key or new_key()},
            patience=(wait_ms or 0) / 1000 + SLACK,
            is_patient=wait_ms is not None,
        ),
        read_as(SessionInfo),
    )


def path(session_id: str) -> str:
    """Where a session is."""
    return f"/v1/sessions/{segment(session_id)}"


def show(session_id: str) -> Call[SessionInfo]:
    """Looks at one session."""
    return Call(Request("GET", path(session_id)), read_as(SessionInfo))


def destroy(session_id: str) -> Call[None]:
    """Ends a session."""
    return Call(Request("DELETE", path(session_id)), ignored)


def stats(session_id: str) -> Call[SessionStats]:
    """What a session uses."""
    return Call(Request("GET", f"{path(session_id)}/stats"), read_as(SessionStats))


def update(
    session_id: str,
    *,
    ttl_seconds: int | MaybeUnchanged | None,
    name: str | MaybeUnchanged | None,
    labels: Mapping[str, str | None] | MaybeUnchanged | None,
) -> Call[SessionInfo]:
    """Changes what is given of a session."""
    fields: dict[str, object] = {"ttl_seconds": ttl_seconds, "name": name}
    fields["labels"] = dict(labels) if isinstance(labels, Mapping) else labels
    changes = {key: value for key, value in fields.items() if value is not UNCHANGED}
    return Call(Request("PATCH", path(session_id), json=changes), read_as(SessionInfo))


def page(
    *,
    labels: Mapping[str, str | None] | None,
    status: str | Iterable[str] | None,
    image: str | None,
    workspace_id: str | None,
    name: str | None,
    limit: int | None,
    cursor: str | None,
) -> Call[Page]:
    """Lists sessions that meet all conditions."""
    conditions = query(image=image, workspace_id=workspace_id, name=name, limit=limit, cursor=cursor)
    for key, value in (labels or {}).items():
        conditions.append(("label", key if value is None else f"{key}={value}"))
    for one in [status] if isinstance(status, str) else status or ():
        conditions.append(("status", one))

    def read(response: httpx.Response) -> Page:
        after = _next_cursor(response)
        if after is not None and after == cursor:
            raise SandkastenProtocolError(f"the page behind {cursor!r} names itself as the next one")
        return Page(read_list(SessionInfo)(response), after)

    return Call(Request("GET", "/v1/sessions", query=conditions), read)


def _next_cursor(response: httpx.Response) -> str | None:
    # Only the cursor is taken from the link: an address in an answer must not lead the key to another host.
    target = response.links.get("next", {}).get("url")
    found = parse_qs(urlsplit(target).query).get("cursor") if target else None
    return found[0] if found else None


def watch(session_id: str | None, last_event_id: str | None = None) -> EventCall[SessionEvent]:
    """The states of one session until its end, or of all."""
    where = "/v1/events" if session_id is None else f"{path(session_id)}/events"
    headers = {"Last-Event-ID": last_event_id} if last_event_id is not None else {}

    def read(_: httpx.Headers, event: ServerEvent) -> SessionEvent | None:
        if event.name == "lagged":
            raise SandkastenStreamError("this client read too slowly, and states were dropped: watch anew")
        if event.name != "state":
            return None
        state = event_as(_State, event)
        return SessionEvent(state.session_id, state.status, state.at, state.reason, event.id)

    return EventCall(Request("GET", where, headers=headers, patience=4 * HEARTBEAT), read, may_end=True)


def health() -> Call[Health]:
    """Whether the daemon answers."""
    return Call(Request("GET", "/healthz"), read_as(Health))
