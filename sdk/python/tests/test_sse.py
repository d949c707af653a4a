"""The parser of event streams."""

import random

import pytest

from sandkasten._core.sse import MAX_EVENT_BYTES, EventParser, ServerEvent
from sandkasten.exceptions import SandkastenProtocolError

STREAM = (
    "\ufeff: a comment\r\n\r\n"
    'event: chunk\ndata: {"chunk":"gr\u00fc\u2028\u0085\x0b\x1c\U0001f980"}\nid: 7\n\n'
    "data:first\rdata: second\r\revent:done\r\ndata\r\nunknown: field\r\n\r\n"
    ": heartbeat\n\nevent: no data\n\nretry: 5\nid: with\0nul\ndata: last\n\ndata: cut off"
).encode()
EVENTS = [
    ServerEvent("chunk", '{"chunk":"gr\u00fc\u2028\u0085\x0b\x1c\U0001f980"}', "7"),
    ServerEvent("message", "first\nsecond", "7"),
    ServerEvent("done", "", "7"),
    ServerEvent("message", "last", "7"),
]


def parsed(pieces: list[bytes]) -> list[ServerEvent]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


def test_a_stream_may_be_cut_at_every_byte() -> None:
    assert parsed([STREAM]) == EVENTS
    for cut in range(len(STREAM) + 1):
        assert parsed([STREAM[:cut], STREAM[cut:]]) == EVENTS, cut
    assert parsed([STREAM[i : i + 1] for i in range(len(STREAM))]) == EVENTS


def test_a_stream_may_be_cut_into_any_pieces() -> None:
    draw = random.Random(7)  # noqa: S311
    for _ in range(500):
        cuts = sorted(draw.choices(range(len(STREAM)), k=draw.randrange(12)))
        pieces = [STREAM[start:end] for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
        assert parsed(pieces) == EVENTS, cuts


def test_what_is_no_event_stream_gives_no_event_and_no_fault() -> None:
    draw = random.Random(8)  # noqa: S311
    for _ in range(200):
        assert all(isinstance(event, ServerEvent) for event in parsed([draw.randbytes(200), b"\n\n"]))


def test_an_event_without_an_end_is_refused() -> None:
    parser = EventParser()
    piece = b"x" * (1 << 20)
    with pytest.raises(SandkastenProtocolError, match=str(MAX_EVENT_BYTES)):
        for _ in range(20):
            list(parser.feed(piece))


def test_an_event_of_endless_lines_is_refused() -> None:
    parser = EventParser()
    piece = (b"data: " + b"x" * 1000 + b"\n") * 1024
    with pytest.raises(SandkastenProtocolError, match=str(MAX_EVENT_BYTES)):
        for _ in range(40):
            list(parser.feed(piece))
