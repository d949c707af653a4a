"""A client and a session of the daemon that SANDKASTEN_URL and SANDKASTEN_API_KEY name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandkasten.sync import SandboxClient, Session


@pytest.fixture
def client() -> Iterator[SandboxClient]:
    with SandboxClient() as client:
        yield client


@pytest.fixture
def session(client: SandboxClient) -> Iterator[Session]:
    with client.create_session() as session:
        yield session
