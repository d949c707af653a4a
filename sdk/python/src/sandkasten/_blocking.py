"""What the two twins do differently: waiting, and calls that block."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")

#: An iterator that is to be closed where it is left early.
AsyncStream = AsyncGenerator[T, None]
#: What an upload takes: all of it, or its pieces.
AsyncContent = str | bytes | AsyncIterable[bytes]


async def pause(seconds: float) -> None:
    """Waits."""
    await anyio.sleep(seconds)


async def blocking(call: Callable[[], T]) -> T:
    """Does what would hold up the event loop, on a thread."""
    return await anyio.to_thread.run_sync(call)
