"""Client of Sandkasten, a self-hosted runtime in which AI agents run untrusted code.

The names here are asynchronous; `sandkasten.sync` has the same ones without `await`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from sandkasten.client import SandboxClient
from sandkasten.exceptions import SandkastenAPIError, SandkastenError, SandkastenStreamError
from sandkasten.files import Files
from sandkasten.processes import Process
from sandkasten.session import Session
from sandkasten.terminal import Terminal
from sandkasten.types import (
    ExecChunk,
    ExecResult,
    ReadResult,
    SessionInfo,
    SessionStats,
    TerminalSize,
    Verdict,
    WorkspaceInfo,
)
from sandkasten.workspaces import Workspace

__version__ = version(__name__)
__all__ = [
    "SandboxClient",
    "Session",
    "Files",
    "Process",
    "Terminal",
    "Workspace",
    "ExecResult",
    "ExecChunk",
    "SessionInfo",
    "SessionStats",
    "ReadResult",
    "WorkspaceInfo",
    "TerminalSize",
    "Verdict",
    "SandkastenError",
    "SandkastenAPIError",
    "SandkastenStreamError",
]

_OF_AGENTS = ("SandkastenContext", "sandkasten_tools", "create_sandkasten_tools", "sandbox_tools_for_workspace")


def __getattr__(name: str) -> Any:
    """Gives the tools for the OpenAI Agents SDK, which are imported where they are first used."""
    if name in _OF_AGENTS:
        from sandkasten import agents

        return getattr(agents, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
