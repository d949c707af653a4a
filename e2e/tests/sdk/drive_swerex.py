"""Drives a session by SWE-ReX's own client, and fails at the first surprise."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from swerex.exceptions import (
    BashIncorrectSyntaxError,
    CommandTimeoutError,
    NonZeroExitCodeError,
    SessionDoesNotExistError,
    SessionExistsError,
)
from swerex.deployment.remote import RemoteDeployment
from swerex.runtime.abstract import (
    BashAction,
    BashInterruptAction,
    CloseBashSessionRequest,
    Command,
    CreateBashSessionRequest,
    ReadFileRequest,
    UploadRequest,
    WriteFileRequest,
)


def check(held, what):
    if not held:
        sys.exit(f"FAILED: {what}")


async def raises(kind, call):
    try:
        await call
    except kind as error:
        return str(error)
    sys.exit(f"FAILED: no {kind.__name__}")


async def shells(runtime):
    created = await runtime.create_session(CreateBashSessionRequest(startup_source=["/etc/hostname-that-is-not"]))
    check("No such file" in created.output, created)
    await raises(SessionExistsError, runtime.create_session(CreateBashSessionRequest()))
    await raises(SessionDoesNotExistError, runtime.run_in_session(BashAction(command="id", session="other")))
    run = runtime.run_in_session
    seen = await run(BashAction(command="cd /tmp; export A=1; echo hello"))
    check((seen.output.strip(), seen.exit_code) == ("hello", 0), seen)
    check((await run(BashAction(command="pwd; echo $A"))).output == "/tmp\n1\n", "state is kept")
    message = await raises(NonZeroExitCodeError, run(BashAction(command="echo no; exit_code_is() { return 3; }; exit_code_is", error_msg="Oh")))
    check(message.startswith("Oh: Command") and "exit code 3" in message and "no" in message, message)
    seen = await run(BashAction(command="false", check="silent"))
    check(seen.exit_code == 1, seen)
    seen = await run(BashAction(command="false", check="ignore"))
    check(seen.exit_code is None, seen)
    check((await run(BashAction(command=""))).exit_code == 0, "nothing is nothing")
    message = await raises(BashIncorrectSyntaxError, run(BashAction(command="touch /workspace/never\nif true; then (")))
    check("Error (exit code" in message, message)
    check((await run(BashAction(command="ls /workspace/never", check="silent"))).exit_code != 0, "nothing of it was run")
    seen = await run(BashAction(command="cat <<'END'\na \"b\" $c\nEND\necho 'x\ny'"))
    check(seen.output == 'a "b" $c\nx\ny\n', seen)
    await raises(CommandTimeoutError, run(BashAction(command="echo begun; sleep 100", timeout=0.3)))
    check((await run(BashAction(command="echo $A"))).output == "1\n", "the shell lives on")
    await raises(NotImplementedError, run(BashAction(command="python3", is_interactive_command=True, expect=[">>>"])))
    print("shells: state, checks, syntax, timeouts")


async def interrupts(runtime):
    begun = asyncio.ensure_future(runtime.run_in_session(BashAction(command="touch /tmp/began; sleep 1000", check="silent")))
    while (await runtime.execute(Command(command=["ls", "/tmp/began"]))).exit_code != 0:
        await asyncio.sleep(0.05)
    seen = await runtime.run_in_session(BashInterruptAction())
    check(seen.exit_code == 0, seen)
    check((await begun).exit_code != 0, "it was ended")
    check((await runtime.run_in_session(BashAction(command="echo $A"))).output == "1\n", "and the shell was not")
    await runtime.create_session(CreateBashSessionRequest(session="two"))
    check((await runtime.run_in_session(BashAction(command="echo \"<$A>\"", session="two"))).output == "<>\n", "shells are apart")
    await runtime.close_session(CloseBashSessionRequest(session="two"))
    await raises(SessionDoesNotExistError, runtime.close_session(CloseBashSessionRequest(session="two")))
    print("interrupts: one command, not the shell")


async def processes(runtime):
    result = await runtime.execute(Command(command=["sh", "-c", "echo out; echo err >&2; exit 3"]))
    check((result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3), result)
    result = await runtime.execute(Command(command="echo $B | cat; pwd", shell=True, env={"B": "b"}, cwd="/tmp"))
    check(result.stdout == "b\n/tmp\n", result)
    result = await runtime.execute(Command(command="echo out; echo err >&2", shell=True, merge_output_streams=True))
    check((result.stdout, result.stderr) == ("out\nerr\n", ""), result)
    result = await runtime.execute(Command(command="kill -9 $$", shell=True))
    check(result.exit_code == -9, result)
    await raises(NonZeroExitCodeError, runtime.execute(Command(command="false", check=True)))
    await raises(CommandTimeoutError, runtime.execute(Command(command=["sleep", "100"], timeout=0.2)))
    print("processes: streams, variables, signals, timeouts")


async def files(runtime):
    for path in ("/workspace/deep/er/a.txt", "relative.txt", "/tmp/deep/er/b.txt"):
        await runtime.write_file(WriteFileRequest(path=path, content="grüße\n$x `y`\n"))
        check((await runtime.read_file(ReadFileRequest(path=path))).content == "grüße\n$x `y`\n", path)
    await raises(FileNotFoundError, runtime.read_file(ReadFileRequest(path="/workspace/none")))
    await raises(FileNotFoundError, runtime.read_file(ReadFileRequest(path="/tmp/none")))
    await raises(OSError, runtime.write_file(WriteFileRequest(path="/etc/passwd", content="")))
    await raises(OSError, runtime.read_file(ReadFileRequest(path="/etc/shadow")))
    await runtime.execute(Command(command="printf 'a\\377b' > /workspace/bytes", shell=True))
    await raises(ValueError, runtime.read_file(ReadFileRequest(path="bytes")))
    check((await runtime.read_file(ReadFileRequest(path="bytes", errors="backslashreplace"))).content == "a\\xffb", "bytes")
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "tree"
        (tree / "sub").mkdir(parents=True)
        (tree / "sub" / "run.sh").write_text("echo ran\n")
        (tree / "sub" / "run.sh").chmod(0o755)
        (tree / "zero").write_bytes(bytes(range(256)) * 4096)
        await runtime.upload(UploadRequest(source_path=str(tree), target_path="/workspace/tree"))
        await runtime.upload(UploadRequest(source_path=str(tree / "zero"), target_path="/workspace/one/zero"))
        listed = await runtime.execute(Command(command="tree/sub/run.sh; cmp tree/zero one/zero && stat -c %s one/zero", shell=True))
        check((listed.stdout, listed.exit_code) == ("ran\n1048576\n", 0), listed)
        await raises(NotImplementedError, runtime.upload(UploadRequest(source_path=str(tree), target_path="/tmp/tree")))
    print("files: read, write, upload of files and directories")


async def main():
    deployment = RemoteDeployment(auth_token=os.environ["KEY"], host=os.environ["HOST"], timeout=10)
    await deployment.start()
    alive = await deployment.is_alive()
    check(alive.is_alive, alive)
    for part in (shells, interrupts, processes, files):
        await part(deployment.runtime)
    await deployment.stop()
    stranger = RemoteDeployment(auth_token="wrong", host=os.environ["HOST"], timeout=10)
    await stranger.start()
    check(not (await stranger.is_alive()).is_alive, "a wrong key opens nothing")
    print("key: asked for")


asyncio.run(main())
