"""Runs the binary that the wheel has installed beside this package as the script ``sandkasten``."""

import os
import sys
import sysconfig

__all__ = ["find_binary", "main"]


def find_binary() -> str:
    """Returns the path of the binary.

    Raises FileNotFoundError where it is in none of the places that an installer puts scripts.
    """
    places = [sysconfig.get_path("scripts"), os.path.dirname(os.path.abspath(sys.argv[0]))]
    user = "posix_user"
    if user in sysconfig.get_scheme_names():
        places.append(sysconfig.get_path("scripts", user))
    # `pip install --target DIRECTORY` has them in DIRECTORY/bin.
    places.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin"))
    for place in places:
        path = os.path.join(place, "sandkasten")
        # Never a script of another package with that name.
        if os.path.isfile(path) and os.access(path, os.X_OK) and _is_program(path):
            return path
    raise FileNotFoundError("the program sandkasten is in none of " + ", ".join(places))


def _is_program(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def main() -> None:
    """Becomes the binary, with the arguments of this process."""
    try:
        binary = find_binary()
    except FileNotFoundError as error:
        sys.exit(f"error: cannot run sandkasten\n  why: {error}\n  try: pip install --force-reinstall sandkasten-server")
    os.execv(binary, ["sandkasten", *sys.argv[1:]])
