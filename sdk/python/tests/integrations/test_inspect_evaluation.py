"""The sandbox provider for Inspect in an evaluation, and against what a sandbox may do to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from inspect_ai import Task, eval_async
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessage, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import bash, python
from inspect_ai.util import (
    OutputLimitExceededError,
    SandboxEnvironmentSpec,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
)
from inspect_ai.util._sandbox.limits import override_max_exec_output_size, override_max_read_file_size
from inspect_ai.util._sandbox.self_check import test_exec_output as check_output

from sandkasten import SandboxClient
from sandkasten.integrations.inspect_ai import LABELS, SandkastenSandboxConfig, SandkastenSandboxEnvironment

READ = "print(open('result.txt').read() + open('given.txt').read())"


@pytest.fixture
async def sandbox() -> AsyncIterator[SandkastenSandboxEnvironment]:
    environments = await SandkastenSandboxEnvironment.sample_init("test", None, {})
    yield environments["default"].as_type(SandkastenSandboxEnvironment)
    await SandkastenSandboxEnvironment.sample_cleanup("test", None, environments, False)


async def live() -> list[str]:
    async with SandboxClient() as client:
        return [info.id for info in await client.list_sessions(labels=LABELS)]


async def test_a_model_writes_a_file_runs_it_and_is_scored_by_what_it_printed(tmp_path: Path) -> None:
    steps = iter(
        [
            lambda _: ModelOutput.for_tool_call("mockllm", "bash", {"command": "echo 'print(6 * 7)' > answer.py"}),
            lambda _: ModelOutput.for_tool_call("mockllm", "bash", {"command": "python3 answer.py | tee result.txt"}),
            lambda _: ModelOutput.for_tool_call("mockllm", "python", {"code": READ}),
            lambda messages: ModelOutput.from_content("mockllm", f"It says {messages[-1].text}"),
        ]
    )

    def answer(messages: list[ChatMessage], *_: object) -> ModelOutput:
        output = next(steps)(messages)
        # What it used is given, so that nothing is fetched to count it with.
        output.usage = ModelUsage()
        return output

    model = get_model("mockllm/model", custom_outputs=answer)
    task = Task(
        dataset=[Sample("What is 6 times 7?", target="42\nand this", files={"given.txt": "and this"})],
        solver=[use_tools(bash(timeout=20), python(timeout=20)), generate()],
        scorer=includes(),
        sandbox=SandboxEnvironmentSpec("sandkasten", SandkastenSandboxConfig(ttl_seconds=120)),
    )
    (log,) = await eval_async(task, model=model, log_dir=str(tmp_path))
    assert log.status == "success", log.error
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value == 1, [
        repr(m.text) + str(getattr(m, "error", "")) for m in (log.samples or [])[0].messages
    ]
    assert await live() == []


async def test_a_command_that_prints_without_end_is_ended_at_the_limit(sandbox: SandkastenSandboxEnvironment) -> None:
    with override_max_exec_output_size(65536), pytest.raises(OutputLimitExceededError) as raised:
        await sandbox.exec(["yes", "\x1b]52;c;aGk=\x07"])
    assert len(raised.value.truncated_output or "") == 65536
    assert (await sandbox.exec(["sh", "-c", "ps -e | grep -c yes"])).stdout == "0\n"


async def test_a_file_without_end_is_not_read(sandbox: SandkastenSandboxEnvironment) -> None:
    await sandbox.exec(["truncate", "-s", "1T", "/tmp/huge"])
    with override_max_read_file_size(1 << 20), pytest.raises(OutputLimitExceededError):
        await sandbox.read_file("/tmp/huge", text=False)
    await sandbox.exec(["mkfifo", "/workspace/pipe"])
    with pytest.raises(Exception, match="regular"):
        await sandbox.read_file("pipe")


async def test_programs_that_the_sandbox_puts_first_in_the_path_are_its_own_affair(sandbox: SandkastenSandboxEnvironment) -> None:
    await sandbox.write_file("bin/base64", "#!/bin/sh\necho 'no base64!'\n")
    await sandbox.exec(["chmod", "+x", "bin/base64"])
    written = b"\x00\xff" * 600_000
    result = await sandbox.exec(["sh", "-c", "PATH=/workspace/bin:$PATH cat"], input=written)
    assert result.stdout.encode("utf-8", "replace") != b""
    await sandbox.write_file("/tmp/plain", "as it was")
    assert await sandbox.read_file("/tmp/plain") == "as it was"


async def test_what_went_by_way_of_files_leaves_none(sandbox: SandkastenSandboxEnvironment) -> None:
    await sandbox.exec(["cat"], input=b"\xff")
    await sandbox.exec(["printf", "%s", *["x" * 65536] * 16])
    with pytest.raises(TimeoutError):
        await sandbox.exec(["sleep", "20"], input=b"\xff", timeout=1)
    missing = await sandbox.exec(["nonesuch"], input=b"\xff")
    assert missing.returncode == 127
    assert (await sandbox.exec(["ls", "-A"])).stdout == ""


async def test_a_user_that_cannot_be_had_is_said_to_be_unsupported(sandbox: SandkastenSandboxEnvironment) -> None:
    with pytest.raises(SandboxUserUnsupportedError, match="root"):
        await sandbox.exec(["id"], user="root")
    await check_output(sandbox)


async def test_a_session_that_has_ended_is_unavailable_and_needs_no_cleanup(sandbox: SandkastenSandboxEnvironment) -> None:
    connection = await sandbox.connection()
    assert connection.command == f"sandkasten shell {connection.container}"
    assert connection.container in await live()
    await SandkastenSandboxEnvironment.cli_cleanup(connection.container)
    with pytest.raises(SandboxUnavailableError):
        await sandbox.exec(["true"])
    with pytest.raises(ConnectionError):
        await sandbox.connection()


async def test_a_session_that_ends_under_a_command_is_unavailable(sandbox: SandkastenSandboxEnvironment) -> None:
    async def end() -> None:
        await sandbox.exec(["sh", "-c", "until [ -e begun ]; do sleep 0.01; done"], timeout=20)
        await SandkastenSandboxEnvironment.cli_cleanup((await sandbox.connection()).container)

    async with asyncio.TaskGroup() as group:
        group.create_task(end())
        with pytest.raises(SandboxUnavailableError):
            await sandbox.exec(["sh", "-c", "touch begun; sleep 30"])


async def test_files_that_would_never_end_are_refused(sandbox: SandkastenSandboxEnvironment) -> None:
    await sandbox.exec(["mkfifo", "/tmp/pipe"])
    for path in ("/tmp/pipe", "/dev/zero"):
        with pytest.raises(OSError, match="no regular file"):
            await sandbox.read_file(path)
        with pytest.raises(OSError, match="no regular file"):
            await sandbox.write_file(path, "x")
    with pytest.raises(OSError, match="NUL"):
        await sandbox.read_file("/tmp/a\0b")


async def test_an_image_that_is_not_there_is_named() -> None:
    with pytest.raises(Exception, match="no-such-image"):
        await SandkastenSandboxEnvironment.sample_init("test", "no-such-image", {})
