"""Inspect's tools that put a program of its own into the sandbox, which needs a root that can be written."""

from __future__ import annotations

from pathlib import Path

from inspect_ai import Task, eval_async
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import bash_session, text_editor


async def test_an_editor_and_a_shell_that_remembers_work_in_a_session(tmp_path: Path) -> None:
    outputs = [
        ModelOutput.for_tool_call("m", "text_editor", {"command": "create", "path": "/workspace/note", "file_text": "kept"}),
        ModelOutput.for_tool_call("m", "bash_session", {"action": "type_submit", "input": "cat /workspace/note; cd /tmp"}),
        ModelOutput.for_tool_call("m", "bash_session", {"action": "type_submit", "input": "pwd"}),
        ModelOutput.from_content("m", "done"),
    ]
    for output in outputs:
        output.usage = ModelUsage()
    task = Task(
        dataset=[Sample("?")],
        solver=[use_tools(text_editor(timeout=30), bash_session(timeout=220)), generate()],
        sandbox="sandkasten",
    )
    model = get_model("mockllm/model", custom_outputs=outputs)
    (log,) = await eval_async(task, model=model, log_dir=str(tmp_path))
    assert log.status == "success", log.error
    said = [message.text for message in (log.samples or [])[0].messages if message.role == "tool"]
    assert "created" in said[0], said
    assert "kept" in said[1], said
    assert said[2].startswith("/tmp\n"), said
