"""Frames of a terminal, right and wrong ones, and where it is."""

import json
import pickle

import pytest

from sandkasten._core.endpoint import Endpoint
from sandkasten._core.terminal import Frames, url
from sandkasten.exceptions import SandkastenProtocolError, SandkastenStreamBrokenError, SandkastenStreamError
from sandkasten.types import TerminalOutput

PROCESS = {"id": "a", "kind": "terminal", "status": "running", "command": "shell", "started_at": "now", "tty": True}


def frame(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, **fields})


def test_output_has_its_place_in_its_stream() -> None:
    frames = Frames()
    assert frames.take(frame("attached", process=PROCESS, written=7)) is None
    assert frames.process is not None
    assert (frames.process.id, frames.written) == ("a", 7)
    assert frames.take(frame("offset", offset=5)) is None
    assert frames.take(b"ab") == TerminalOutput(b"ab", 5)
    assert frames.take(b"c") == TerminalOutput(b"c", 7)
    assert frames.take(frame("stream", stream="stderr")) is None
    assert frames.take(b"e") == TerminalOutput(b"e", 0, "stderr")
    assert frames.take(frame("of tomorrow")) is None
    assert frames.take(frame("exit", process={**PROCESS, "status": "ended", "exit_code": 3, "reason": "exit"})) is None
    assert frames.result is not None
    assert (frames.result.exit_code, frames.result.reason) == (3, "exit")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"type": 3}',
        frame("attached"),
        frame("attached", process=[]),
        frame("offset", offset="1"),
        "[" * 99999,
    ],
)
def test_a_frame_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SandkastenProtocolError):
        Frames().take(text)


def test_an_error_of_the_terminal_is_raised_with_its_code() -> None:
    with pytest.raises(SandkastenStreamError, match="why") as caught:
        Frames().take(frame("error", error="why", error_code="LIMIT_EXCEEDED"))
    assert caught.value.error_code == "LIMIT_EXCEEDED"
    for error in (caught.value, SandkastenStreamBrokenError("gone")):
        moved = pickle.loads(pickle.dumps(error))  # noqa: S301 it is our own
        assert (type(moved), str(moved), moved.error_code) == (type(error), str(error), error.error_code)


def test_a_terminal_is_where_its_daemon_is() -> None:
    def where(base: str, name: str | None = None) -> str:
        endpoint = Endpoint(base, None)
        return url(endpoint, "s", name=name, process=None, rows=5, cols=None, since=None, view=True)

    assert where("http://h:1") == "ws://h:1/v1/sessions/s/tty?rows=5&view=true"
    assert where("https://h/prefix/", "a&b") == "wss://h/prefix/v1/sessions/s/tty?name=a%26b&rows=5&view=true"
