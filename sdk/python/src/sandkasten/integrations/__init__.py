"""Sandkasten as the sandbox of agent frameworks. Each module needs the extra that it names; importing this one needs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def from_extra(module: str, extra: str) -> Iterator[None]:
    """Says which extra is missing, where the imports in the block fail."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{module} needs what is not installed: pip install 'sandkasten[{extra}]' ({error})") from error
