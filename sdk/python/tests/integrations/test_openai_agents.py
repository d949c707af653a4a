"""The sandbox client for the OpenAI Agents SDK, and the tools of sandkasten.agents in a run."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agents import Agent, RunConfig, Runner
from agents.run_config import SandboxRunConfig
from agents.sandbox import Manifest, SandboxAgent
from agents.sandbox.entries import File
from agents.sandbox.errors import (
    ConfigurationError,
    ExecTimeoutError,
    ExecTransportError,
    InvalidManifestPathError,
    WorkspaceArchiveWriteError,
    WorkspaceReadNotFoundError,
)
from agents.sandbox.session import SandboxSession
from agents.sandbox.snapshot import LocalSnapshotSpec
from agents.sandbox.types import User
from agents.testing import ScriptedModel, assistant_message, function_call

from sandkasten import SandboxClient, SandkastenContext, create_sandkasten_tools, sandbox_tools_for_workspace, sandkasten_tools
from sandkasten.integrations.openai_agents import SandkastenSandboxClient, SandkastenSandboxClientOptions

QUIET = RunConfig(tracing_disabled=True)


def outputs(result: object) -> list[str]:
    items = result.new_items  # type: ignore[attr-defined]
    return [str(item.output) for item in items if item.type == "tool_call_output_item"]


@pytest.fixture
async def sandboxes() -> AsyncIterator[SandkastenSandboxClient]:
    async with SandkastenSandboxClient() as sandboxes:
        yield sandboxes


@pytest.fixture
async def sandbox(sandboxes: SandkastenSandboxClient) -> AsyncIterator[SandboxSession]:
    async with await sandboxes.create() as sandbox:
        yield sandbox


async def live() -> int:
    async with SandboxClient() as client:
        return len(await client.list_sessions(labels={"created-by": "openai-agents"}))


async def test_a_sandbox_agent_writes_a_file_runs_it_and_reads_the_result(sandboxes: SandkastenSandboxClient) -> None:
    script = "cat > answer.py <<'END'\nprint(6 * 7)\nEND\ncat given.txt"
    model = ScriptedModel(
        [
            [function_call("exec_command", {"cmd": script}, call_id="1")],
            [function_call("exec_command", {"cmd": "python3 answer.py | tee result.txt"}, call_id="2")],
            [function_call("exec_command", {"cmd": "cat result.txt; echo $GREETING; exit 3"}, call_id="3")],
            [assistant_message("It is 42.")],
        ]
    )
    manifest = Manifest(
        root="/workspace", entries={"given.txt": File(content=b"given")}, environment={"value": {"GREETING": "hello"}}
    )
    agent = SandboxAgent(name="coder", instructions="Compute.", model=model, default_manifest=manifest)
    config = RunConfig(
        sandbox=SandboxRunConfig(client=sandboxes, options=SandkastenSandboxClientOptions()), tracing_disabled=True
    )
    result = await Runner.run(agent, "What is 6 times 7?", run_config=config)
    assert result.final_output == "It is 42."
    said = outputs(result)
    assert "given" in said[0]
    assert "42" in said[1]
    assert "42\nhello" in said[2]
    assert "code 3" in said[2]
    assert await live() == 0


async def test_a_workspace_is_kept_as_a_snapshot_and_unpacked_into_another_session(
    sandboxes: SandkastenSandboxClient, tmp_path: Path
) -> None:
    manifest = Manifest(root="/workspace", entries={"gone.txt": File(content=b"ephemeral", ephemeral=True)})
    first = await sandboxes.create(snapshot=LocalSnapshotSpec(base_path=tmp_path), manifest=manifest)
    async with first:
        await first.write(Path("deep/kept.bin"), io.BytesIO(bytes(range(256))))
        await first.exec("chmod 750 deep/kept.bin; ln -s kept.bin deep/link")
    payload = sandboxes.serialize_session_state(first.state)
    assert "sk-" not in str(payload)
    (snapshot,) = tmp_path.glob("*.tar")
    with tarfile.open(snapshot) as archive:
        names = {member.name.removeprefix("./") for member in archive}
    assert {"deep", "deep/kept.bin", "deep/link"} <= names
    assert "gone.txt" not in names
    async with await sandboxes.resume(sandboxes.deserialize_session_state(payload)) as second:
        assert (await second.read(Path("deep/kept.bin"))).read() == bytes(range(256))
        assert (
            await second.exec("stat -c %a deep/kept.bin; readlink deep/link; cat gone.txt")
        ).stdout == b"750\nkept.bin\nephemeral"
        again = await sandboxes.resume(second.state)
        assert again.state.sandkasten_session_id == second.state.sandkasten_session_id
    assert not await second.running()
    await sandboxes.delete(second)
    assert await live() == 0


async def test_archives_that_lead_out_are_refused(sandbox: SandboxSession) -> None:
    for name, kind in (("../out", tarfile.REGTYPE), ("link", tarfile.SYMTYPE), ("device", tarfile.CHRTYPE)):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        archive.seek(0)
        with pytest.raises(WorkspaceArchiveWriteError):
            await sandbox.hydrate_workspace(archive)
    with pytest.raises(WorkspaceArchiveWriteError):
        await sandbox.hydrate_workspace(io.BytesIO(b"no archive"))


async def test_commands_that_print_without_end_or_run_past_their_time_are_ended(sandbox: SandboxSession) -> None:
    with pytest.raises(ExecTransportError, match="printed more than"):
        await sandbox.exec("yes")
    with pytest.raises(ExecTimeoutError):
        await sandbox.exec("sleep 20", timeout=0.5)
    assert (await sandbox.exec("ps -e | grep -cE 'yes|sleep'")).stdout == b"0\n"


async def test_paths_that_lead_out_of_the_workspace_are_refused(sandbox: SandboxSession) -> None:
    await sandbox.exec("ln -s /etc/passwd out; ln -s /tmp directory")
    for path in ("out", "/etc/passwd", "../etc/passwd"):
        with pytest.raises(InvalidManifestPathError):
            await sandbox.read(Path(path))
    with pytest.raises(InvalidManifestPathError):
        await sandbox.write(Path("directory/x"), io.BytesIO(b""))
    with pytest.raises(WorkspaceReadNotFoundError):
        await sandbox.read(Path("none"))


async def test_what_a_session_does_not_have_is_refused_by_name(
    sandboxes: SandkastenSandboxClient, sandbox: SandboxSession
) -> None:
    for manifest, message in (
        (Manifest(root="/srv"), "/srv"),
        (Manifest(root="/workspace", users=[User(name="root")]), "users"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            await sandboxes.create(manifest=manifest)
    with pytest.raises(ConfigurationError, match="root"):
        await sandbox.exec("id", user="root")
    with pytest.raises(Exception, match="port"):
        await sandbox.resolve_exposed_port(80)
    assert not sandbox.supports_pty()


async def test_the_tools_write_a_file_run_it_and_read_the_result_with_and_without_a_context() -> None:
    def model() -> ScriptedModel:
        return ScriptedModel(
            [
                [function_call("sandbox_write_file", {"path": "answer.py", "content": "print(6 * 7)"}, call_id="1")],
                [function_call("sandbox_exec", {"cmd": "python3 answer.py > result.txt"}, call_id="2")],
                [function_call("sandbox_read_file", {"path": "result.txt"}, call_id="3")],
                [assistant_message("It is 42.")],
            ]
        )

    expected = ["wrote answer.py", "exit_code=0\ncwd=/workspace\n---\n", "42\n"]
    async with SandboxClient() as client, await client.create_session() as session:
        agent = Agent(name="coder", model=model(), tools=create_sandkasten_tools(session))
        assert outputs(await Runner.run(agent, "6 times 7?", run_config=QUIET)) == expected
        with_context = Agent[SandkastenContext](name="coder", model=model(), tools=sandkasten_tools())
        context = SandkastenContext(session=session)
        assert outputs(await Runner.run(with_context, "6 times 7?", context=context, run_config=QUIET)) == expected


async def test_the_tools_of_a_workspace_find_what_was_left_in_it() -> None:
    async with SandboxClient() as client:
        for step, expected in (
            (function_call("sandbox_write_file", {"path": "note", "content": "kept"}, call_id="1"), "wrote note"),
            (function_call("sandbox_read_file", {"path": "note"}, call_id="1"), "kept"),
        ):
            async with sandbox_tools_for_workspace(client, "agents-test") as (_, tools):
                agent = Agent(name="coder", model=ScriptedModel([[step], [assistant_message("done")]]), tools=tools)
                assert outputs(await Runner.run(agent, "?", run_config=QUIET)) == [expected]
        await client.delete_workspace("agents-test")
