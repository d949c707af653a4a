"""What is sent again, and what is not: against a server that refuses, closes and lies. Both twins, by the sync one's core."""

import socket
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

import sandkasten
from fake_daemon import FakeDaemon, Script, answer, fake_daemon, stream
from sandkasten import sync
from sandkasten._core import answer as answers
from sandkasten._core.request import Request
from sandkasten._core.retry import Retries
from sandkasten.exceptions import (
    InternalError,
    LimitExceededError,
    SandkastenAPIError,
    SandkastenProtocolError,
    SandkastenStreamBrokenError,
    SandkastenStreamError,
)

SESSION = (
    '{"id":"00000000-0001","image":"host","status":"running","cwd":"/workspace","created_at":"2026-01-01T00:00:00Z",'
    '"expires_at":"2026-01-01T00:30:00Z","acquire_source":"cold"}'
)
RESULT = '{"exit_code":0,"cwd":"/","output":"","truncated":false,"duration_ms":1,"reason":"exit"}'
BUSY = answer("429 Too Many Requests", '{"error_code":"LIMIT_EXCEEDED","message":"later"}', "Retry-After: 0")
NEVER = answer("429 Too Many Requests", '{"error_code":"LIMIT_EXCEEDED","message":"later"}', "Retry-After: 3600")
FAULT = answer("500 Internal Server Error", '{"error_code":"INTERNAL_ERROR","message":"ours"}')


def connected(script: Script, *, retries: int = 2, timeout: float = 60) -> Iterator[tuple[FakeDaemon, sync.SandboxClient]]:
    made = sync.SandboxClient
    with fake_daemon(script) as fake, made(base_url=fake.url, api_key="sk-x", retries=retries, timeout=timeout) as client:
        yield fake, client


def keys(fake: FakeDaemon) -> set[str]:
    return {line for text in fake.requests for line in text.splitlines() if line.lower().startswith("idempotency-key:")}


@pytest.mark.parametrize("first", [BUSY, b"", b"HTTP/1.1 2"])
def test_a_create_is_sent_again_with_its_key_after_429_and_after_a_lost_answer(first: bytes) -> None:
    for fake, client in connected(lambda n, _: first if n == 0 else answer("201 Created", SESSION)):
        assert client.create_session(image="host").id == "00000000-0001"
        assert len(fake.requests) == 2
        assert len(keys(fake)) == 1
        assert fake.requests[0] == fake.requests[1]


def test_each_create_has_a_key_of_its_own() -> None:
    for fake, client in connected(lambda *_: answer("201 Created", SESSION)):
        client.create_session(image="host")
        client.create_session(image="host")
        assert len(keys(fake)) == 2


def test_tries_are_bounded_and_the_last_failure_is_told() -> None:
    for fake, client in connected(lambda *_: BUSY):
        with pytest.raises(LimitExceededError):
            client.create_session(image="host")
        assert len(fake.requests) == 3
    for fake, client in connected(lambda *_: b"", retries=1):
        with pytest.raises(httpx.RemoteProtocolError):
            client.list_sessions()
        assert len(fake.requests) == 2
    for fake, client in connected(lambda *_: BUSY, retries=0):
        with pytest.raises(LimitExceededError):
            client.list_sessions()
        assert len(fake.requests) == 1


def test_a_daemon_that_wants_much_patience_is_not_asked_again() -> None:
    for fake, client in connected(lambda *_: NEVER):
        with pytest.raises(LimitExceededError) as caught:
            client.create_session(image="host")
        assert caught.value.retry_after == 3600
        assert len(fake.requests) == 1


def test_a_create_that_has_waited_is_not_sent_again() -> None:
    for fake, client in connected(lambda *_: BUSY):
        with pytest.raises(LimitExceededError):
            client.create_session(image="host", wait_ms=1000)
        assert len(fake.requests) == 1


@pytest.mark.parametrize("first", [BUSY, b"", FAULT])
def test_a_command_is_never_sent_twice(first: bytes) -> None:
    for fake, client in connected(lambda *_: first):
        session = client.session("00000000-0001")
        with pytest.raises((SandkastenAPIError, httpx.TransportError)):
            session.exec("rm -rf x")
        with pytest.raises((SandkastenAPIError, httpx.TransportError)):
            list(session.exec_stream("rm -rf x"))
        with pytest.raises((SandkastenAPIError, httpx.TransportError)):
            session.start_process("rm -rf x")
        with pytest.raises((SandkastenAPIError, httpx.TransportError)):
            session.process("0").write("x")
        assert len(fake.requests) == 4


def test_a_command_with_a_key_is_sent_again() -> None:
    for fake, client in connected(lambda n, _: b"" if n == 0 else answer("200 OK", RESULT)):
        assert client.session("00000000-0001").exec("true", idempotency_key="k").exit_code == 0
        assert len(fake.requests) == 2


def test_a_fault_of_the_daemon_is_not_asked_for_again() -> None:
    for fake, client in connected(lambda *_: FAULT):
        with pytest.raises(InternalError):
            client.list_sessions()
        assert len(fake.requests) == 1


def test_a_removal_is_sent_again_only_where_it_was_not_carried_out() -> None:
    for fake, client in connected(lambda *_: b""):
        with pytest.raises(httpx.RemoteProtocolError):
            client.session("00000000-0001").destroy()
        assert len(fake.requests) == 1
    for fake, client in connected(lambda n, _: BUSY if n == 0 else answer("200 OK", '{"ok":true}')):
        client.session("00000000-0001").destroy()
        assert len(fake.requests) == 2


