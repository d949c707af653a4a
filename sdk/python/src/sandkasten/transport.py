"""Sends what sandkasten._core builds: the only place that speaks HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import httpx

from sandkasten._blocking import AsyncStream, pause
from sandkasten._core import answer
from sandkasten._core.endpoint import Endpoint
from sandkasten._core.request import Call, EventCall, Request
from sandkasten._core.retry import Retries
from sandkasten._core.sse import EventParser
from sandkasten.exceptions import SandkastenProtocolError, SandkastenStreamBrokenError

T = TypeVar("T")

#: As many at once as there are calls: with a bound, a call that is to end a stream would wait for that stream.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)

_BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
# asyncio drops what has arrived when it cannot send any more, and with it the answer that says why.
_UPLOAD_BROKEN = "the daemon hung up in the middle of the content: perhaps there is no room for it, or the session has ended"


class Transport:
    """A pool of connections to one daemon."""

    def __init__(self, endpoint: Endpoint, timeout: float | None, retries: int) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self._retries = Retries(retries)
        self._http = httpx.AsyncClient(
            base_url=endpoint.url,
            headers=endpoint.headers,
            timeout=timeout,
            limits=_LIMITS,
            transport=httpx.AsyncHTTPTransport(uds=endpoint.socket, limits=_LIMITS) if endpoint.socket is not None else None,
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.aclose()

    async def run(self, call: Call[T]) -> T:
        """Sends a request, and reads its answer as a whole."""
        async with self._opened(call.request) as response:
            return call.read(await _whole(response))

    async def events(self, call: EventCall[T]) -> AsyncStream[T]:
        """Sends a request, and gives the events that it is answered with."""
        async with self._opened(call.request) as response:
            parser = EventParser()
            async with aclosing(_pieces(response)) as pieces:
                async for piece in pieces:
                    for event in parser.feed(piece):
                        item = call.read(response.headers, event)
                        if item is not None:
                            yield item
                        if event.name in call.last:
                            return
        if not call.may_end:
            raise SandkastenStreamBrokenError("the stream ended before its last event")

    async def pieces(self, request: Request) -> AsyncStream[bytes]:
        """Sends a request, and gives the bytes that it is answered with, as they come.

        Raises:
            httpx.RemoteProtocolError: The answer ended short.
        """
        async with self._opened(request) as response:
            if "Range" in request.headers and response.status_code != 206:
                raise SandkastenProtocolError("a part of a file was asked for, and all of it is answered")
            async with aclosing(_pieces(response)) as pieces:
                async for piece in pieces:
                    yield piece

    @asynccontextmanager
    async def _opened(self, request: Request) -> AsyncIterator[httpx.Response]:
        response = await self._accepted(request)
        try:
            yield response
        finally:
            await response.aclose()

    async def _accepted(self, request: Request) -> httpx.Response:
        attempt = 0
        while True:
            try:
                response = await self._http.send(self._built(request), stream=True)
            except httpx.TransportError as failure:
                wait = self._retries.after_failure(request, attempt, failure)
                if wait is None:
                    if request.content is not None and isinstance(failure, _BROKEN):
                        raise SandkastenStreamBrokenError(_UPLOAD_BROKEN) from failure
                    raise
            else:
                if response.is_success:
                    return response
                try:
                    refusal = answer.refusal(await _whole(response))
                finally:
                    await response.aclose()
                wait = self._retries.after_refusal(request, attempt, refusal)
                if wait is None:
                    raise refusal
            await pause(wait)
            attempt += 1

    def _built(self, request: Request) -> httpx.Request:
        more: dict[str, Any] = {}
        if request.json is not None:
            more["json"] = request.json
        elif request.form is not None:
            more["data"], more["files"] = request.form.fields, request.form.files
        elif request.content is not None:
            more["content"] = request.content
        timeout = httpx.Timeout(self.timeout)
        if timeout.read is not None:
            timeout.read = max(timeout.read, request.patience)
        return self._http.build_request(
            request.method,
            request.path,
            params=request.query or None,
            headers=dict(request.headers),
            timeout=timeout,
            **more,
        )


async def _pieces(response: httpx.Response) -> AsyncStream[bytes]:
    try:
        async for piece in response.aiter_raw():
            yield piece
    except _BROKEN as error:
        raise SandkastenStreamBrokenError(f"the answer ended short: {error}") from error


async def _whole(response: httpx.Response) -> httpx.Response:
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > answer.MAX_ANSWER_BYTES:
            raise SandkastenProtocolError(f"the answer has more than {answer.MAX_ANSWER_BYTES} bytes")
    headers = [(key, value) for key, value in response.headers.multi_items() if key != "content-encoding"]
    return httpx.Response(response.status_code, headers=headers, content=bytes(content), request=response.request)
