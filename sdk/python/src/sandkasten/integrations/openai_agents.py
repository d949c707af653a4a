"""A sandbox client for the OpenAI Agents SDK: `pip install 'sandkasten[openai-sandbox]'`.

    run_config = RunConfig(sandbox=SandboxRunConfig(client=SandkastenSandboxClient()))
    await Runner.run(SandboxAgent(name="coder"), "…", run_config=run_config)

Plain tools for an agent without a sandbox of the SDK's are in `sandkasten.agents`.
"""

from __future__ import annotations

import io
import math
import tarfile
import uuid
from contextlib import aclosing
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from sandkasten import _reach
from sandkasten.client import SandboxClient
from sandkasten.exceptions import (
    SandkastenError,
    SessionExpiredError,
    SessionNotFoundError,
    SessionNotRunningError,
)
from sandkasten.integrations import from_extra
from sandkasten.session import Session

with from_extra(__name__, "openai-sandbox"):
    from agents.sandbox.errors import (
        ConfigurationError,
        ErrorCode,
        ExecTimeoutError,
        ExecTransportError,
        WorkspaceArchiveReadError,
        WorkspaceArchiveWriteError,
        WorkspaceReadNotFoundError,
        WorkspaceWriteTypeError,
    )
    from agents.sandbox.manifest import Manifest
    from agents.sandbox.session import SandboxSession, SandboxSessionState
    from agents.sandbox.session.base_sandbox_session import BaseSandboxSession
    from agents.sandbox.session.manager import Instrumentation
    from agents.sandbox.session.runtime_helpers import RESOLVE_WORKSPACE_PATH_HELPER, RuntimeHelperScript
    from agents.sandbox.session.sandbox_client import BaseSandboxClient, BaseSandboxClientOptions
    from agents.sandbox.snapshot import SnapshotBase, SnapshotSpec, resolve_snapshot
    from agents.sandbox.types import ExecResult, User
    from agents.sandbox.util.tar_utils import UnsafeTarMemberError, validate_tar_bytes

#: The most that a command may print, and the largest file that is read, in bytes.
MOST_PRINTED, MOST_READ = 16 * 1024 * 1024, 256 * 1024 * 1024

#: The largest workspace that is kept as a snapshot, in bytes.
MOST_KEPT = 1024 * 1024 * 1024

_GONE = (SessionNotFoundError, SessionExpiredError, SessionNotRunningError)


class SandkastenSandboxClientOptions(BaseSandboxClientOptions):
    """What a session is made of."""

    type: Literal["sandkasten"] = "sandkasten"

    image: str | None = None
    """Its image; as for SandboxClient.create_session where absent"""

    ttl_seconds: int | None = None
    """After how many seconds without use it ends; the daemon's where absent"""

    workspace_id: str | None = None
    """A workspace for /workspace, which outlives the session"""


class SandkastenSandboxSessionState(SandboxSessionState):
    """What a session is found by again, or made anew from. It holds no key."""

    type: Literal["sandkasten"] = "sandkasten"
    sandkasten_session_id: str
    options: SandkastenSandboxClientOptions


