"""What can go wrong.

Every exception is a SandkastenError. What the daemon refuses is a SandkastenAPIError, of a class of its own for each code, and
an httpx.HTTPStatusError as well. Failures of the connection stay those of httpx.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import httpx


class SandkastenError(Exception):
    """Everything that this package raises by itself."""


class SandkastenProtocolError(SandkastenError, ValueError):
    """An answer is none of a Sandkasten daemon: no JSON, another shape, or too large. Look at who answers at this address."""


class SandkastenAPIError(SandkastenError, httpx.HTTPStatusError):
    """The daemon refused a request. Also raised itself, for an `error_code` that this package does not know.

    Attributes:
        error_code: The code, such as `SESSION_NOT_FOUND`; None where the answer had none.
        message: What was wrong, with the value, and what to do.
        details: Facts beside the message; which ones, depends on the code.
        status: The HTTP status.
        request_id: What the daemon's log knows the request by.
        status_code, response_body: The status again, and the body as text, under the names of version 0.3.0.
    """

    def __init__(
        self,
        message: str,
        status_code: int | None = None,
        response_body: str | None = None,
        *,
        response: httpx.Response | None = None,
        error_code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        if response is None:
            nowhere = httpx.Request("GET", "http://localhost")
            response = httpx.Response(status_code or 500, text=response_body or "", request=nowhere)
        super().__init__(message, request=response.request, response=response)
        self.status_code = status_code
        self.response_body = response_body
        self.error_code = error_code
        self.message = message
        self.details: dict[str, Any] = dict(details or {})

    def __reduce__(self) -> tuple[Any, ...]:
        """Keeps it whole on its way between processes, where httpx's own class is lost."""
        make = functools.partial(type(self), response=self.response, error_code=self.error_code, details=self.details)
        return make, (self.message, self.status_code, self.response_body)

    @property
    def status(self) -> int | None:
        """The HTTP status."""
        return self.status_code

    @property
    def request_id(self) -> str | None:
        """What the daemon's log knows the request by."""
        found: str | None = self.response.headers.get("X-Request-ID")
        return found

    @property
    def exec_id(self) -> str | None:
        """Of a command: its id, by which its result can be asked for."""
        found = self.details.get("exec_id")
        return found if isinstance(found, str) else None

    @property
    def output(self) -> str:
        """Of a command that was ended: what it had printed until then, as far as the daemon says."""
        found = self.details.get("output")
        return found if isinstance(found, str) else ""

    @property
    def hint(self) -> str | None:
        """Of a command: one line that says what to do next."""
        found = self.details.get("hint")
        return found if isinstance(found, str) else None


class InvalidRequestError(SandkastenAPIError):
    """A field is missing, malformed or out of range, or there is no such endpoint."""


class InvalidImageError(SandkastenAPIError):
    """The image's name is malformed or not allowed, or there is no such image to start from."""


class InvalidWorkspaceError(SandkastenAPIError):
    """The workspace's name is malformed, or workspaces are disabled."""


class UnauthorizedError(SandkastenAPIError):
    """The API key is missing or wrong."""


class SessionNotFoundError(SandkastenAPIError):
    """There is no such session, or none any more."""


class WorkspaceNotFoundError(SandkastenAPIError):
    """There is no such workspace."""


class ImageNotFoundError(SandkastenAPIError):
    """There is no such image."""


class SandboxFileNotFoundError(SandkastenAPIError):
    """There is no such file in the sandbox (FILE_NOT_FOUND)."""


class IsDirectoryError(SandkastenAPIError):
    """It is a directory, and the call needs something else."""


class NotDirectoryError(SandkastenAPIError):
    """It is no directory, and the call needs one."""


class NotRegularFileError(SandkastenAPIError):
    """It is no regular file, and the call needs one."""


class SandboxFileExistsError(SandkastenAPIError):
    """Something has that name already (FILE_EXISTS)."""


class DirectoryNotEmptyError(SandkastenAPIError):
    """The directory is not empty."""


class FileChangedError(SandkastenAPIError):
    """The file is another than the expected one, or changed meanwhile: read it anew."""


class EditMismatchError(SandkastenAPIError):
    """What an edit replaces is not in the file, or not in one place."""


class PermissionDeniedError(SandkastenAPIError):
    """The sandbox user may not, or the file system is read-only."""


class FileTooLargeError(SandkastenAPIError):
    """More, larger or deeper than the call takes."""


class NoSpaceError(SandkastenAPIError):
    """The file system is full."""


class SessionExpiredError(SandkastenAPIError):
    """The session's time ran out."""


class SessionNotRunningError(SandkastenAPIError):
    """The session was destroyed, crashed or is paused. `details` say what a command had used that was lost with it."""


