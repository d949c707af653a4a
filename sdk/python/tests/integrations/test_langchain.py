"""The tools for LangChain."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from langchain.agents import create_agent
from scripted import scripted

from sandkasten import SandboxClient, Session
from sandkasten.integrations.langchain import MOST_SHOWN, sandkasten_tools


@pytest.fixture
async def session() -> AsyncIterator[Session]:  # type: ignore[override]
    async with SandboxClient() as client, await client.create_session() as session:
        yield session


async def test_an_agent_writes_a_file_runs_it_and_reads_the_result(session: Session) -> None:
    model = scripted(
        ("sandbox_write_file", {"path": "answer.py", "content": "print(6 * 6)\n"}),
        ("sandbox_edit_file", {"path": "answer.py", "old": "6 * 6", "new": "6 * 7"}),
        ("sandbox_exec", {"command": "cd /workspace && python3 answer.py > /tmp/result.txt"}),
        ("sandbox_read_file", {"path": "/tmp/result.txt"}),
        "It is 42.",
    )
    state = await create_agent(model, tools=sandkasten_tools(session)).ainvoke({"messages": [("user", "6 times 7?")]})
    said = [str(message.content) for message in state["messages"] if message.type == "tool"]
    assert said == ["wrote answer.py", "edited answer.py", "exit code 0 in /workspace\n", "42\n"]


async def test_what_goes_wrong_is_told_to_the_model(session: Session) -> None:
    model = scripted(
        ("sandbox_read_file", {"path": "none"}),
        ("sandbox_edit_file", {"path": "none", "old": "a", "new": "b"}),
        ("sandbox_exec", {"command": "echo before; sleep 20", "timeout_seconds": 1}),
        ("sandbox_exec", {"command": "yes | head -c 10000000"}),
        ("sandbox_read_file", {"path": "/dev/zero"}),
        ("sandbox_write_file", {"path": "/etc/passwd", "content": ""}),
        "So it is.",
    )
    state = await create_agent(model, tools=sandkasten_tools(session)).ainvoke({"messages": [("user", "?")]})
    said = [str(message.content) for message in state["messages"] if message.type == "tool"]
    assert "does not exist" in said[0]
    assert "does not exist" in said[1]
    assert said[2].startswith("before\n")
    assert "1000 ms" in said[2]
    assert len(said[3]) < MOST_SHOWN + 500
    assert "no regular file" in said[4]
    assert "permission" in said[5].lower()