class SandkastenSandboxSession(BaseSandboxSession):
    """A session of a daemon. It has no terminals, ports, mounts or users of the SDK's: what needs them is refused."""

    state: SandkastenSandboxSessionState

    def __init__(self, state: SandkastenSandboxSessionState, session: Session) -> None:
        self.state = state
        self._session = session

    def _runtime_helpers(self) -> tuple[RuntimeHelperScript, ...]:
        return (RESOLVE_WORKSPACE_PATH_HELPER,)

    async def _validate_path_access(self, path: Path | str, *, for_write: bool = False) -> Path:
        return await self._validate_remote_path_access(path, for_write=for_write)

    async def _prepare_backend_workspace(self) -> None:
        await self._session.files.mkdir(self.state.manifest.root, parents=True)

    async def _shutdown_backend(self) -> None:
        try:
            await self._session.destroy()
        except _GONE:
            # It has ended by itself.
            return

    def _prepare_exec_command(self, *command: str | Path, shell: bool | list[str], user: str | User | None) -> list[str]:
        _check_user(user)
        return super()._prepare_exec_command(*command, shell=shell, user=None)

    async def _exec_internal(self, *command: str | Path, timeout: float | None = None) -> ExecResult:
        try:
            outcome = await _reach.run(
                self._session,
                [str(word) for word in command],
                env=await self.state.manifest.environment.resolve(),
                cwd=self.state.manifest.root,
                timeout_ms=max(1, math.ceil(timeout * 1000)) if timeout is not None else None,
                max_bytes=MOST_PRINTED,
            )
        except TimeoutError as error:
            raise ExecTimeoutError(command=command, timeout_s=timeout, cause=error) from error
        except SandkastenError as error:
            raise ExecTransportError(command=command, cause=error, message=str(error)) from error
        return ExecResult(stdout=outcome.stdout.encode(), stderr=outcome.stderr.encode(), exit_code=outcome.exit_code)

    async def read(self, path: Path | str, *, user: str | User | None = None) -> io.IOBase:
        """Reads a file of up to 256 MiB below the manifest's root, or one that it grants.

        Raises:
            WorkspaceReadNotFoundError, WorkspaceArchiveReadError: It is not there, or cannot be read.
        """
        _check_user(user)
        where = await self._validate_path_access(path)
        try:
            return io.BytesIO(await _reach.read(self._session, where.as_posix(), max_bytes=MOST_READ))
        except FileNotFoundError as error:
            raise WorkspaceReadNotFoundError(path=where, cause=error) from error
        except (OSError, SandkastenError) as error:
            raise WorkspaceArchiveReadError(path=where, cause=error) from error

    async def write(self, path: Path | str, data: io.IOBase, *, user: str | User | None = None) -> None:
        """Writes a file below the manifest's root, or where it grants that.

        Raises:
            WorkspaceArchiveWriteError: It cannot be written.
        """
        _check_user(user)
        where = await self._validate_path_access(path, for_write=True)
        content = _bytes_of(data, where)
        try:
            await _reach.write(self._session, where.as_posix(), content)
        except (OSError, SandkastenError) as error:
            raise WorkspaceArchiveWriteError(path=where, cause=error) from error

    async def running(self) -> bool:
        """Whether it is."""
        try:
            return (await self._session.info()).status == "running"
        except _GONE:
            return False

    async def persist_workspace(self) -> io.IOBase:
        """The files below the manifest's root as a tar archive, without those that are not to be kept.

        Raises:
            WorkspaceArchiveReadError: They cannot be read, or have more than 1 GiB.
        """
        root = self._workspace_root_path()
        archive = bytearray()
        try:
            async with aclosing(self._session.files.stream_archive(root.as_posix())) as pieces:
                async for piece in pieces:
                    archive += piece
                    if len(archive) > MOST_KEPT:
                        raise WorkspaceArchiveReadError(path=root, context={"reason": f"more than {MOST_KEPT} bytes"})
            skipped = {path.as_posix() for path in self._persist_workspace_skip_relpaths()}
            return _without(io.BytesIO(archive), skipped) if skipped else io.BytesIO(archive)
        except (SandkastenError, tarfile.TarError) as error:
            raise WorkspaceArchiveReadError(path=root, cause=error) from error

    async def hydrate_workspace(self, data: io.IOBase) -> None:
        """Unpacks a tar archive below the manifest's root.

        Raises:
            WorkspaceArchiveWriteError: It is none, leads out, or does not fit.
        """
        root = self._workspace_root_path()
        content = _bytes_of(data, root)
        try:
            validate_tar_bytes(content, allow_external_symlink_targets=False)
            await self._session.files.upload_archive(content, root.as_posix())
        except (SandkastenError, UnsafeTarMemberError) as error:
            raise WorkspaceArchiveWriteError(path=root, context={"detail": str(error)}, cause=error) from error


