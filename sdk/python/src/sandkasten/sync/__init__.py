"""The same client without `await`: generated from the asynchronous one by tools/make_sync.py, but for this file and _blocking."""

from __future__ import annotations

from sandkasten.sync.client import SandboxClient
from sandkasten.sync.files import Files
from sandkasten.sync.processes import Process
from sandkasten.sync.session import Session
from sandkasten.sync.terminal import Terminal
from sandkasten.sync.workspaces import Workspace

__all__ = ["SandboxClient", "Session", "Files", "Process", "Terminal", "Workspace"]
