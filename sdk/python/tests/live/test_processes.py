"""Processes and terminals."""

import secrets

import pytest

from sandkasten import Session
from sandkasten.exceptions import ProcessNotRunningError, SandkastenStreamError, SessionNotFoundError
from sandkasten.types import LogChunk, ProcessInfo, TerminalSize


async def test_a_process_is_spoken_to_and_followed(session: Session) -> None:
    process = await session.start_process("cat; echo done >&2", stdin=True, name="echo", separate_output=True, env={"A": "b"})
    assert (await process.info()).name == "echo"
    await process.write("text\n")
    await process.write(b"bytes\xff\n")
    await process.close_input()
    seen = [event async for event in process.follow()]
    last = seen.pop()
    assert isinstance(last, ProcessInfo)
    assert (last.exit_code, last.reason, last.has_ended) == (0, "exit", True)
    assert "".join(event.output for event in seen if isinstance(event, LogChunk)) == "text\nbytes\ufffd\n"
    logs = await process.logs(since=5)
    assert (logs.output, logs.offset, logs.next_offset, logs.status) == ("bytes\ufffd\n", 5, 12, "ended")
    assert (await process.logs(stream="stderr")).output == "done\n"
    with pytest.raises(ProcessNotRunningError):
        await process.write("x")


async def test_a_process_is_signalled_waited_for_and_stopped(session: Session) -> None:
    process = await session.start_process(argv=["sleep", "1000"], cwd="/tmp", timeout_ms=600_000)
    assert not (await process.wait(timeout_ms=10)).has_ended
    assert process.id in [info.id for info in await session.list_processes()]
    await process.signal("TERM")
    ended = await process.wait()
    assert (ended.exit_code, ended.signal) == (143, "SIGTERM")
    other = await session.start_process("sleep 1000 & wait", hold_output=True)
    assert (await other.stop()).reason == "cancelled"
    assert (await session.exec("pgrep sleep")).exit_code == 1


async def test_a_processs_terminal_has_the_size_that_it_is_given(session: Session) -> None:
    process = await session.start_process("read x; stty size", tty=TerminalSize(5, 50), stdin=True)
    await process.resize(7, 70)
    async with process.attach(rows=8, cols=80) as terminal:
        assert terminal.process.id == process.id
        await terminal.write("go\n")
        written = b"".join([output.data async for output in terminal])
    assert written.endswith(b"8 80\r\n")
    assert terminal.result is not None
    assert terminal.result.exit_code == 0


async def test_a_terminal_is_typed_into_and_found_again(session: Session) -> None:
    word = secrets.token_hex(4)
    async with session.terminal(rows=30, cols=90) as terminal:
        await terminal.write(f"stty size; echo {word[:4]}''{word[4:]}\n")
        seen = b""
        while word.encode() not in seen:
            output = await terminal.read()
            assert output is not None
            assert output.offset == len(seen)
            seen += output.data
        assert b"30 90" in seen
    async with session.terminal(view=True) as again:
        assert again.written >= len(seen)
        output = await again.read()
        assert output is not None
        assert output.data.startswith(seen[:16])
    async with session.terminal(since=len(seen)) as terminal:
        await terminal.resize(20, 60)
        await terminal.write("stty size; exit 5\n")
        rest = b"".join([output.data async for output in terminal])
        assert b"20 60" in rest
        assert terminal.result is not None
        assert (terminal.result.exit_code, await terminal.read()) == (5, None)


async def test_the_input_of_a_terminal_ends_as_by_ctrl_d(session: Session) -> None:
    async with session.terminal("second") as terminal:
        # Its prompt: until that is there, the terminal itself takes the key, and the shell never sees it.
        assert await terminal.read() is not None
        await terminal.close_input()
        async for _ in terminal:
            pass
        assert terminal.result is not None
        assert terminal.result.exit_code == 0


async def test_a_lost_terminal_is_an_error(session: Session) -> None:
    async with session.terminal() as terminal:
        await session.destroy()
        with pytest.raises(SandkastenStreamError):
            async for _ in terminal:
                pass
    with pytest.raises(SessionNotFoundError):
        async with session._client.session("00000000-0000").terminal():
            pass
    with pytest.raises(RuntimeError, match="not connected"):
        _ = session.terminal().process