class SessionExistsError(SandkastenAPIError):
    """A live session has that name."""


class WorkspaceInUseError(SandkastenAPIError):
    """A session uses the workspace."""


class WorkspaceExistsError(SandkastenAPIError):
    """A workspace has that name."""


class ImageInUseError(SandkastenAPIError):
    """A session uses the image."""


class ProcessNotFoundError(SandkastenAPIError):
    """There is no such process or exec, or its result is not kept any more."""


class ProcessNotRunningError(SandkastenAPIError):
    """The process has ended."""


class IdempotencyKeyReusedError(SandkastenAPIError):
    """The key was used with another body."""


class CommandTimeoutError(SandkastenAPIError):
    """A command ran past its timeout and was ended; the session goes on.

    Attributes:
        output: What it had printed until then.
    """

    @property
    def timeout_ms(self) -> int | None:
        """The timeout that was in force, in milliseconds."""
        found = self.details.get("timeout_ms")
        return found if isinstance(found, int) else None

    @property
    def truncated(self) -> bool:
        """Whether `output` was cut at the limit."""
        return self.details.get("truncated") is True

    @property
    def shell_restarted(self) -> bool:
        """Whether the shell could not be saved, and a fresh one took its place."""
        return self.details.get("shell_restarted") is True


class LimitExceededError(SandkastenAPIError):
    """A quota, a rate or the host's memory does not allow it now."""

    @property
    def retry_after(self) -> float | None:
        """After how many seconds another try is worth it, where the daemon says so."""
        text = self.response.headers.get("Retry-After", "")
        return float(text) if text.isascii() and text.isdigit() else None


class InternalError(SandkastenAPIError):
    """A fault of the daemon's. Its log has more under `request_id`."""


class ImagePullFailedError(SandkastenAPIError):
    """The image could not be had from its registry."""


class SandkastenStreamError(SandkastenError):
    """A stream reported an error, such as a command's timeout.

    Attributes:
        error_code: The code that the same failure has as an answer; None where the stream had none.
        details: Facts beside the message.
    """

    def __init__(self, message: str = "", *, error_code: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.details: dict[str, Any] = dict(details or {})


class SandkastenStreamBrokenError(SandkastenStreamError, httpx.RemoteProtocolError):
    """A stream, a download or an upload was broken off: the daemon or the connection went away.

    What came until then was right; of an upload nothing is left. A daemon that refuses an upload in its middle answers why, but
    in asyncio that answer can be lost, and this is raised in its place.
    """


#: The class of each code of the daemon's.
BY_CODE: Mapping[str, type[SandkastenAPIError]] = {
    "INVALID_REQUEST": InvalidRequestError,
    "INVALID_IMAGE": InvalidImageError,
    "INVALID_WORKSPACE": InvalidWorkspaceError,
    "UNAUTHORIZED": UnauthorizedError,
    "SESSION_NOT_FOUND": SessionNotFoundError,
    "WORKSPACE_NOT_FOUND": WorkspaceNotFoundError,
    "IMAGE_NOT_FOUND": ImageNotFoundError,
    "FILE_NOT_FOUND": SandboxFileNotFoundError,
    "IS_DIRECTORY": IsDirectoryError,
    "NOT_DIRECTORY": NotDirectoryError,
    "NOT_REGULAR_FILE": NotRegularFileError,
    "FILE_EXISTS": SandboxFileExistsError,
    "DIRECTORY_NOT_EMPTY": DirectoryNotEmptyError,
    "FILE_CHANGED": FileChangedError,
    "EDIT_MISMATCH": EditMismatchError,
    "PERMISSION_DENIED": PermissionDeniedError,
    "FILE_TOO_LARGE": FileTooLargeError,
    "NO_SPACE": NoSpaceError,
    "SESSION_EXPIRED": SessionExpiredError,
    "SESSION_NOT_RUNNING": SessionNotRunningError,
    "SESSION_EXISTS": SessionExistsError,
    "WORKSPACE_IN_USE": WorkspaceInUseError,
    "WORKSPACE_EXISTS": WorkspaceExistsError,
    "IMAGE_IN_USE": ImageInUseError,
    "PROCESS_NOT_FOUND": ProcessNotFoundError,
    "PROCESS_NOT_RUNNING": ProcessNotRunningError,
    "IDEMPOTENCY_KEY_REUSED": IdempotencyKeyReusedError,
    "COMMAND_TIMEOUT": CommandTimeoutError,
    "LIMIT_EXCEEDED": LimitExceededError,
    "INTERNAL_ERROR": InternalError,
    "IMAGE_PULL_FAILED": ImagePullFailedError,
}
