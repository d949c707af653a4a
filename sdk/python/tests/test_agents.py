"""The tools for the OpenAI Agents SDK, with the real package where it is installed."""

import json
import secrets
import subprocess
import sys
from typing import Any

import pytest

import sandkasten
from sandkasten import SandboxClient

TOOLS = ["sandbox_exec", "sandbox_write_file", "sandbox_read_file", "sandbox_list_files", "sandbox_stats"]


def test_the_module_needs_nothing_until_a_tool_is_made() -> None:
    program = (
        "import sys; sys.modules['agents'] = None; sys.modules['pydantic'] = None\n"
        "import sandkasten.agents as ours\n"
        "for make in (ours.sandkasten_tools, lambda: ours.create_sandkasten_tools(None), lambda: ours.SandkastenContext):\n"
        "    try: make()\n"
        "    except ImportError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout  # noqa: S603
    assert said.splitlines() == ["sandkasten.agents needs the OpenAI Agents SDK: pip install 'sandkasten[agents]'"] * 3


@pytest.mark.filterwarnings("default")
async def test_the_tools_use_the_session(daemon: str) -> None:
    pytest.importorskip("agents")
    from agents.tool_context import ToolContext

    workspace = f"agent-{secrets.token_hex(4)}"
    async with SandboxClient() as client:
        async with sandkasten.sandbox_tools_for_workspace(client, workspace) as (session, bound):
            context = sandkasten.SandkastenContext(session=session, workspace_id=workspace)
            for tools in (bound, sandkasten.sandkasten_tools(), sandkasten.create_sandkasten_tools(session)):
                assert [tool.name for tool in tools] == TOOLS
                by_name = {tool.name: tool for tool in tools}

                async def call(name: str, by_name: dict[str, Any] = by_name, **arguments: object) -> str:
                    text = json.dumps(arguments)
                    given = ToolContext(context=context, tool_name=name, tool_call_id="1", tool_arguments=text)
                    answer: str = await by_name[name].on_invoke_tool(given, text)
                    return answer

                said = await call("sandbox_exec", cmd="echo hi; cd /tmp; false")
                assert said == "exit_code=1\ncwd=/tmp\n---\nhi\n"
                assert await call("sandbox_write_file", path="it's.txt", content="abc") == "wrote it's.txt"
                assert await call("sandbox_read_file", path="it's.txt") == "abc"
                assert await call("sandbox_read_file", path="it's.txt", max_bytes=2) == "ab\n(truncated)"
                assert "it's.txt" in await call("sandbox_list_files", path="/workspace")
                assert (await call("sandbox_stats")).startswith("memory_bytes=")
        await client.delete_workspace(workspace)
