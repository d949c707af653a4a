"""Where the daemon is, and the key for it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import httpx

DEFAULT_URL = "http://localhost:8080"


@dataclass(frozen=True)
class Endpoint:
    """An address of the API; `socket` is the path of a Unix socket, where it is one."""

    url: str
    api_key: str | None = field(repr=False)
    socket: str | None = None

    @classmethod
    def of(cls, base_url: str | None, api_key: str | None) -> Endpoint:
        """What is given, then what the environment says, then the daemon's default.

        Raises:
            ValueError: The address is neither `http://…`, `https://…` nor `unix:/path`.
        """
        url = base_url or os.environ.get("SANDKASTEN_URL") or DEFAULT_URL
        key = api_key if api_key is not None else os.environ.get("SANDKASTEN_API_KEY")
        if url.startswith("unix:"):
            path = url.removeprefix("unix:")
            path = path.removeprefix("//") if path.startswith("///") else path
            if not path.startswith("/"):
                raise ValueError(f"{url!r} names no absolute path: a socket is written unix:/path")
            return cls("http://localhost", key or None, path)
        if httpx.URL(url).scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no address of a daemon: write http://host:port or unix:/path")
        return cls(url, key or None)

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries. Answers are bounded by what arrives, so nothing may be compressed."""
        headers = {"Accept-Encoding": "identity"}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers
