"""What only asyncio has: calls that are cancelled, and many at once."""

import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest

from sandkasten import SandboxClient


async def test_a_call_that_is_cancelled_ends_its_command_and_leaves_the_session_usable(daemon: str) -> None:
    async with SandboxClient() as client, await client.create_session() as session:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.exec("sleep 1000", timeout_ms=600_000), 0.3)
        # The shell takes one command at a time: this one waits until the other one is gone.
        assert (await asyncio.wait_for(session.exec("echo still here"), 60)).output == "still here\n"
        reasons = [info.reason for info in await session.list_processes() if info.command == "sleep 1000"]
        assert reasons == ["cancelled"]


async def test_streams_do_not_keep_other_calls_waiting(daemon: str) -> None:
    async with SandboxClient(timeout=20) as client, await client.create_session(), AsyncExitStack() as left:
        for _ in range(120):
            events = await left.enter_async_context(aclosing(client.events()))
            assert (await anext(events)).status == "running"
        assert (await client.health()).status == "ok"


async def test_sessions_are_used_side_by_side(daemon: str) -> None:
    async def one(client: SandboxClient, number: int) -> str:
        async with await client.create_session() as session:
            return (await session.exec(f"echo {number}")).output

    async with SandboxClient() as client:
        outputs = await asyncio.gather(*(one(client, number) for number in range(12)))
    assert outputs == [f"{number}\n" for number in range(12)]
