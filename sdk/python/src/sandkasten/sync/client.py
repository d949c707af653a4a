# Generated from client.py by tools/make_sync.py; do not edit.
"""The client of a daemon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from types import TracebackType

from sandkasten.sync._blocking import Stream
from sandkasten._core import images, sessions, workspaces
from sandkasten._core.endpoint import Endpoint
from sandkasten.exceptions import InvalidImageError
from sandkasten.sync.session import Session
from sandkasten.sync.transport import Transport
from sandkasten.types import Health, ImageInfo, PullDone, PullProgress, SessionEvent, SessionInfo, WorkspaceInfo
from sandkasten.sync.workspaces import Workspace

#: The image of a session where none is named and the daemon has it.
USUAL_IMAGE = "python"


class SandboxClient:
    """A client of one daemon.

    Args:
        base_url: `http://host:port` or `unix:/path`; where absent, `SANDKASTEN_URL`, or http://localhost:8080.
        api_key: The key; where absent, `SANDKASTEN_API_KEY`, or none.
        timeout: The seconds of silence after which a request is given up. What may take longer by itself, such as a command
            with a longer timeout, is waited for all the same.
        retries: How often a request is sent again at most, where that is safe.

    Every method raises a SandkastenAPIError of a class for its code where the daemon refuses, and an httpx.TransportError
    where the connection fails. As a context manager it closes its connections at the end of the block.

    Raises:
        ValueError: The address is none.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float | None = 120.0,
        retries: int = 2,
    ) -> None:
        self._transport = Transport(Endpoint.of(base_url, api_key), timeout, retries)
        self._has_usual_image = True

    def create_session(
        self,
        *,
        image: str | None = None,
        ttl_seconds: int | None = None,
        workspace_id: str | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        wait_ms: int | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Creates a session, whose first command does not wait for anything.

        Args:
            image: What it starts from. Where absent, `python` if the daemon lets sessions use that, and its default otherwise;
                a client asks for `python` no more once it was refused.
            ttl_seconds: After how many seconds without use it ends; the daemon's where absent.
            workspace_id: A workspace for /workspace, which outlives the session, and is made where there is none.
            name: A name for people, unique among live sessions.
            labels: What to find it again by.
            wait_ms: How many milliseconds it is waited for a place, a turn and memory. With it, a refusal is final.
            idempotency_key: Names this create, so that the same call again makes no second session. Where absent a random
                one is sent, so that a failure of the connection can be retried.

        Raises:
            InvalidImageError, InvalidWorkspaceError: It cannot be made of these.
            LimitExceededError: There is no place, or no memory.
            SessionExistsError: A live session has that name.
        """

        def create(image: str | None) -> Session:
            call = sessions.create(
                image=image,
                ttl_seconds=ttl_seconds,
                workspace_id=workspace_id,
                name=name,
                labels=labels,
                wait_ms=wait_ms,
                idempotency_key=idempotency_key,
            )
            return Session(self, (self._transport.run(call)).id)

        if image is None and self._has_usual_image:
            try:
                return create(USUAL_IMAGE)
            except InvalidImageError:
                self._has_usual_image = False
        return create(image)

    def get_session(self, session_id: str) -> Session:
        """A session that is there.

        Raises:
            SessionNotFoundError: It is not.
        """
        self._transport.run(sessions.show(session_id))
        return self.session(session_id)

    def session(self, session_id: str) -> Session:
        """A session by its id, whether it is there or not; nothing is sent."""
        return Session(self, session_id)

    def list_sessions(
        self,
        *,
        labels: Mapping[str, str | None] | None = None,
        status: str | Iterable[str] | None = None,
        image: str | None = None,
        workspace_id: str | None = None,
        name: str | None = None,
    ) -> list[SessionInfo]:
        """Lists the sessions that meet all conditions, oldest first; the live ones where no status is given.

        Args:
            labels: Labels that they have; None in place of a value for any.
            status: A status, several of which one is enough, or `all`.
            image, workspace_id, name: What they have exactly.
        """
        found = self.iter_sessions(
            labels=labels, status=status, image=image, workspace_id=workspace_id, name=name, page_size=1000
        )
        return [info for info in found]

    def iter_sessions(
        self,
        *,
        labels: Mapping[str, str | None] | None = None,
        status: str | Iterable[str] | None = None,
        image: str | None = None,
        workspace_id: str | None = None,
        name: str | None = None,
        page_size: int = 100,
    ) -> Stream[SessionInfo]:
        """Gives the same, in pages of at most `page_size` sessions, 1 to 1,000, which are fetched as they are needed."""
        statuses = [status] if isinstance(status, str) else list(status or ())
        cursor: str | None = None
        while True:
            page = self._transport.run(
                sessions.page(
                    labels=labels,
                    status=statuses,
                    image=image,
                    workspace_id=workspace_id,
                    name=name,
                    limit=page_size,
                    cursor=cursor,
                )
            )
            for info in page.sessions:
                yield info
            if page.cursor is None:
                return
            cursor = page.cursor

    def events(self, *, last_event_id: str | None = None) -> Stream[SessionEvent]:
        """The present states of all live sessions, and each change from then on.

        Args:
            last_event_id: The `event_id` behind which to go on, where the daemon still knows it.

        Raises:
            SandkastenStreamError: States were dropped, because they were read too slowly.
        """
        with closing(self._transport.events(sessions.watch(None, last_event_id))) as events:
            for event in events:
                yield event

    def workspace(self, workspace_id: str) -> Workspace:
        """A workspace by its id, whether it is there or not; nothing is sent."""
        return Workspace(self._transport, workspace_id)

    def list_workspaces(self) -> list[WorkspaceInfo]:
        """All workspaces, by id, with what they take of the disk."""
        return self._transport.run(workspaces.list_all())

    def create_workspace(self, workspace_id: str) -> WorkspaceInfo:
        """Makes an empty workspace.

        Args:
            workspace_id: 2 to 64 of a-z, 0-9 and hyphen, no hyphen at either end.

        Raises:
            WorkspaceExistsError: There is one.
        """
        return self._transport.run(workspaces.create(workspace_id))

    def delete_workspace(self, workspace_id: str) -> None:
        """Removes a workspace with its files.

        Raises:
            WorkspaceInUseError: A session uses it.
            WorkspaceNotFoundError: There is none.
        """
        self._transport.run(workspaces.remove(workspace_id))

    def rename_workspace(self, workspace_id: str, to: str) -> None:
        """Gives a workspace another id.

        Raises:
            WorkspaceInUseError: A session uses it.
            WorkspaceExistsError: There is one of the new id.
        """
        self._transport.run(workspaces.rename(workspace_id, to))

    def copy_workspace(self, workspace_id: str, to: str) -> WorkspaceInfo:
        """Copies a workspace.

        Raises:
            WorkspaceExistsError: There is one of the new id.
        """
        return self._transport.run(workspaces.copy(workspace_id, to))

    def list_images(self) -> list[ImageInfo]:
        """All images of the daemon's host, by name, those included that no session can use."""
        return self._transport.run(images.list_all())

    def get_image(self, name: str) -> ImageInfo:
        """Looks at one image.

        Raises:
            ImageNotFoundError: There is none.
        """
        return self._transport.run(images.show(name))

    def delete_image(self, name: str) -> None:
        """Removes an image.

        Raises:
            ImageInUseError: A session uses it.
            ImageNotFoundError: There is none.
        """
        self._transport.run(images.remove(name))

    def pull_image(
        self,
        reference: str,
        *,
        name: str | None = None,
        username: str | None = None,
        password: str | None = None,
    ) -> Stream[PullProgress | PullDone]:
        """Fetches an image from a registry: a PullProgress now and then, and PullDone as the last.

        Args:
            reference: The image in its registry, as `docker pull` takes it.
            name: Its name here; made from the reference where absent.
            username, password: A user of the registry.

        Raises:
            SandkastenStreamError: It could not be had; what had the name before is as it was.
        """
        with closing(self._transport.events(images.pull(reference, name, username, password))) as events:
            for event in events:
                yield event

    def health(self) -> Health:
        """Whether the daemon answers; needs no key."""
        return self._transport.run(sessions.health())

    def close(self) -> None:
        """Closes all connections."""
        self._transport.close()

    def __enter__(self) -> SandboxClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
