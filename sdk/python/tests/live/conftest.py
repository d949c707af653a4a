"""A client of the daemon, and a session."""

from collections.abc import AsyncIterator

import pytest

from sandkasten import SandboxClient, Session


@pytest.fixture
async def client(daemon: str) -> AsyncIterator[SandboxClient]:
    async with SandboxClient() as client:
        yield client


@pytest.fixture
async def session(client: SandboxClient) -> AsyncIterator[Session]:
    async with await client.create_session() as session:
        yield session
