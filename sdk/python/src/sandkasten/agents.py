"""Tools for the OpenAI Agents SDK: `pip install 'sandkasten[agents]'`.

The SDK is imported where a tool is made, and not before.
"""

# No postponed annotations here: the SDK reads those of the tools, which name what is imported inside a function.

import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from sandkasten.client import SandboxClient
from sandkasten.session import Session
from sandkasten.types import ExecResult

__all__ = [
    "SandkastenContext",
    "sandkasten_tools",
    "create_sandkasten_tools",
    "sandbox_tools_for_workspace",
]

#: The class of what a run carries for the tools; made where it is first asked for, because it is one of pydantic's.
SandkastenContext: Any

_MISSING = "sandkasten.agents needs the OpenAI Agents SDK: pip install 'sandkasten[agents]'"


@cache
def _context_class() -> Any:
    try:
        from pydantic import BaseModel, ConfigDict, SkipValidation
    except ImportError as error:
        raise ImportError(_MISSING) from error

    class SandkastenContext(BaseModel):  # type: ignore[misc, unused-ignore]
        """What a run carries for the tools of sandkasten_tools: the session, and whose workspace it is on."""

        model_config = ConfigDict(arbitrary_types_allowed=True)

        session: SkipValidation[Session]
        workspace_id: str | None = None

    return SandkastenContext


def _answer(result: ExecResult) -> str:
    return f"exit_code={result.exit_code}\ncwd={result.cwd}\n---\n{result.output}"


def _tools(session_of: Callable[[Any], Session]) -> list[Any]:
    try:
        from agents import RunContextWrapper, function_tool
    except ImportError as error:
        raise ImportError(_MISSING) from error

    async def sandbox_exec(ctx: RunContextWrapper[Any], cmd: str, timeout_ms: int = 30000) -> str:
        """Runs a shell command in the sandbox.

        The shell persists: directory changes, variables and background jobs stay from one call to the next.

        Args:
            cmd: The command, such as 'python script.py'.
            timeout_ms: After how many milliseconds it is ended.

        Returns:
            The exit code, the working directory, and behind --- the output.
        """
        return _answer(await session_of(ctx).exec(cmd, timeout_ms=timeout_ms))

    async def sandbox_write_file(ctx: RunContextWrapper[Any], path: str, content: str) -> str:
        """Writes text to a file in the sandbox.

        Args:
            path: The file, relative to /workspace or absolute below it.
            content: Its new content.
        """
        await session_of(ctx).write(path, content)
        return f"wrote {path}"

    async def sandbox_read_file(ctx: RunContextWrapper[Any], path: str, max_bytes: int | None = None) -> str:
        """Reads a text file in the sandbox.

        Args:
            path: The file, relative to /workspace or absolute below it.
            max_bytes: How many bytes are read at most; the whole file where absent.
        """
        result = await session_of(ctx).read(path, max_bytes=max_bytes)
        text = result.content.decode("utf-8", "replace")
        return f"{text}\n(truncated)" if result.truncated else text

    async def sandbox_list_files(ctx: RunContextWrapper[Any], path: str = ".") -> str:
        """Lists a directory in the sandbox, as ls -la does.

        Args:
            path: The directory; the working directory where absent.
        """
        where = "" if path in (".", "") else f" -- {shlex.quote(path)}"
        return _answer(await session_of(ctx).exec(f"ls -la{where}"))

    async def sandbox_stats(ctx: RunContextWrapper[Any]) -> str:
        """Says how much memory and processor time the sandbox uses."""
        stats = await session_of(ctx).stats()
        used, limit = (size / (1024 * 1024) for size in (stats.memory_bytes, stats.memory_limit))
        return (
            f"memory_bytes={stats.memory_bytes} ({used:.2f} MB), "
            f"memory_limit={stats.memory_limit} ({limit:.2f} MB), "
            f"cpu_usage_usec={stats.cpu_usage_usec}"
        )

    each = (sandbox_exec, sandbox_write_file, sandbox_read_file, sandbox_list_files, sandbox_stats)
    return [function_tool(tool) for tool in each]


@cache
def _context_tools() -> tuple[Any, ...]:
    return tuple(_tools(lambda ctx: ctx.context.session))


def sandkasten_tools() -> list[Any]:
    """Tools for an `Agent[SandkastenContext]`: they use the session of the context that the run is given.

    Raises:
        ImportError: The OpenAI Agents SDK is not installed.
    """
    return list(_context_tools())


def create_sandkasten_tools(session: Session) -> list[Any]:
    """Tools that use this session, whatever context the run has.

    Raises:
        ImportError: The OpenAI Agents SDK is not installed.
    """
    return _tools(lambda _: session)


@asynccontextmanager
async def sandbox_tools_for_workspace(
    client: SandboxClient,
    workspace_id: str,
    *,
    image: str | None = None,
    ttl_seconds: int | None = None,
) -> AsyncIterator[tuple[Session, list[Any]]]:
    """A session on a workspace, and tools that use it; the session is destroyed at the end of the block.

    Args:
        client: The client that makes it.
        workspace_id: The workspace, such as one for each user.
        image: What the session starts from; as for SandboxClient.create_session where absent.
        ttl_seconds: After how many seconds without use it ends.
    """
    async with await client.create_session(image=image, workspace_id=workspace_id, ttl_seconds=ttl_seconds) as session:
        yield session, create_sandkasten_tools(session)


def __getattr__(name: str) -> Any:
    """Makes the class of the context where it is first asked for."""
    if name == "SandkastenContext":
        return _context_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
