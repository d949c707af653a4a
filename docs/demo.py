"""What `make demo` runs: a program that looks around in its sandbox, and tries what it must not."""

import ctypes
import os
import platform
import socket
import sys


def attempt(what, action):
    try:
        action()
    except OSError as error:
        print(f"  {what:<24} refused: {error.strerror}")
    else:
        sys.exit(f"  {what:<24} WORKED, and must not")


def unshare():
    """Python has os.unshare since 3.12 only."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000) != 0:  # CLONE_NEWUSER
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write(path):
    with open(path, "w", encoding="utf-8") as file:
        file.write("was here")


processes = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
print(f"Python {platform.python_version()} on host {platform.node()}, as user {os.getuid()}")
print(f"  it sees {len(processes)} processes and the interfaces {[name for _, name in socket.if_nameindex()]}")
write("/workspace/note.txt")
print("  writing to /workspace    works")
attempt("writing to /usr", lambda: write("/usr/note.txt"))
attempt("reading /etc/shadow", lambda: open("/etc/shadow", encoding="utf-8"))
attempt("reading process 1", lambda: open("/proc/1/mem", "rb"))
attempt("becoming root", lambda: os.setuid(0))
attempt("a new namespace", unshare)
attempt("reaching the network", lambda: socket.create_connection(("192.0.2.1", 80), timeout=2))
