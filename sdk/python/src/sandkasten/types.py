"""What the daemon answers, as dataclasses. Fields that an older daemon does not send have a default."""

from __future__ import annotations

from sandkasten._core.exec import ExecChunk, ExecResult, TerminalSize
from sandkasten._core.files import (
    CopiedFiles,
    EditedHunk,
    EditResult,
    FileChange,
    FileEntry,
    FileList,
    ReadResult,
    SearchMatch,
    SearchResult,
    StringEdit,
    UnpackedArchive,
    WatchEnd,
    WatchEvent,
    WatchOverflow,
    WatchReady,
    WrittenFile,
)
from sandkasten._core.images import ImageConfig, ImageInfo, PullDone, PullProgress
from sandkasten._core.processes import LogChunk, ProcessInfo, ProcessLogs
from sandkasten._core.sessions import UNCHANGED, Health, SessionEvent, SessionInfo, SessionIsolation, SessionStats
from sandkasten._core.terminal import TerminalOutput
from sandkasten._core.verdict import Verdict
from sandkasten._core.workspaces import WorkspaceInfo

__all__ = [
    "UNCHANGED",
    "CopiedFiles",
    "EditResult",
    "EditedHunk",
    "ExecChunk",
    "ExecResult",
    "FileChange",
    "FileEntry",
    "FileList",
    "Health",
    "ImageConfig",
    "ImageInfo",
    "LogChunk",
    "ProcessInfo",
    "ProcessLogs",
    "PullDone",
    "PullProgress",
    "ReadResult",
    "SearchMatch",
    "SearchResult",
    "SessionEvent",
    "SessionInfo",
    "SessionIsolation",
    "SessionStats",
    "StringEdit",
    "TerminalOutput",
    "TerminalSize",
    "UnpackedArchive",
    "Verdict",
    "WatchEnd",
    "WatchEvent",
    "WatchOverflow",
    "WatchReady",
    "WorkspaceInfo",
    "WrittenFile",
]
