"""The backend for Deep Agents."""

from __future__ import annotations

import base64

import pytest
from deepagents import create_deep_agent
from deepagents.backends import CompositeBackend
from langchain_core.messages import ToolMessage
from scripted import scripted

from sandkasten.integrations.deepagents import SandkastenBackend
from sandkasten.sync import Session


@pytest.fixture
def backend(session: Session) -> SandkastenBackend:
    return SandkastenBackend(session, timeout=20)


def test_an_agent_writes_a_file_runs_it_and_reads_the_result(backend: SandkastenBackend, session: Session) -> None:
    model = scripted(
        ("write_file", {"file_path": "/workspace/answer.py", "content": "print(6 * 6)\n"}),
        ("edit_file", {"file_path": "/workspace/answer.py", "old_string": "6 * 6", "new_string": "6 * 7"}),
        ("execute", {"command": "python3 answer.py | tee result.txt; seq 100000"}),
        ("read_file", {"file_path": "/workspace/result.txt"}),
        ("ls", {"path": "/workspace"}),
        ("grep", {"pattern": "6 * 7", "output_mode": "content"}),
        ("glob", {"pattern": "*.txt"}),
        "It is 42.",
    )
    agent = create_deep_agent(model, backend=CompositeBackend(default=backend, routes={}, artifacts_root="/tmp"))
    state = agent.invoke({"messages": [("user", "What is 6 times 7?")]})
    said = {message.name: str(message.content) for message in state["messages"] if isinstance(message, ToolMessage)}
    assert state["messages"][-1].content == "It is 42."
    assert "42" in said["read_file"], said
    assert "/workspace/answer.py" in said["ls"]
    assert "print(6 * 7)" in said["grep"], said
    assert "/workspace/result.txt" in said["glob"]
    # What was too long for the model is in a file, which it can read.
    assert "/tmp/large_tool_results/call_2" in said["execute"], said["execute"][-300:]
    assert session.exec("grep -cx 77777 /tmp/large_tool_results/call_2").output == "1\n"


def test_files_go_in_and_come_out_at_any_path_that_can_be_had(backend: SandkastenBackend) -> None:
    content = bytes(range(256)) * 4096
    files = [("/workspace/a/b.bin", content), ("/tmp/c/d.bin", content), ("/etc/x", b""), ("/tmp", b""), ("relative", b"")]
    written = [(response.path, response.error) for response in backend.upload_files(files)]
    assert written == [
        ("/workspace/a/b.bin", None),
        ("/tmp/c/d.bin", None),
        ("/etc/x", "permission_denied"),
        ("/tmp", "is_directory"),
        ("relative", "invalid_path"),
    ]
    read = backend.download_files(
        ["/workspace/a/b.bin", "/tmp/c/d.bin", "/workspace/none", "/tmp/none", "/workspace/a", "/etc", "x"]
    )
    assert [response.content for response in read[:2]] == [content, content]
    errors = [response.error for response in read[2:]]
    assert errors == ["file_not_found", "file_not_found", "is_directory", "is_directory", "invalid_path"]


def test_a_binary_file_is_read_as_base64_and_a_page_of_text_as_lines(backend: SandkastenBackend) -> None:
    backend.upload_files([("/workspace/x.png", b"\x89PNG\xff"), ("/workspace/x.txt", b"a\nb\nc\n")])
    picture = backend.read("/workspace/x.png").file_data
    assert picture is not None
    assert (picture["encoding"], base64.b64decode(picture["content"])) == ("base64", b"\x89PNG\xff")
    page = backend.read("/workspace/x.txt", offset=1, limit=1)
    assert page.file_data is not None
    assert (page.file_data["content"], page.total_lines, page.next_offset) == ("b", 3, 2)


def test_a_command_past_its_time_and_one_without_end_are_answers(backend: SandkastenBackend) -> None:
    late = backend.execute("echo before; sleep 20", timeout=1)
    assert (late.exit_code, late.output.startswith("before\n"), "timeout" in late.output) == (124, True, True)
    endless = backend.execute("yes | head -c 20000000; exit 3")
    assert (endless.exit_code, endless.truncated, len(endless.output) <= 1024 * 1024 + 200) == (3, True, True)
    assert backend.execute("printf '\\033]0;title\\007\\033[31mred'").output == "red"


def test_commands_run_in_fresh_processes_side_by_side(backend: SandkastenBackend) -> None:
    backend.execute("cd /tmp; export X=1")
    assert backend.execute("pwd; echo ${X-none}").output == "/workspace\nnone\n"


def test_a_session_that_has_ended_is_an_answer_too(backend: SandkastenBackend, session: Session) -> None:
    session.destroy()
    assert "not run" in backend.execute("true").output
    assert backend.execute("true").exit_code is None
    assert backend.write("/workspace/x", "").error
    assert backend.upload_files([("/workspace/x", b"")])[0].error
    assert backend.download_files(["/workspace/x"])[0].error
