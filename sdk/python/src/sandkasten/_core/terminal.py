"""The frames of a terminal's WebSocket."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit, urlunsplit

from sandkasten._core import sessions
from sandkasten._core.answer import decode, parse
from sandkasten._core.endpoint import Endpoint
from sandkasten._core.processes import ProcessInfo
from sandkasten._core.request import query
from sandkasten.exceptions import SandkastenProtocolError, SandkastenStreamError

#: The most bytes of input in one frame.
MAX_INPUT = 64 * 1024
#: The most bytes of a frame that is taken.
MAX_FRAME = 4 * 1024 * 1024


@dataclass(frozen=True)
class TerminalOutput:
    """A piece of what was written."""

    data: bytes
    """The bytes, which may end in the middle of a character"""

    offset: int
    """The place of the first one in all that was written"""

    stream: str | None = None
    """`stdout` or `stderr`, where the process keeps two apart"""


@dataclass(frozen=True)
class _Attached:
    process: ProcessInfo
    written: int = 0


@dataclass(frozen=True)
class _Exit:
    process: ProcessInfo


@dataclass(frozen=True)
class _Offset:
    offset: int


@dataclass(frozen=True)
class _Stream:
    stream: str


@dataclass
class Frames:
    """What a client of a terminal has been told so far."""

    process: ProcessInfo | None = None
    written: int = 0
    result: ProcessInfo | None = None
    _stream: str | None = None
    _offsets: dict[str | None, int] = field(default_factory=dict)

    def take(self, frame: str | bytes) -> TerminalOutput | None:
        """Takes a frame of the daemon's; the last one sets `result`.

        Raises:
            SandkastenStreamError: The daemon reports an error.
            SandkastenProtocolError: The frame is none of a terminal.
        """
        if isinstance(frame, bytes):
            offset = self._offsets.get(self._stream, 0)
            self._offsets[self._stream] = offset + len(frame)
            return TerminalOutput(frame, offset, self._stream)
        value = parse(frame, "a frame of the terminal")
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(kind, str):
            raise SandkastenProtocolError("a frame of the terminal names no type")
        if kind == "attached":
            attached = decode(_Attached, value)
            self.process, self.written = attached.process, attached.written
        elif kind == "offset":
            self._offsets[self._stream] = decode(_Offset, value).offset
        elif kind == "stream":
            self._stream = decode(_Stream, value).stream
        elif kind == "exit":
            self.result = decode(_Exit, value).process
        elif kind == "error":
            raise SandkastenStreamError(str(value.get("error", "")), error_code=str(value.get("error_code", "")))
        return None


def url(
    endpoint: Endpoint,
    session_id: str,
    *,
    name: str | None,
    process: str | None,
    rows: int | None,
    cols: int | None,
    since: int | None,
    view: bool,
) -> str:
    """Where the WebSocket of a terminal is."""
    scheme, host, prefix, _, _ = urlsplit(endpoint.url)
    asked = query(name=name, process=process, rows=rows, cols=cols, since=since, view=view or None)
    path = f"{prefix.rstrip('/')}{sessions.path(session_id)}/tty"
    return urlunsplit(("wss" if scheme == "https" else "ws", host, path, urlencode(asked), ""))


def resize(rows: int, cols: int) -> str:
    """A frame that sets the size."""
    return json.dumps({"type": "resize", "rows": rows, "cols": cols})


def close_input() -> str:
    """A frame that ends the standard input."""
    return json.dumps({"type": "close_input"})
