"""Images."""

import pytest

from sandkasten import SandboxClient
from sandkasten.exceptions import ImageNotFoundError, InvalidImageError, SandkastenAPIError, SandkastenError
from sandkasten.types import PullDone


async def test_images_are_listed_and_looked_at(client: SandboxClient) -> None:
    assert "host" in [image.name for image in await client.list_images()]
    image = await client.get_image("host")
    assert (image.allowed, image.broken) == (True, None)
    with pytest.raises(ImageNotFoundError):
        await client.get_image("no-such")
    with pytest.raises(InvalidImageError, match="a/b:c"):
        await client.get_image("a/b:c")
    with pytest.raises(ImageNotFoundError):
        await client.delete_image("no-such")


async def test_a_pull_that_is_not_allowed_is_refused(client: SandboxClient) -> None:
    with pytest.raises(SandkastenError) as caught:
        async for event in client.pull_image("registry.invalid/a/b:c", name="pulled", username="u", password="p"):
            assert not isinstance(event, PullDone)
    assert isinstance(caught.value, SandkastenAPIError)
    assert caught.value.status in (400, 403)
