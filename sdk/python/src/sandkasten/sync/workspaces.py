# Generated from workspaces.py by tools/make_sync.py; do not edit.
"""A workspace: a directory that outlives sessions."""

from __future__ import annotations

from sandkasten._core import workspaces
from sandkasten.sync.files import Files
from sandkasten.sync.transport import Transport


class Workspace:
    """A workspace by its id, whether it is there or not: `client.workspace("user-1")`."""

    def __init__(self, transport: Transport, workspace_id: str) -> None:
        self._id = workspace_id
        self._files = Files(transport, f"{workspaces.path(workspace_id)}/fs")

    @property
    def id(self) -> str:
        """Its id."""
        return self._id

    @property
    def files(self) -> Files:
        """Its files. Writes make the workspace where there is none."""
        return self._files
