"""Commands: what they are given, what they answer, streams, and results once more."""

import secrets
from contextlib import aclosing

import pytest

from sandkasten import Session
from sandkasten.exceptions import (
    CommandTimeoutError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    ProcessNotFoundError,
    SandkastenStreamError,
)
from sandkasten.types import ExecResult, ProcessInfo, TerminalSize


async def test_a_shell_remembers(session: Session) -> None:
    result = await session.exec("echo hello; echo error >&2; cd /tmp; X=1; false")
    assert (result.exit_code, result.output, result.cwd) == (1, "hello\nerror\n", "/tmp")
    assert (result.reason, result.truncated) == ("exit", False)
    assert result.hint
    assert result.cpu_usec is not None
    assert result.peak_memory_bytes
    assert result.verdict.signal is None
    assert (await session.exec("echo $X $PWD")).output == "1 /tmp\n"
    assert (await session.exec("echo $X", shell="other")).output == "\n"


async def test_a_command_gets_all_that_it_is_given(session: Session) -> None:
    argv = ["sh", "-c", 'cat; echo "$0 $COLOUR $PWD"; echo e >&2', "first"]
    result = await session.exec(argv=argv, env={"COLOUR": "blue"}, cwd="/tmp", stdin="in\n", separate_output=True, shell="none")
    assert (result.stdout, result.stderr) == ("in\nfirst blue /tmp\n", "e\n")
    assert (await session.exec("stty size", tty=TerminalSize(rows=10, cols=33))).output == "10 33\n"
    assert (await session.exec("id -un", user="sandbox")).output == "sandbox\n"
    assert (await session.exec("printf '\\033[1mx\\r\\n'", raw_output=True)).output == "\x1b[1mx\r\n"
    tail = await session.exec("seq 1000", max_output_bytes=9, on_limit="tail", timeout_ms=None)
    assert tail.output.endswith("999\n1000\n")
    assert tail.truncated
    assert tail.omitted_bytes > 3000


async def test_a_command_is_text_or_arguments_and_not_both(session: Session) -> None:
    for wrong in ({}, {"cmd": "true", "argv": ["true"]}, {"argv": "ls -l"}):
        with pytest.raises(ValueError, match="argv"):
            await session.exec(**wrong)
    with pytest.raises(InvalidRequestError, match="shell"):
        await session.exec("true", shell="no such name")


async def test_a_timeout_carries_the_output_so_far(session: Session) -> None:
    with pytest.raises(CommandTimeoutError) as caught:
        await session.exec("echo so far; sleep 100", timeout_ms=300)
    error = caught.value
    assert (error.output, error.timeout_ms, error.truncated, error.status) == ("so far\n", 300, False, 504)
    assert error.hint
    assert not error.shell_restarted
    assert error.exec_id is not None
    with pytest.raises(CommandTimeoutError):
        await session.result(error.exec_id)


async def test_a_signal_is_named(session: Session) -> None:
    result = await session.exec("sh -c 'kill -SEGV $$'")
    assert (result.exit_code, result.reason, result.signal) == (139, "signal", "SIGSEGV")


async def test_a_stream_ends_with_how_the_command_ended(session: Session) -> None:
    chunks = [chunk async for chunk in session.exec_stream("echo out; echo err >&2; cd /; exit 7", separate_output=True)]
    assert {chunk.exec_id for chunk in chunks} == {chunks[0].exec_id}
    last = chunks.pop()
    assert [chunk.done for chunk in chunks] == [False] * len(chunks)
    assert "".join(chunk.output for chunk in chunks if chunk.stream == "stdout") == "out\n"
    assert "".join(chunk.output for chunk in chunks if chunk.stream == "stderr") == "err\n"
    assert (last.done, last.output, last.exit_code, last.cwd) == (True, "", 7, "/")
    assert last.verdict is not None
    assert last.verdict.reason == "exit"


async def test_a_stream_carries_any_text(session: Session) -> None:
    text = "line\u2028separator \u0085 \x0b \x1e data: event: \r\n\r\n: comment \U0001f980 \x00 end"
    await session.write("text", text)
    output = "".join([chunk.output async for chunk in session.exec_stream("cat text", raw_output=True)])
    assert output == text


async def test_a_timeout_is_an_error_of_the_stream(session: Session) -> None:
    seen = ""
    with pytest.raises(SandkastenStreamError, match="300") as caught:
        async for chunk in session.exec_stream("echo so far; sleep 100", timeout_ms=300):
            seen += chunk.output
    assert (seen, caught.value.error_code, caught.value.details["reason"]) == ("so far\n", "COMMAND_TIMEOUT", "timeout")


async def test_leaving_a_stream_ends_its_command(session: Session) -> None:
    async with aclosing(session.exec_stream("echo first; sleep 1000")) as chunks:
        async for chunk in chunks:
            assert chunk.output == "first\n"
            break
    assert chunk.exec_id is not None
    ended = await session.process(chunk.exec_id).wait(timeout_ms=60000)
    assert (ended.status, ended.reason) == ("ended", "cancelled")


async def test_a_command_can_be_cancelled_and_its_result_asked_for(session: Session) -> None:
    async for chunk in session.exec_stream("echo first; sleep 1000"):
        assert chunk.exec_id is not None
        if chunk.output:
            running = await session.result(chunk.exec_id, wait_ms=10)
            assert isinstance(running, ProcessInfo)
            assert not running.has_ended
            ended = await session.cancel(chunk.exec_id)
            assert (ended.kind, ended.has_ended, ended.reason) == ("exec", True, "cancelled")
    assert chunk.done
    assert chunk.exec_id is not None
    result = await session.result(chunk.exec_id)
    assert isinstance(result, ExecResult)
    assert (result.output, result.reason) == ("first\n", "cancelled")
    with pytest.raises(ProcessNotFoundError):
        await session.result("0" * 16)


async def test_a_command_with_a_key_runs_once(session: Session) -> None:
    key = secrets.token_hex(8)
    first = await session.exec("echo x >> count; wc -l < count", idempotency_key=key)
    again = await session.exec("echo x >> count; wc -l < count", idempotency_key=key)
    assert first == again
    assert first.output == "1\n"
    with pytest.raises(IdempotencyKeyReusedError):
        await session.exec("true", idempotency_key=key)
