"""Images of the daemon's host."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from sandkasten._core.answer import event_as, read_as, read_list, reported
from sandkasten._core.request import Call, EventCall, Request, body, ignored, segment
from sandkasten._core.sessions import HEARTBEAT
from sandkasten._core.sse import ServerEvent


@dataclass(frozen=True)
class ImageConfig:
    """How a process in an image is to be started where nobody says otherwise."""

    env: list[str] = field(default_factory=list)
    """`KEY=value` each; sessions have them"""

    entrypoint: list[str] = field(default_factory=list)
    """The program that the image is for; no session starts it by itself"""

    cmd: list[str] = field(default_factory=list)
    """What comes after the entrypoint, or in its place"""

    labels: dict[str, str] = field(default_factory=dict)
    """What the image says of itself"""

    user: str | None = None
    """The user that the image asks for; sessions have one user all the same"""

    workdir: str | None = None
    """The working directory that the image asks for; sessions begin in theirs all the same"""


@dataclass(frozen=True)
class ImageInfo:
    """An image."""

    name: str
    """Its name, perhaps with a tag"""

    digest: str | None = None
    """`sha256:` and a hash of what it was made from"""

    size_bytes: int | None = None
    """Bytes of its file contents"""

    created_at: str | None = None
    """When it was imported or pulled, RFC 3339 in UTC"""

    allowed: bool = False
    """Whether the daemon's configuration lets sessions use it"""

    broken: str | None = None
    """Why no session can use it"""

    layers: list[str] = field(default_factory=list)
    """The hashes of its layers, lowest first"""

    config: ImageConfig | None = None
    """How processes in it are to be started"""


@dataclass(frozen=True)
class PullProgress:
    """How far a pull is."""

    phase: str
    """`resolving`, `fetching` or `unpacking`"""

    bytes_done: int
    """Bytes that are fetched"""

    bytes_total: int
    """Bytes that are to be fetched"""

    layers_done: int
    """Layers that are fetched and checked"""

    layers_total: int
    """Layers that are to be fetched"""

    bytes_unpacked: int = 0
    """Bytes of archives that are unpacked"""

    entries_unpacked: int = 0
    """Entries of archives that are unpacked"""


@dataclass(frozen=True)
class PullDone:
    """The end of a pull."""

    digest: str
    """The digest that the registry had for this machine"""

    image: ImageInfo
    """The image"""


def list_all() -> Call[list[ImageInfo]]:
    """All of them, by name."""
    return Call(Request("GET", "/v1/images"), read_list(ImageInfo, "images"))


def show(name: str) -> Call[ImageInfo]:
    """Looks at one."""
    return Call(Request("GET", f"/v1/images/{segment(name)}"), read_as(ImageInfo))


def remove(name: str) -> Call[None]:
    """Removes one that no session uses."""
    return Call(Request("DELETE", f"/v1/images/{segment(name)}"), ignored)


def pull(reference: str, name: str | None, username: str | None, password: str | None) -> EventCall[PullProgress | PullDone]:
    """Fetches one from a registry."""

    def read(_: httpx.Headers, event: ServerEvent) -> PullProgress | PullDone | None:
        if event.name == "progress":
            return event_as(PullProgress, event)
        if event.name == "done":
            return event_as(PullDone, event)
        if event.name == "error":
            raise reported(event)
        return None

    fields = body(reference=reference, name=name, username=username, password=password)
    request = Request("POST", "/v1/images/pull", json=fields, patience=4 * HEARTBEAT)
    return EventCall(request, read, last=frozenset({"done"}))
