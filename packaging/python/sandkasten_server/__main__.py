"""``python -m sandkasten_server``."""

from . import main

main()
