"""Sessions: their making, names, lists, changes, states, and end."""

import secrets
from contextlib import aclosing

import pytest

from sandkasten import SandboxClient, Session
from sandkasten.exceptions import (
    InvalidImageError,
    LimitExceededError,
    SandkastenAPIError,
    SessionExistsError,
    SessionNotFoundError,
    SessionNotRunningError,
    UnauthorizedError,
)


async def test_a_daemon_says_that_it_is_well(client: SandboxClient) -> None:
    assert (await client.health()).status == "ok"


async def test_a_session_is_what_it_was_asked_to_be(client: SandboxClient) -> None:
    name = f"builder-{secrets.token_hex(4)}"
    asked = client.create_session(image="host", ttl_seconds=60, name=name, labels={"team": "core"}, wait_ms=5000)
    async with await asked as session:
        info = await session.info()
        assert (info.id, info.image, info.status, info.cwd) == (session.id, "host", "running", "/workspace")
        assert (info.name, info.labels, info.ttl_seconds) == (name, {"team": "core"}, 60)
        assert info.created_at < info.expires_at
        assert info.isolation is not None
        assert info.isolation.no_new_privs
        assert info.acquire_source in ("cold", "pool")
        assert [found.id for found in await client.list_sessions(name=name)] == [session.id]
        with pytest.raises(SessionExistsError, match=name):
            await client.create_session(name=name)


async def test_without_an_image_the_default_takes_the_place_of_a_missing_python(client: SandboxClient) -> None:
    with pytest.raises(InvalidImageError) as caught:
        await client.create_session(image="python")
    assert (caught.value.status, caught.value.error_code) == (400, "INVALID_IMAGE")
    for _ in range(2):
        async with await client.create_session() as session:
            assert (await session.info()).image == "host"


async def test_a_create_with_a_key_makes_one_session(client: SandboxClient) -> None:
    key = secrets.token_hex(8)
    first = await client.create_session(image="host", idempotency_key=key)
    again = await client.create_session(image="host", idempotency_key=key)
    assert first.id == again.id
    await first.destroy()


async def test_a_list_has_what_meets_all_conditions_in_pages(client: SandboxClient) -> None:
    run = secrets.token_hex(4)
    made = [await client.create_session(labels={"run": run, "even": str(i % 2)}) for i in range(5)]
    try:
        assert [info.id for info in await client.list_sessions(labels={"run": run})] == [one.id for one in made]
        some = await client.list_sessions(labels={"run": run, "even": "0"}, status=["running"], image="host")
        assert [info.id for info in some] == [made[i].id for i in (0, 2, 4)]
        assert len(await client.list_sessions(labels={"run": None})) >= 5
        pages = client.iter_sessions(labels={"run": run}, page_size=2)
        assert [info.id async for info in pages] == [one.id for one in made]
        assert await client.list_sessions(labels={"run": run}, status="crashed") == []
        assert await client.list_sessions(labels={"run": run}, workspace_id="no-such") == []
    finally:
        for one in made:
            await one.destroy()
    ended = await client.list_sessions(labels={"run": run}, status="all")
    assert {info.status for info in ended} == {"destroyed"}


async def test_an_update_changes_what_is_named_and_nothing_else(client: SandboxClient, session: Session) -> None:
    name = f"renamed-{secrets.token_hex(4)}"
    info = await session.update(name=name, labels={"a": "1", "b": "2"}, ttl_seconds=77)
    assert (info.name, info.labels, info.ttl_seconds) == (name, {"a": "1", "b": "2"}, 77)
    info = await session.update(labels={"a": None})
    assert (info.name, info.labels, info.ttl_seconds) == (name, {"b": "2"}, 77)
    info = await session.update(name=None, labels=None, ttl_seconds=None)
    assert (info.name, info.labels) == (None, {})
    assert info.ttl_seconds != 77


async def test_states_are_told_until_the_end(client: SandboxClient) -> None:
    session = await client.create_session()
    seen = []
    async for event in session.events():
        seen.append((event.session_id, event.status))
        if event.status == "running":
            await session.destroy()
    assert seen == [(session.id, "running"), (session.id, "destroyed")]


async def test_states_of_all_sessions_go_on_where_a_stream_was_left(client: SandboxClient, session: Session) -> None:
    async with aclosing(client.events()) as events:
        async for event in events:
            if event.session_id == session.id:
                break
    assert event.event_id is not None
    other = await client.create_session()
    await other.destroy()
    seen = []
    async with aclosing(client.events(last_event_id=event.event_id)) as events:
        async for later in events:
            if later.session_id == other.id:
                seen.append(later.status)
            if later.status == "destroyed" and later.session_id == other.id:
                break
    assert seen == ["running", "destroyed"]


async def test_figures_are_of_the_session(session: Session) -> None:
    stats = await session.stats()
    assert 0 < stats.memory_bytes < stats.memory_limit
    assert stats.memory_peak_bytes > 0
    assert 0 < stats.pids < stats.pids_limit
    assert stats.cpu_limit_millis > 0


async def test_a_destroyed_session_is_named_as_such(client: SandboxClient) -> None:
    async with await client.create_session() as session:
        assert (await client.get_session(session.id)).id == session.id
        await session.destroy()
        with pytest.raises(SessionNotFoundError) as caught:
            await session.destroy()
        assert isinstance(caught.value, SandkastenAPIError)
        assert caught.value.request_id
        assert session.id in caught.value.message
        with pytest.raises(SessionNotRunningError):
            await session.exec("true")
    with pytest.raises(SessionNotFoundError):
        await client.get_session("00000000-0000")


async def test_a_block_that_fails_destroys_its_session_and_fails_as_it_did(client: SandboxClient) -> None:
    session = await client.create_session()
    with pytest.raises(ZeroDivisionError):
        async with session:
            raise ZeroDivisionError
    assert (await session.info()).status == "destroyed"


async def test_a_wrong_key_is_refused(daemon: str) -> None:
    async with SandboxClient(base_url=daemon, api_key="sk-another-0123456789abcdef") as stranger:
        with pytest.raises(UnauthorizedError):
            await stranger.list_sessions()
        assert (await stranger.health()).status == "ok"


async def test_an_id_cannot_lead_to_another_address(client: SandboxClient) -> None:
    for name in ("..", ".", ""):
        with pytest.raises(ValueError, match="address"):
            client.session(name)
    for name in ("../workspaces", "a/b", "a?x=y", "a#b", "%2e%2e", "a b"):
        with pytest.raises((SessionNotFoundError, SandkastenAPIError)) as caught:
            await client.get_session(name)
        assert caught.value.status in (400, 404), name


async def test_a_limit_is_an_exception_that_says_when_to_come_again(client: SandboxClient, session: Session) -> None:
    made = [await session.start_process("sleep 60") for _ in range(64)]
    with pytest.raises(LimitExceededError) as caught:
        await session.start_process("sleep 60")
    assert caught.value.retry_after == 1.0
    assert len(made) == 64