def test_an_upload_of_pieces_is_not_sent_again() -> None:
    retries = Retries(2)
    lost = httpx.ConnectError("refused")
    assert retries.after_failure(Request("PUT", "/", content=b"x"), 0, lost) == 0.1
    assert retries.after_failure(Request("PUT", "/", content=b"x"), 1, lost) == 0.2
    assert retries.after_failure(Request("PUT", "/", content=b"x"), 2, lost) is None
    assert retries.after_failure(Request("PUT", "/", content=iter([b"x"])), 0, lost) is None
    assert retries.after_failure(Request("POST", "/"), 0, lost) is None
    assert retries.after_failure(Request("GET", "/"), 0, httpx.ReadTimeout("slow")) is None


async def test_a_daemon_that_is_not_there_is_tried_for_a_moment() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    began = time.monotonic()
    with sync.SandboxClient(base_url=url) as client, pytest.raises(httpx.ConnectError):
        client.list_sessions()
    async with sandkasten.SandboxClient(base_url=url) as other:
        with pytest.raises(httpx.ConnectError):
            await other.list_sessions()
    assert 0.6 <= time.monotonic() - began < 30


async def test_the_asynchronous_twin_does_the_same() -> None:
    with fake_daemon(lambda n, _: BUSY if n == 0 else answer("201 Created", SESSION)) as fake:
        async with sandkasten.SandboxClient(base_url=fake.url) as client:
            assert (await client.create_session(image="host")).id == "00000000-0001"
        assert len(fake.requests) == 2
        assert len(keys(fake)) == 1


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWER_BYTES", 1000)
    for _, client in connected(lambda *_: answer("200 OK", " " * 2000)):
        with pytest.raises(SandkastenProtocolError, match="1000 bytes"):
            client.list_sessions()
    for _, client in connected(lambda *_: answer("500 Internal Server Error", " " * 2000)):
        with pytest.raises(SandkastenProtocolError, match="1000 bytes"):
            client.list_sessions()


def test_a_redirect_does_not_take_the_key_along() -> None:
    with fake_daemon(lambda *_: answer("200 OK", "[]")) as elsewhere:
        for _, client in connected(lambda *_: answer("307 Temporary Redirect", "", f"Location: {elsewhere.url}/v1/sessions")):
            with pytest.raises(SandkastenAPIError) as caught:
                client.list_sessions()
            assert caught.value.status == 307
        assert elsewhere.requests == []


CHUNK = 'event: chunk\ndata: {"chunk":"so far","timestamp":1}\n\n'


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([CHUNK], SandkastenStreamBrokenError),
        ([CHUNK, "event: done\ndata: {"], SandkastenStreamBrokenError),
        ([], SandkastenStreamBrokenError),
        (["event: done\ndata: {}\n\n"], SandkastenProtocolError),
        (["event: done\ndata: nonsense\n\n"], SandkastenProtocolError),
        (['event: chunk\ndata: {"chunk":3}\n\n'], SandkastenProtocolError),
        (['event: error\ndata: {"error":"why","error_code":"X"}\n\n'], SandkastenStreamError),
        (["event: error\ndata: []\n\n"], SandkastenStreamError),
        (["event: chunk\ndata: " + "x" * (17 << 20)], SandkastenProtocolError),
    ],
)
def test_a_stream_that_is_none_or_is_cut_off_is_an_error(events: list[str], expected: type[Exception]) -> None:
    for fake, client in connected(lambda *_: stream(*events)):
        with pytest.raises(expected) as caught:
            list(client.session("00000000-0001").exec_stream("true"))
        assert type(caught.value) is expected
        assert len(fake.requests) == 1
        if expected is SandkastenStreamBrokenError:
            assert isinstance(caught.value, httpx.RemoteProtocolError)


def test_events_that_are_not_known_are_passed_over() -> None:
    done = 'event: done\ndata: {"exit_code":3,"cwd":"/","duration_ms":1}\n\n'
    for _, client in connected(
        lambda *_: stream("event: of tomorrow\ndata: x\n\n", CHUNK, done, CHUNK, headers="X-Exec-ID: e\r\n")
    ):
        chunks = list(client.session("00000000-0001").exec_stream("true"))
        assert [(chunk.output, chunk.exit_code, chunk.exec_id) for chunk in chunks] == [("so far", 0, "e"), ("", 3, "e")]


def test_a_body_that_ends_short_is_no_download(tmp_path: object) -> None:
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nonly this"
    for _, client in connected(lambda *_: short):
        with pytest.raises(SandkastenStreamBrokenError):
            client.session("00000000-0001").files.read("x")
    for _, client in connected(lambda *_: answer("200 OK", "all of it")):
        with pytest.raises(SandkastenProtocolError, match="part"):
            client.session("00000000-0001").files.read("x", offset=3)


async def test_an_upload_that_is_broken_off_is_named_as_such_and_not_sent_again() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 20)

    for fake, client in connected(lambda *_: b""):
        with pytest.raises(SandkastenStreamBrokenError, match="room"):
            client.session("00000000-0001").files.write("x", iter([b"x"] * 9))
        async with sandkasten.SandboxClient(base_url=fake.url) as other:
            with pytest.raises(SandkastenStreamBrokenError, match="room"):
                await other.session("00000000-0001").files.write("x", pieces())
        assert len(fake.requests) == 2


def test_a_slow_command_is_waited_for_as_long_as_it_may_take() -> None:
    def script(_: int, text: str) -> bytes:
        time.sleep(0.6)
        return answer("200 OK", RESULT if "/exec" in text else "[]")

    for _, client in connected(script, retries=0, timeout=0.3):
        assert client.session("00000000-0001").exec("sleep 0.6", timeout_ms=1000).exit_code == 0
        with pytest.raises(httpx.ReadTimeout):
            client.list_sessions()
