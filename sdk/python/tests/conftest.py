"""What tests need: the synchronous twin of the live ones, and a daemon."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Turns the live tests around: each of them runs against the daemon with both twins."""
    tool = HERE.parent / "tools" / "make_sync.py"
    subprocess.run([sys.executable, tool, HERE / "live", HERE / "live_sync"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603


@pytest.fixture(scope="session")
def daemon() -> str:
    """The address of a daemon with workspaces and the image `host` alone, from the environment, as the key is."""
    url = os.environ.get("SANDKASTEN_URL")
    if url is None:
        pytest.skip("SANDKASTEN_URL names no daemon")
    return url


@pytest.fixture(scope="session")
def docs() -> Path:
    """The directory of documents, which is not part of the package."""
    return Path(os.environ.get("SANDKASTEN_DOCS", HERE.parent.parent.parent / "docs"))
