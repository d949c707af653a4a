"""The sandbox provider `sandkasten` for Inspect: `pip install 'sandkasten[inspect]'`.

Inspect finds it by itself: `Task(…, sandbox="sandkasten")`, or `--sandbox sandkasten:IMAGE` on its command line.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, overload

import httpx

from sandkasten import _reach
from sandkasten.client import SandboxClient
from sandkasten.exceptions import SandkastenAPIError, SessionExpiredError, SessionNotFoundError, SessionNotRunningError
from sandkasten.integrations import from_extra
from sandkasten.session import Session

with from_extra(__name__, "inspect"):
    from inspect_ai.util import (
        ExecResult,
        OutputLimitExceededError,
        SandboxConnection,
        SandboxEnvironment,
        SandboxEnvironmentConfigType,
        SandboxEnvironmentLimits,
        SandboxUnavailableError,
        SandboxUserUnsupportedError,
        sandboxenv,
    )
    from pydantic import BaseModel

#: What the sessions of evaluations are found by.
LABELS = {"created-by": "inspect_ai"}

_GONE = (SessionNotFoundError, SessionExpiredError, SessionNotRunningError)


class SandkastenSandboxConfig(BaseModel, frozen=True):
    """What a sample's session is made of. The daemon is that of `SANDKASTEN_URL` and `SANDKASTEN_API_KEY`."""

    image: str | None = None
    """Its image; as for SandboxClient.create_session where absent"""

    ttl_seconds: int | None = None
    """After how many seconds without use it ends; the daemon's where absent"""

    wait_ms: int | None = 300_000
    """How many milliseconds a place, a turn and memory are waited for: more samples may run than a daemon has places"""


@sandboxenv(name="sandkasten")
class SandkastenSandboxEnvironment(SandboxEnvironment):
    """A session of a daemon, for one sample of an evaluation."""

    def __init__(self, client: SandboxClient, session: Session) -> None:
        super().__init__()
        self._client = client
        self._session = session

    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        """Reads a configuration from a log."""
        return SandkastenSandboxConfig(**config)

    @classmethod
    async def sample_init(
        cls, task_name: str, config: SandboxEnvironmentConfigType | None, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        """Makes a sample's session.

        Args:
            task_name, metadata: Not used.
            config: A SandkastenSandboxConfig, or the name of an image.

        Raises:
            TypeError: The configuration is another provider's.
        """
        if isinstance(config, str):
            config = SandkastenSandboxConfig(image=config)
        elif config is None:
            config = SandkastenSandboxConfig()
        elif not isinstance(config, SandkastenSandboxConfig):
            raise TypeError(
                f"the sandbox configuration is a {type(config).__name__}: give a SandkastenSandboxConfig or an image's name"
            )
        client = SandboxClient()
        try:
            session = await client.create_session(
                image=config.image, ttl_seconds=config.ttl_seconds, wait_ms=config.wait_ms, labels=LABELS
            )
        except BaseException:
            await client.close()
            raise
        return {"default": cls(client, session)}

    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        """Destroys a sample's session."""
        for environment in environments.values():
            own = environment.as_type(cls)
            try:
                await own._session.destroy()
            except _GONE:
                # It has ended by itself.
                continue
            finally:
                await own._client.close()

    @classmethod
    async def cli_cleanup(cls, id: str | None) -> None:  # noqa: A002 it is Inspect's word
        """Destroys the sessions that evaluations have left, or one of them."""
        async with SandboxClient() as client:
            for info in await client.list_sessions(labels=LABELS):
                if id in (None, info.id):
                    try:
                        await client.session(info.id).destroy()
                    except _GONE:
                        # It has ended meanwhile.
                        continue

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,  # noqa: A002 it is Inspect's word
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """Runs a program, in a fresh process.

        Args:
            cmd, input, cwd, env: As Inspect has them.
            user: `sandbox`, 1000 or none: nothing in a sandbox can become another user.
            timeout: In seconds; the daemon's `max_exec_timeout_ms` where absent.
            timeout_retry, concurrency: Without effect. A command that ran past its timeout is not run again: it may have done
                half of its work.
        """
        _check_user(user)
        limit = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE
        with _failures(self._session):
            try:
                outcome = await _reach.run(
                    self._session,
                    cmd,
                    stdin=input,
                    env=env,
                    cwd=cwd,
                    timeout_ms=timeout * 1000 if timeout else None,
                    max_bytes=limit,
                )
            except _reach.OutputLimitError as error:
                output = error.output[:limit] if error.output is not None else None
                raise OutputLimitExceededError(SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE_STR, output) from error
        if outcome.exit_code == 126 and "permission denied" in outcome.stderr.lower():
            raise PermissionError(errno.EACCES, outcome.stderr.strip()[-500:], cmd[0])
        return ExecResult(outcome.exit_code == 0, outcome.exit_code, outcome.stdout, outcome.stderr)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Writes a file, at any path that the sandbox user may write to."""
        with _failures(self._session):
            await _reach.write(self._session, file, contents.encode() if isinstance(contents, str) else contents)

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        """Reads a file, at any path."""
        with _failures(self._session):
            try:
                content = await _reach.read(self._session, file, max_bytes=SandboxEnvironmentLimits.MAX_READ_FILE_SIZE)
            except _reach.OutputLimitError as error:
                raise OutputLimitExceededError(SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, None) from error
        return content.decode() if text else content

    async def connection(self, *, user: str | None = None) -> SandboxConnection:
        """How a person gets a shell in it.

        Raises:
            ConnectionError: It is not running.
        """
        _check_user(user)
        try:
            info = await self._session.info()
        except (SandkastenAPIError, httpx.TransportError) as error:
            raise ConnectionError(f"session {self._session.id} is not to be had: {error}") from error
        if info.status != "running":
            raise ConnectionError(f"session {self._session.id} is {info.status}")
        return SandboxConnection(type="sandkasten", command=f"sandkasten shell {self._session.id}", container=self._session.id)

    def default_polling_interval(self) -> float:
        """The seconds between looks at what runs in it: a command takes a few milliseconds."""
        return 0.2


def _check_user(user: str | None) -> None:
    if user not in (None, "sandbox", "1000"):
        raise SandboxUserUnsupportedError(f"a sandbox has the user sandbox (1000) and nobody else: {user!r} cannot be had")


@contextmanager
def _failures(session: Session) -> Iterator[None]:
    try:
        yield
    except (*_GONE, httpx.TransportError) as error:
        raise SandboxUnavailableError(f"session {session.id} is not to be had: {error}") from error
