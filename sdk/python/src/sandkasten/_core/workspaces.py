"""Workspaces: directories that outlive sessions."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandkasten._core.answer import read_as, read_list
from sandkasten._core.request import Call, Request, ignored, segment


@dataclass
class WorkspaceInfo:
    """A workspace as the daemon shows it."""

    id: str
    """Its name"""

    created_at: str | None = None
    """When it was made, RFC 3339 in UTC"""

    labels: dict[str, str] = field(default_factory=dict)
    """`sandkasten.workspace_id`, with its name"""

    size_bytes: int | None = None
    """What it takes of the disk, in bytes; in lists"""

    files: int | None = None
    """How many files it holds, everything but directories; in lists"""

    truncated: bool = False
    """Whether there is more than was counted"""


def path(workspace_id: str) -> str:
    """Where a workspace is."""
    return f"/v1/workspaces/{segment(workspace_id)}"


def list_all() -> Call[list[WorkspaceInfo]]:
    """All of them, by name."""
    return Call(Request("GET", "/v1/workspaces"), read_list(WorkspaceInfo, "workspaces"))


def create(workspace_id: str) -> Call[WorkspaceInfo]:
    """Makes an empty one."""
    return Call(Request("POST", "/v1/workspaces", json={"id": workspace_id}), read_as(WorkspaceInfo))


def remove(workspace_id: str) -> Call[None]:
    """Removes one that nobody uses."""
    return Call(Request("DELETE", path(workspace_id)), ignored)


def rename(workspace_id: str, to: str) -> Call[None]:
    """Gives one another name."""
    return Call(Request("POST", f"{path(workspace_id)}/rename", json={"to": to}), ignored)


def copy(workspace_id: str, to: str) -> Call[WorkspaceInfo]:
    """Copies one."""
    return Call(Request("POST", f"{path(workspace_id)}/copy", json={"to": to}), read_as(WorkspaceInfo))
