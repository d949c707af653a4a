"""A terminal of a session, over a WebSocket."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

import httpx

from sandkasten._blocking import AsyncStream
from sandkasten._core import answer, terminal
from sandkasten.exceptions import SandkastenStreamBrokenError
from sandkasten.transport import Transport
from sandkasten.types import ProcessInfo, TerminalOutput


class Terminal:
    """A connection to a terminal, or to a process: `async with session.terminal() as terminal`.

    Leaving the block closes the connection; the terminal goes on, and is found again by its name.
    """

    def __init__(
        self,
        transport: Transport,
        session_id: str,
        *,
        name: str | None,
        process: str | None,
        rows: int | None,
        cols: int | None,
        since: int | None,
        view: bool,
    ) -> None:
        self._transport = transport
        self._url = terminal.url(
            transport.endpoint, session_id, name=name, process=process, rows=rows, cols=cols, since=since, view=view
        )
        self._frames = terminal.Frames()
        self._stack = AsyncExitStack()
        self._socket: Any = None

    @property
    def process(self) -> ProcessInfo:
        """The process that it is connected to.

        Raises:
            RuntimeError: It is not connected.
        """
        if self._frames.process is None:
            raise RuntimeError("the terminal is not connected: use it in a with block")
        return self._frames.process

    @property
    def written(self) -> int:
        """How many bytes the process had written when the connection was made."""
        return self._frames.written

    @property
    def result(self) -> ProcessInfo | None:
        """How the process ended; None as long as it has not."""
        return self._frames.result

    async def read(self) -> TerminalOutput | None:
        """Waits for the next piece of output; None says that the process has ended, and `result` how.

        Raises:
            SandkastenStreamError: What was sent could not be taken, or the terminal is lost.
            SandkastenStreamBrokenError: The connection went away.
        """
        from websockets.exceptions import ConnectionClosed

        while self._frames.result is None:
            try:
                frame = await self._socket.recv()
            except ConnectionClosed as error:
                raise SandkastenStreamBrokenError(f"the terminal's connection was closed: {error}") from error
            output = self._frames.take(frame)
            if output is not None:
                return output
        return None

    async def __aiter__(self) -> AsyncStream[TerminalOutput]:
        """Gives output until the process has ended."""
        while (output := await self.read()) is not None:
            yield output

    async def write(self, data: str | bytes) -> None:
        """Types text or bytes; a command wants a newline behind it.

        Raises:
            SandkastenStreamBrokenError: The connection went away.
        """
        content = data.encode() if isinstance(data, str) else data
        for start in range(0, len(content), terminal.MAX_INPUT):
            await self._send(content[start : start + terminal.MAX_INPUT])

    async def resize(self, rows: int, cols: int) -> None:
        """Sets the size, in lines and characters, 1 to 1,000 each."""
        await self._send(terminal.resize(rows, cols))

    async def close_input(self) -> None:
        """Ends the standard input; to a terminal it types Ctrl-D."""
        await self._send(terminal.close_input())

    async def close(self) -> None:
        """Closes the connection. The terminal goes on."""
        await self._stack.aclose()

    async def _send(self, frame: str | bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(frame)
        except ConnectionClosed as error:
            raise SandkastenStreamBrokenError(f"the terminal's connection was closed: {error}") from error

    async def __aenter__(self) -> Terminal:
        try:
            from websockets.asyncio.client import connect, unix_connect
            from websockets.exceptions import InvalidStatus
        except ImportError as error:
            raise ImportError("terminals need websockets: pip install 'sandkasten[terminal]'") from error

        endpoint = self._transport.endpoint
        options: dict[str, Any] = {
            "additional_headers": {key: value for key, value in endpoint.headers.items() if key == "Authorization"},
            "compression": None,
            "max_size": terminal.MAX_FRAME,
            "open_timeout": self._transport.timeout,
        }
        try:
            if endpoint.socket is not None:
                connection = unix_connect(endpoint.socket, self._url, **options)
            else:
                connection = connect(self._url, **options)
            self._socket = await self._stack.enter_async_context(connection)
        except InvalidStatus as error:
            refused = error.response
            request = httpx.Request("GET", self._url)
            headers = list(refused.headers.raw_items())
            raise answer.refusal(
                httpx.Response(refused.status_code, headers=headers, content=bytes(refused.body or b""), request=request)
            ) from error
        try:
            while self._frames.process is None:
                self._frames.take(await self._socket.recv())
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
