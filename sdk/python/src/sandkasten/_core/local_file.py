"""Local files, of which something is uploaded or downloaded."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import BinaryIO


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a file to be read.

    Raises:
        FileNotFoundError: There is none, or it is no file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {os.fspath(path)} here")
    return Path(path).open("rb")


class PartialFile:
    """A new file beside the place that it is for; it gets its name when it is whole.

    Raises:
        IsADirectoryError: A directory has that name.
        OSError: It cannot be made.
    """

    def __init__(self, target: str | os.PathLike[str]) -> None:
        self._target = Path(target)
        if self._target.is_dir():
            raise IsADirectoryError(f"{self._target} is a directory: name the file that is to be written")
        self._path = self._target.with_name(f".{self._target.name}.{secrets.token_hex(8)}")
        # Exclusively: nothing that is there by that name is opened, also no link.
        self.file: BinaryIO = self._path.open("xb")

    def keep(self) -> None:
        """Gives it its name, in the place of what had that."""
        self.file.close()
        self._path.replace(self._target)

    def discard(self) -> None:
        """Removes it."""
        self.file.close()
        self._path.unlink(missing_ok=True)
