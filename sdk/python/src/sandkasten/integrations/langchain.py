"""Tools for LangChain and LangGraph: `pip install 'sandkasten[langchain]'`."""

from __future__ import annotations

from sandkasten._reach import OutputLimitError, read, write
from sandkasten.exceptions import CommandTimeoutError, SandkastenAPIError
from sandkasten.integrations import from_extra
from sandkasten.session import Session

with from_extra(__name__, "langchain"):
    from langchain_core.tools import BaseTool, ToolException, tool

#: How much of an output or a file a model is shown, in bytes.
MOST_SHOWN = 64 * 1024


def sandkasten_tools(session: Session) -> list[BaseTool]:
    """Tools that use a session: `sandbox_exec`, `sandbox_write_file`, `sandbox_read_file`, `sandbox_edit_file`.

    They are asynchronous: `await agent.ainvoke(…)`. What goes wrong is told to the model. It is shown at most 64 KiB at a time.
    """

    @tool
    async def sandbox_exec(command: str, timeout_seconds: int = 60) -> str:
        """Run a shell command in the sandbox. The shell persists: cd, variables and background jobs stay between calls."""
        try:
            result = await session.exec(
                command, timeout_ms=timeout_seconds * 1000, max_output_bytes=MOST_SHOWN, on_limit="head_tail"
            )
        except CommandTimeoutError as error:
            return f"{error.output}\n{error.message}"
        hint = f"\n{result.hint}" if result.hint else ""
        return f"exit code {result.exit_code} in {result.cwd}\n{result.output}{hint}"

    @tool
    async def sandbox_write_file(path: str, content: str) -> str:
        """Write a text file in the sandbox. Relative paths are below /workspace; missing directories are made."""
        await write(session, path, content.encode())
        return f"wrote {path}"

    @tool
    async def sandbox_read_file(path: str) -> str:
        """Read a text file in the sandbox. Relative paths are below /workspace."""
        return (await read(session, path, max_bytes=MOST_SHOWN)).decode("utf-8", "replace")

    @tool
    async def sandbox_edit_file(path: str, old: str, new: str) -> str:
        """Replace a text in a file below /workspace. The old text must be in the file exactly once."""
        await session.files.edit(path, [(old, new)])
        return f"edited {path}"

    tools: list[BaseTool] = [sandbox_exec, sandbox_write_file, sandbox_read_file, sandbox_edit_file]
    return [_telling(each) for each in tools]


def _telling(each: BaseTool) -> BaseTool:
    """Lets a tool tell the model what went wrong, in place of ending the run."""
    call = each.coroutine  # type: ignore[attr-defined]

    async def guarded(**arguments: object) -> object:
        try:
            return await call(**arguments)
        except (OSError, OutputLimitError, SandkastenAPIError) as error:
            raise ToolException(str(error)) from error

    each.coroutine = guarded
    each.handle_tool_error = True
    return each
