"""A backend for Deep Agents: `pip install 'sandkasten[deepagents]'`.

with SandboxClient() as client, client.create_session() as session:
    agent = create_deep_agent(model, backend=SandkastenBackend(session))
"""

from __future__ import annotations

from sandkasten.exceptions import CommandTimeoutError, SandkastenAPIError
from sandkasten.integrations import from_extra
from sandkasten.sync import Session, _reach

with from_extra(__name__, "deepagents"):
    from deepagents.backends.protocol import (
        FILE_NOT_FOUND,
        INVALID_PATH,
        IS_DIRECTORY,
        PERMISSION_DENIED,
        ExecuteResponse,
        FileDownloadResponse,
        FileUploadResponse,
        GlobResult,
        WriteResult,
    )
    from deepagents.backends.sandbox import BaseSandbox

#: The largest file that is downloaded, in bytes.
MOST_DOWNLOADED = 64 * 1024 * 1024

#: The status of a command that was ended at its timeout, as timeout(1) has it.
TIMED_OUT = 124


class SandkastenBackend(BaseSandbox):
    """A session as the file system and shell of a deep agent.

    Commands run in fresh processes, side by side, and what they print is text without escape sequences; a long output is cut in
    its middle. Files are had at any path that the sandbox user may use. `ls`, `read_file`, `edit_file`, `grep` and `glob` are the
    base class's: they need `python3` and `grep` in the image.

    Args:
        session: A session of `sandkasten.sync`. It is the caller's, who destroys it.
        timeout: After how many seconds a command ends that is given no timeout; None for the daemon's maximum.
        max_output_bytes: How much output a command returns, at most 1 MiB.
    """

    def __init__(self, session: Session, *, timeout: int | None = 120, max_output_bytes: int = 1024 * 1024) -> None:
        self._session = session
        self._timeout = timeout
        self._max_output_bytes = max_output_bytes

    @property
    def id(self) -> str:
        """The session's id."""
        return self._session.id

    def execute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """Runs shell text in a fresh process.

        A command that ran past its timeout has status 124, and says so at the end of its output.

        Args:
            command: What to run.
            timeout: After how many seconds it is ended; 0 for the daemon's maximum.
        """
        seconds = self._timeout if timeout is None else timeout
        try:
            result = self._session.exec(
                command,
                shell="none",
                timeout_ms=seconds * 1000 if seconds is not None else None,
                max_output_bytes=self._max_output_bytes,
                on_limit="head_tail",
            )
        except CommandTimeoutError as error:
            return ExecuteResponse(f"{error.output}\n{error.message}", TIMED_OUT, error.truncated)
        except SandkastenAPIError as error:
            return ExecuteResponse(f"the command was not run: {error.message}", None)
        said = f"{result.output}\n{result.hint}" if result.reason not in ("exit", "signal") and result.hint else result.output
        return ExecuteResponse(said, result.exit_code, result.truncated)

    def write(self, file_path: str, content: str) -> WriteResult:
        """Writes a text file; missing parents are made."""
        try:
            _reach.write(self._session, file_path, content.encode())
        except (OSError, SandkastenAPIError) as error:
            return WriteResult(error=f"Failed to write file '{file_path}': {error}")
        return WriteResult(path=file_path)

    def glob(self, pattern: str, path: str | None = None) -> GlobResult:
        """Finds files below a directory: /workspace where none is given, and not all of the image."""
        return super().glob(pattern, path or _reach.WORKSPACE)

    async def aglob(self, pattern: str, path: str | None = None) -> GlobResult:
        """The same, without blocking."""
        return await super().aglob(pattern, path or _reach.WORKSPACE)

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Writes files, each by itself: one that fails does not stop the others."""
        return [FileUploadResponse(path, self._upload(path, content)) for path, content in files]

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """Reads files of up to 64 MiB, each by itself."""
        return [self._download(path) for path in paths]

    def _upload(self, path: str, content: bytes) -> str | None:
        if not path.startswith("/"):
            return INVALID_PATH
        try:
            _reach.write(self._session, path, content)
        except (OSError, SandkastenAPIError) as error:
            return _named(error)
        return None

    def _download(self, path: str) -> FileDownloadResponse:
        if not path.startswith("/"):
            return FileDownloadResponse(path, error=INVALID_PATH)
        try:
            return FileDownloadResponse(path, _reach.read(self._session, path, max_bytes=MOST_DOWNLOADED))
        except (OSError, SandkastenAPIError, _reach.OutputLimitError) as error:
            return FileDownloadResponse(path, error=_named(error))


def _named(error: Exception) -> str:
    names: list[tuple[type[Exception], str]] = [
        (FileNotFoundError, FILE_NOT_FOUND),
        (IsADirectoryError, IS_DIRECTORY),
        (PermissionError, PERMISSION_DENIED),
    ]
    return next((name for kind, name in names if isinstance(error, kind)), str(error))
