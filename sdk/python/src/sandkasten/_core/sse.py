"""Server-Sent Events, read from pieces of any size.

Written for this package because what a sandbox prints goes through it: an event is bounded in size, and only the three
line ends of the standard end a line. Readers that split at every line end of Unicode cut a JSON text at U+2028.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sandkasten.exceptions import SandkastenProtocolError

#: The most bytes of one event. The daemon's largest holds 1 MiB of output, each byte of it perhaps an escape of six.
MAX_EVENT_BYTES = 16 * 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class ServerEvent:
    """One event."""

    name: str
    data: str
    id: str | None = None


class EventParser:
    """Takes the pieces of a stream, in order, and gives the events that they complete."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._scanned = 0
        self._is_after_cr = False
        self._is_first_line = True
        self._name = ""
        self._id: str | None = None
        self._data: list[str] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        """Gives the events that end in this piece.

        Raises:
            SandkastenProtocolError: An event is larger than any that the daemon sends.
        """
        for line in self._lines(piece):
            event = self._take(line)
            if event is not None:
                yield event

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        if self._is_after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._is_after_cr = False
        self._rest += piece
        start = 0
        while found := _LINE_END.search(self._rest, max(self._scanned, start)):
            yield bytes(self._rest[start : found.start()])
            start = found.end()
            # Its line feed may be the first byte of the next piece.
            self._is_after_cr = found.group() == b"\r" and start == len(self._rest)
        del self._rest[:start]
        self._scanned = len(self._rest)
        self._check(len(self._rest))

    def _check(self, more: int) -> None:
        if self._size + more > MAX_EVENT_BYTES:
            raise SandkastenProtocolError(f"an event of the stream has more than {MAX_EVENT_BYTES} bytes")

    def _take(self, line: bytes) -> ServerEvent | None:
        if self._is_first_line:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._is_first_line = False
        if not line:
            return self._complete()
        self._check(len(line))
        self._size += len(line)
        name, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"data":
            self._data.append(text)
        elif name == b"event":
            self._name = text
        elif name == b"id" and "\0" not in text:
            self._id = text
        return None

    def _complete(self) -> ServerEvent | None:
        event = ServerEvent(self._name or "message", "\n".join(self._data), self._id) if self._data else None
        self._name, self._data, self._size = "", [], 0
        return event