class SandkastenSandboxClient(BaseSandboxClient[SandkastenSandboxClientOptions | None]):
    """Makes sessions of a daemon for the SDK.

    Args:
        client: The client that it uses, which the caller closes; one of `SANDKASTEN_URL` and `SANDKASTEN_API_KEY` where absent,
            which `close` closes.
        instrumentation: The SDK's.
    """

    backend_id = "sandkasten"
    supports_default_options = True

    def __init__(self, client: SandboxClient | None = None, *, instrumentation: Instrumentation | None = None) -> None:
        self._client = client or SandboxClient()
        self._is_own = client is None
        self._instrumentation = instrumentation or Instrumentation()

    async def create(
        self,
        *,
        snapshot: SnapshotSpec | SnapshotBase | None = None,
        manifest: Manifest | None = None,
        options: SandkastenSandboxClientOptions | None = None,
    ) -> SandboxSession:
        """Creates a session.

        Raises:
            ConfigurationError: The manifest asks for what no session has.
            SandkastenAPIError: The daemon refuses.
        """
        manifest = self._validate_manifest_for_create(manifest or Manifest(root=_reach.WORKSPACE))
        _check_manifest(manifest)
        session_id = uuid.uuid4()
        options = options or SandkastenSandboxClientOptions()
        session = await self._created(options)
        state = SandkastenSandboxSessionState(
            session_id=session_id,
            manifest=manifest,
            snapshot=resolve_snapshot(snapshot, str(session_id)),
            sandkasten_session_id=session.id,
            options=options,
        )
        return self._wrap_session(SandkastenSandboxSession(state, session), instrumentation=self._instrumentation)

    async def delete(self, session: SandboxSession) -> SandboxSession:
        """Destroys a session."""
        await _own(session).shutdown()
        return session

    async def resume(self, state: SandboxSessionState) -> SandboxSession:
        """Finds a session again; where it has ended, another takes its place, and its snapshot is unpacked into that."""
        if not isinstance(state, SandkastenSandboxSessionState):
            raise TypeError(f"the state is a {type(state).__name__}, and none of a session of Sandkasten")
        state.assert_path_grants_rebound()
        _check_manifest(state.manifest)
        session = self._client.session(state.sandkasten_session_id)
        try:
            is_there = (await session.info()).status == "running"
        except _GONE:
            is_there = False
        if not is_there:
            session = await self._created(state.options)
            state.sandkasten_session_id = session.id
            state.workspace_root_ready = False
        inner = SandkastenSandboxSession(state, session)
        inner._set_start_state_preserved(is_there, system=is_there)
        return self._wrap_session(inner, instrumentation=self._instrumentation)

    def deserialize_session_state(self, payload: dict[str, object]) -> SandboxSessionState:
        """Reads a state from JSON."""
        return self._deserialize_session_state_payload(payload, SandkastenSandboxSessionState)

    async def close(self) -> None:
        """Closes the connections of a client of its own. Sessions go on."""
        if self._is_own:
            await self._client.close()

    async def __aenter__(self) -> SandkastenSandboxClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _created(self, options: SandkastenSandboxClientOptions) -> Session:
        return await self._client.create_session(
            image=options.image,
            ttl_seconds=options.ttl_seconds,
            workspace_id=options.workspace_id,
            labels={"created-by": "openai-agents"},
        )


def _own(session: SandboxSession) -> SandkastenSandboxSession:
    inner = session._inner
    if not isinstance(inner, SandkastenSandboxSession):
        raise TypeError(f"the session is a {type(inner).__name__}, and none of Sandkasten's")
    return inner


def _refused(message: str) -> ConfigurationError:
    return ConfigurationError(message=message, error_code=ErrorCode.SANDBOX_CONFIG_INVALID, op="start", context={})


def _check_user(user: str | User | None) -> None:
    name = user.name if isinstance(user, User) else user
    if name not in (None, "sandbox"):
        raise _refused(f"a sandbox has the user sandbox and nobody else: {name!r} cannot be had")


def _check_manifest(manifest: Manifest) -> None:
    if not _reach.is_below_workspace(_reach.absolute(manifest.root)) or not PurePosixPath(manifest.root).is_absolute():
        raise _refused(f"the manifest's root is {manifest.root!r}: a session's files are /workspace and below")
    if manifest.users or manifest.groups:
        raise _refused("the manifest has users or groups: a sandbox has the user sandbox and nobody else")
    if manifest.mount_targets():
        raise _refused("the manifest has mounts: nothing can be mounted in a sandbox. Copy files in, or use a workspace_id")


def _bytes_of(data: io.IOBase, path: Path) -> bytes:
    content: Any = data.read()
    if isinstance(content, str):
        return content.encode()
    if not isinstance(content, bytes | bytearray):
        raise WorkspaceWriteTypeError(path=path, actual_type=type(content).__name__)
    return bytes(content)


def _without(archive: IO[bytes], skipped: set[str]) -> io.BytesIO:
    """The archive without some paths and what is below them. Nothing is unpacked."""
    kept = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="r:") as source, tarfile.open(fileobj=kept, mode="w:") as target:
        for member in source:
            path = PurePosixPath(member.name)
            if skipped.isdisjoint(part.as_posix() for part in (path, *path.parents)):
                target.addfile(member, source.extractfile(member) if member.isfile() else None)
    kept.seek(0)
    return kept
