"""A request as plain data, and how its answer is read."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Generic, TypeVar
from urllib.parse import quote

import httpx

from sandkasten._core.sse import ServerEvent

T = TypeVar("T")

#: The seconds that an answer may take beyond what the daemon itself was given.
SLACK = 30.0


def segment(name: str) -> str:
    """Escapes a name for a path, where it must stay one segment.

    Raises:
        ValueError: The name is empty, `.` or `..`, which a URL would not keep.
    """
    if name in ("", ".", ".."):
        raise ValueError(f"{name!r} cannot be part of an address")
    return quote(name, safe="")


#: Parameters of an address, as httpx takes them.
Query = list[tuple[str, "str | int | float | bool | None"]]


def query(**parameters: str | int | bool | None) -> Query:
    """The parameters that are given, as the API writes them."""
    given = {key: value for key, value in parameters.items() if value is not None}
    return [(key, str(value).lower() if isinstance(value, bool) else str(value)) for key, value in given.items()]


def body(**fields: object) -> dict[str, object]:
    """The fields that are given."""
    return {key: value for key, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Form:
    """Fields and files of a multipart form."""

    fields: Mapping[str, str]
    files: list[tuple[str, tuple[str, IO[bytes]]]]


@dataclass(frozen=True)
class Request:
    """What is sent."""

    method: str
    path: str
    query: Query = field(default_factory=list)
    json: object = None
    content: bytes | Iterable[bytes] | AsyncIterable[bytes] | None = None
    form: Form | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The seconds that the daemon may rightly be silent; the client waits for the longer of this and its own timeout.
    patience: float = 0.0
    #: Whether a 429 is the answer: where the daemon has already waited for as long as it was told.
    is_patient: bool = False

    @property
    def is_safe(self) -> bool:
        """Whether it may arrive twice: it changes nothing, or has a key by which the daemon knows it again."""
        return self.method == "GET" or "Idempotency-Key" in self.headers

    @property
    def is_idempotent(self) -> bool:
        """Whether it may be sent again where it was not carried out, and can be."""
        return self.is_safe or (
            self.method in ("PUT", "DELETE", "PATCH") and (self.content is None or isinstance(self.content, bytes))
        )


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how its answer is read."""

    request: Request
    read: Callable[[httpx.Response], T]


@dataclass(frozen=True)
class EventCall(Generic[T]):
    """A request that is answered by a stream of events.

    `read` gives what an event says, or nothing for one that is not known; it raises what an event reports as an error.
    Behind an event whose name is in `last` nothing comes. A stream that ends otherwise was cut off, unless `may_end`.
    """

    request: Request
    read: Callable[[httpx.Headers, ServerEvent], T | None]
    last: frozenset[str] = frozenset()
    may_end: bool = False


def ignored(_: httpx.Response) -> None:
    """Reads an answer that says nothing but that it was done."""
    return
