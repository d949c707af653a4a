"""Puts a binary that is already built into the wheel, and tags the wheel with what that binary needs of a host."""

import os
import pathlib
import re

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "SANDKASTEN_BINARY"
# e_machine of the ELF header, by the names that wheels have.
MACHINES = {62: "x86_64"}


def platform_tag(program: bytes) -> str:
    """Names the oldest host: by the newest glibc that the program names. One too new refuses a host, one too old breaks there."""
    if program[:6] != b"\x7fELF\x02\x01":
        raise ValueError("it is no 64-bit ELF program")
    machine = MACHINES.get(int.from_bytes(program[18:20], "little"))
    if machine is None:
        raise ValueError("it is for another processor than " + " or ".join(MACHINES.values()))
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)\b", program)
    if not versions:
        raise ValueError("it names no version of glibc")
    major, minor = max((int(major), int(minor)) for major, minor in versions)
    return f"manylinux_{major}_{minor}_{machine}"


class BinaryHook(BuildHookInterface):
    """Called by hatchling for each target."""

    def initialize(self, version, build_data):
        if self.target_name != "wheel":
            raise SystemExit("sandkasten-server is built as a wheel alone: its source is the repository")
        default = pathlib.Path(self.root, "..", "..", "bin", "sandkasten")
        binary = pathlib.Path(os.environ.get(VARIABLE) or default).resolve()
        try:
            tag = platform_tag(binary.read_bytes())
        except (OSError, ValueError) as error:
            raise SystemExit(f"cannot pack {binary}: {error}; run `make build`, or name another with {VARIABLE}") from error
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"
        build_data["shared_scripts"][str(binary)] = "sandkasten"
