"""Writes the synchronous twin from the asynchronous modules, word for word; `--check` only compares.

What differs between the two is in `_blocking.py` of each. Tests are turned around the same way: `make_sync.py FROM TO`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "sandkasten"
MODULES = ("_reach", "client", "session", "files", "processes", "terminal", "workspaces", "transport")

WORDS = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync(Stream|Content|ExitStack|Iterator|Client|HTTPTransport)\b", r"\1"),
    (r"\b__a(enter|exit|iter)__\b", r"__\1__"),
    (r"\baiter_raw\b", "iter_raw"),
    (r"\.aclose\b", ".close"),
    (r"\benter_async_context\b", "enter_context"),
    (r"\baclosing\b", "closing"),
    (r"\banext\(", "next("),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\bwebsockets\.asyncio\b", "websockets.sync"),
    (rf"\bsandkasten\.(_blocking|{'|'.join(MODULES)})\b", r"sandkasten.sync.\1"),
    (r"\bfrom sandkasten import (?=SandboxClient|Session)", "from sandkasten.sync import "),
]


def synchronous(text: str, origin: str) -> str:
    """The twin of a module's text."""
    for pattern, twin in WORDS:
        text = re.sub(pattern, twin, text)
    return f"# Generated from {origin} by tools/make_sync.py; do not edit.\n{text}"


def main(arguments: list[str]) -> int:
    """Writes what is out of date, and names it; that is an error with `--check`."""
    is_check = arguments == ["--check"]
    if is_check or not arguments:
        pairs = [(SOURCE / f"{name}.py", SOURCE / "sync" / f"{name}.py") for name in MODULES]
    else:
        source, target = Path(arguments[0]), Path(arguments[1])
        target.mkdir(exist_ok=True)
        pairs = [(path, target / path.name.replace("test_", "test_sync_")) for path in sorted(source.glob("*.py"))]
    is_current = True
    for asynchronous, twin in pairs:
        text = synchronous(asynchronous.read_text(), asynchronous.name)
        if twin.exists() and twin.read_text() == text:
            continue
        is_current = False
        if not is_check:
            twin.write_text(text)
        print(f"{twin.name} {'is out of date: run tools/make_sync.py' if is_check else 'is written'}")
    return 1 if is_check and not is_current else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
