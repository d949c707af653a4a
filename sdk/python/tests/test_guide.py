"""The guide: all of its pieces, one after another, against the daemon."""

import ast
import contextlib
import io
import re
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

PIECE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


async def test_the_guides_pieces_print_what_they_say(daemon: str, docs: Path) -> None:
    guide, page = (docs / "sdk-python.md").read_text(), (Path(__file__).parent.parent / "README.md").read_text()
    names: dict[str, Any] = {"__name__": "guide"}
    pieces = PIECE.findall(guide) + PIECE.findall(page)
    assert len(pieces) > 12
    for piece in pieces:
        printed = io.StringIO()
        code = compile(piece, "docs/sdk-python.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with contextlib.redirect_stdout(printed):
            await _run(code, names)
        expected = [line.removeprefix("#> ") for line in piece.splitlines() if line.startswith("#> ")]
        assert expected, piece
        assert printed.getvalue().splitlines() == expected, piece


async def _run(code: CodeType, names: dict[str, Any]) -> None:
    outcome = FunctionType(code, names)()
    if outcome is not None:
        await outcome
