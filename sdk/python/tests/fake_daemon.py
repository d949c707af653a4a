"""A server on the loopback that answers what a test tells it to, byte for byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: What a request is answered with: bytes that are sent before the connection is closed.
Script = Callable[[int, str], bytes]


@dataclass
class FakeDaemon:
    """Its address, and the requests that it has got: head and body as text."""

    url: str
    requests: list[str] = field(default_factory=list)


def answer(status: str, body: str, *headers: str) -> bytes:
    """A whole answer."""
    content = body.encode()
    head = [
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*head, "", ""]).encode() + content


def stream(*events: str, headers: str = "") -> bytes:
    """A stream of events that ends by the end of the connection."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n{headers}\r\n{''.join(events)}".encode()


@contextmanager
def fake_daemon(script: Script) -> Iterator[FakeDaemon]:
    """Runs a server until the end of the block; the script gets the number of the request, from 0 on, and its text."""
    listener = socket.create_server(("127.0.0.1", 0))
    fake = FakeDaemon(f"http://127.0.0.1:{listener.getsockname()[1]}")

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                text = _request(connection)
                if text is None:
                    continue
                fake.requests.append(text)
                try:
                    connection.sendall(script(len(fake.requests) - 1, text))
                    # The rest of what the client sends, so that the end is no reset.
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield fake
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _request(connection: socket.socket) -> str | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while lengths and len(body) < lengths[0]:
        body += connection.recv(65536)
    return (head + b"\n\n" + body).decode()
