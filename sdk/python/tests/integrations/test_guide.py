"""The guide docs/agents.md: each of its pieces, with a model that does what it is asked."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from agents.testing import ScriptedModel, assistant_message, function_call
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from scripted import scripted
from test_smolagents import Scripted

PIECE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = "python3 -c 'print(6 * 7)'"


def openai(tool: str) -> ScriptedModel:
    return ScriptedModel([[function_call(tool, {"cmd": COMMAND}, call_id="1")], [assistant_message("It is 42.")]])


def inspect() -> Any:
    outputs = [ModelOutput.for_tool_call("m", "bash", {"command": COMMAND}), ModelOutput.from_content("m", "It is 42.")]
    for output in outputs:
        output.usage = ModelUsage()
    return get_model("mockllm/model", custom_outputs=outputs)


MODELS = {
    "openai_agents": lambda: openai("exec_command"),
    "create_sandkasten_tools": lambda: openai("sandbox_exec"),
    "deepagents": lambda: scripted(("execute", {"command": COMMAND}), "It is 42."),
    "langchain": lambda: scripted(("sandbox_exec", {"command": COMMAND}), "It is 42."),
    "smolagents": lambda: Scripted("x = 6", "final_answer(x * 7)"),
    "inspect_ai": inspect,
}


@pytest.mark.parametrize("name", MODELS)
async def test_a_piece_of_the_guide_prints_what_it_says(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")
    monkeypatch.chdir(tmp_path)
    pieces = PIECE.findall(guide())
    assert len(pieces) == len(MODELS)
    (piece,) = [piece for piece in pieces if re.search(rf"\b{name}\b", piece)]
    code = compile(piece, "docs/agents.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await run(code, {"__name__": "guide", "model": MODELS[name]()})
    expected = [line.removeprefix("#> ") for line in piece.splitlines() if line.startswith("#> ")]
    assert expected
    assert capsys.readouterr().out.splitlines()[-len(expected) :] == expected


def guide() -> str:
    return (Path(os.environ["SANDKASTEN_DOCS"]) / "agents.md").read_text()


async def run(code: CodeType, names: dict[str, Any]) -> None:
    outcome = FunctionType(code, names)()
    if outcome is not None:
        await outcome


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("deepagents", "deepagents"),
        ("inspect_ai", "inspect"),
        ("langchain", "langchain"),
        ("openai_agents", "openai-sandbox"),
        ("smolagents", "smolagents"),
    ],
)
def test_a_module_without_its_framework_names_the_extra(module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    name = f"sandkasten.integrations.{module}"
    missing = {"langchain": "langchain_core", "openai_agents": "agents"}.get(module, module)
    for loaded in [each for each in sys.modules if each.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, loaded, None)
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match=re.escape(f"{name} needs what is not installed: pip install 'sandkasten[{extra}]'")):
        importlib.import_module(name)
    assert f"`{extra}`" in guide()
