"""What the two twins do differently: waiting, and calls that block."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

#: An iterator that is to be closed where it is left early.
Stream = Generator[T, None, None]
#: What an upload takes: all of it, or its pieces.
Content = str | bytes | Iterable[bytes]


def pause(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)


def blocking(call: Callable[[], T]) -> T:
    """Does what blocks."""
    return call()
