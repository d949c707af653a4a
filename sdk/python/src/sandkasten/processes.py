"""A process of a session."""

from __future__ import annotations

from contextlib import aclosing

from sandkasten._blocking import AsyncStream
from sandkasten._core import processes
from sandkasten.terminal import Terminal
from sandkasten.transport import Transport
from sandkasten.types import LogChunk, ProcessInfo, ProcessLogs


class Process:
    """A process, or a command, of a session: `await session.start_process(…)`, or `session.process(id)`."""

    def __init__(self, transport: Transport, session_id: str, process_id: str) -> None:
        self._transport = transport
        self._session_id = session_id
        self._id = process_id

    @property
    def id(self) -> str:
        """Its id."""
        return self._id

    async def info(self) -> ProcessInfo:
        """Where it is in its life, and how it ended.

        Raises:
            ProcessNotFoundError: It is not kept any more.
        """
        return await self._transport.run(processes.show(self._session_id, self._id))

    async def logs(self, *, since: int = 0, stream: str | None = None) -> ProcessLogs:
        """Its output from the byte `since` on, as far as it is kept: the last 1 MiB.

        Args:
            since: The place of the first byte that is wanted.
            stream: `stderr` for standard error, where that is kept apart.
        """
        return await self._transport.run(processes.logs(self._session_id, self._id, since, stream))

    async def follow(self, *, since: int = 0, stream: str | None = None) -> AsyncStream[LogChunk | ProcessInfo]:
        """Its output as it is written: a LogChunk each, and a ProcessInfo that says how it ended as the last.

        Raises:
            SandkastenStreamError: The stream reports an error.
            SandkastenStreamBrokenError: The connection went away.
        """
        call = processes.follow(self._session_id, self._id, since, stream)
        async with aclosing(self._transport.events(call)) as events:
            async for event in events:
                yield event

    async def wait(self, *, timeout_ms: int | None = None) -> ProcessInfo:
        """Waits until it has ended, or the time is up: `has_ended` says which.

        Args:
            timeout_ms: How long, in milliseconds; ten minutes where absent.
        """
        return await self._transport.run(processes.wait(self._session_id, self._id, timeout_ms))

    async def write(self, data: str | bytes, *, close: bool = False) -> None:
        """Writes to its standard input, which it must have been given; `close` ends that.

        Raises:
            ProcessNotRunningError: It has ended.
            LimitExceededError: It does not read, and 1 MiB waits for it.
        """
        await self._transport.run(processes.write(self._session_id, self._id, data, close))

    async def close_input(self) -> None:
        """Ends its standard input."""
        await self._transport.run(processes.write(self._session_id, self._id, None, True))

    async def resize(self, rows: int, cols: int) -> None:
        """Sets the size of its terminal, in lines and characters, 1 to 1,000 each."""
        await self._transport.run(processes.resize(self._session_id, self._id, rows, cols))

    async def signal(self, signal: str) -> None:
        """Sends a signal, such as `TERM`, to it and to everything that it has started.

        Raises:
            ProcessNotRunningError: It has ended.
        """
        await self._transport.run(processes.signal(self._session_id, self._id, signal))

    async def stop(self) -> ProcessInfo:
        """Ends it with everything that it has started, and says how it ended. A command is cancelled."""
        return await self._transport.run(processes.end(self._session_id, self._id))

    def attach(
        self, *, rows: int | None = None, cols: int | None = None, since: int | None = None, view: bool = False
    ) -> Terminal:
        """A connection to its input and output, to be used in a with block; what it takes is said at Session.terminal."""
        return Terminal(
            self._transport, self._session_id, name=None, process=self._id, rows=rows, cols=cols, since=since, view=view
        )
