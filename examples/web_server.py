"""A web server in a session: a process that runs beside the commands, asked from inside, with its logs followed.

    python3 examples/web_server.py

A session has no network but its own loopback interface: nobody outside reaches the server, and it reaches nobody. What is to get
out goes through the API, as the page does here.
"""

import asyncio
import sys

from sandkasten import Process, SandboxClient
from sandkasten.types import LogChunk

SERVER = """
import http.server, json, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"you asked for": self.path}).encode()
        self.send_response(200 if self.path != "/missing" else 404)
        self.end_headers()
        self.wfile.write(body)

def stop(*_):
    print("stopping", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler)
print("listening on port 8000", flush=True)
server.serve_forever()
"""
ASK = """
import sys, urllib.error, urllib.request

try:
    answer = urllib.request.urlopen("http://127.0.0.1:8000" + sys.argv[1])
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""


async def follow(server: Process, ready: asyncio.Event) -> None:
    """Prints what the server writes as it writes it, and how it ended."""
    unfinished = ""
    async for event in server.follow():
        if isinstance(event, LogChunk):
            # A chunk is what was written at once, be it half a line or several.
            *lines, unfinished = (unfinished + event.output).split("\n")
            for line in lines:
                print(f"  server | {line}")
                if line.startswith("listening"):
                    ready.set()
        else:
            print(f"the server ended: {event.reason}, status {event.exit_code}")


async def main() -> int:
    async with SandboxClient() as client, await client.create_session(labels={"example": "web-server"}) as session:
        await session.write("server.py", SERVER)
        await session.write("ask.py", ASK)
        server = await session.start_process(argv=["python3", "/workspace/server.py"], name="web")

        ready = asyncio.Event()
        following = asyncio.create_task(follow(server, ready))
        # The server says when it listens, or ends before: nobody has to guess how long that takes.
        listening = asyncio.create_task(ready.wait())
        await asyncio.wait([listening, following], return_when=asyncio.FIRST_COMPLETED)
        if not ready.is_set():
            listening.cancel()
            return 1
        for path in ("/", "/users/7", "/missing"):
            answer = await session.exec(argv=["python3", "/workspace/ask.py", path])
            print(f"GET {path}: {answer.output}", end="")
        for info in await session.list_processes():
            if info.status == "running":
                print(f"running: {info.name}, {info.kind}")

        await server.signal("TERM")
        await following
        return (await server.info()).exit_code or 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
