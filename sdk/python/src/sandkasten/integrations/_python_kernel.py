"""Runs inside of a session, by whatever Python 3.9 or newer its image has: a program of its own, never imported outside.

`serve SOCKET ANSWER READY` keeps one Python namespace, and runs what it is sent, one after the other, once somebody reads the
pipe READY. `run SOCKET` sends its standard input there as code, together with its own standard output, so that what the code
prints, and what its children print, is this command's output; `run SOCKET FILE` sends a file, and removes it. Its standard
error is the answer: one JSON object, which may name the file ANSWER that holds it.
"""

import ast
import base64
import builtins
import contextlib
import dataclasses
import datetime
import decimal
import io
import json
import linecache
import os
import pathlib
import signal
import socket
import sys
import threading
import traceback

#: The largest answer that is written to standard error.
INLINE = 32 * 1024


def serve(path, answer_path, ready_path):
    """Takes code from one connection after the other."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    namespace = {"__name__": "__main__", "__builtins__": builtins}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(ready_path, "w") as ready:
        ready.write("ready")
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                answer = _take(connection, namespace)
                text = json.dumps(answer)
                if len(text) > INLINE:
                    with open(answer_path, "w") as file:
                        file.write(text)
                    text = json.dumps({"file": answer_path})
                connection.sendall(text.encode())
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                # Whoever asked has gone: it ran past its time.
                continue


def _take(connection, namespace):
    message, descriptors, _, _ = socket.recv_fds(connection, 16, 1)
    size = int(message.split(b"\n")[0])
    code = message.split(b"\n", 1)[1]
    while len(code) < size:
        piece = connection.recv(1 << 20)
        if not piece:
            raise OSError("the code ended short")
        code += piece
    saved = os.dup(1), os.dup(2)
    os.dup2(descriptors[0], 1)
    os.dup2(descriptors[0], 2)
    os.close(descriptors[0])
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)
    sys.stderr = sys.stdout
    done = threading.Event()
    watcher = threading.Thread(target=_interrupt_when_left, args=(connection, done), daemon=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    watcher.start()
    try:
        return _run(code.decode(), namespace)
    finally:
        done.set()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        os.close(saved[0])
        os.close(saved[1])


def _interrupt_when_left(connection, done):
    # Whoever asked sends nothing more: what can be read is that it has gone.
    with contextlib.suppress(OSError):
        connection.recv(1)
    if not done.is_set():
        os.kill(os.getpid(), signal.SIGINT)


def _run(code, namespace):
    linecache.cache["<code>"] = (len(code), None, code.splitlines(True), "<code>")
    try:
        tree = ast.parse(code, "<code>")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<code>", "exec"), namespace)  # noqa: S102 it is what this program is for
        value = None
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<code>", "eval"), namespace)  # noqa: S307
        return {"value": _said(value)}
    except KeyboardInterrupt:
        return {"error": "KeyboardInterrupt: it was interrupted"}
    except BaseException as error:  # noqa: BLE001 whatever the code raises is its answer
        if type(error).__name__ == "FinalAnswerException" and hasattr(error, "value"):
            return _final(error.value)
        # The first frame is this program's.
        trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
        return {"error": "".join(traceback.format_exception(type(error), error, trace))}


def _final(value):
    try:
        return {"final": "safe:" + json.dumps(_plain(value))}
    except BaseException as error:  # noqa: BLE001 a value may do anything where it is looked at
        return {"error": f"the final answer cannot be sent: {error}"}


def _said(value):
    try:
        return "safe:" + json.dumps(_plain(value))
    except BaseException:  # noqa: BLE001 what cannot be said is shown, and its repr may do anything
        try:
            return "safe:" + json.dumps(repr(value)[:INLINE])
        except BaseException as error:  # noqa: BLE001
            return "safe:" + json.dumps(f"<{type(value).__name__}, whose repr raised {type(error).__name__}>")


def _plain(value):
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_plain(item) for item in value]
    if kind in (tuple, set, frozenset):
        return {"__type__": kind.__name__, "data": [_plain(item) for item in value]}
    if kind is dict:
        if all(type(key) is str for key in value):
            return {key: _plain(item) for key, item in value.items()}
        return {"__type__": "dict_with_complex_keys", "data": [[_plain(key), _plain(item)] for key, item in value.items()]}
    if kind is bytes:
        return {"__type__": "bytes", "data": base64.b64encode(value).decode()}
    if kind is complex:
        return {"__type__": "complex", "real": value.real, "imag": value.imag}
    if kind in (datetime.datetime, datetime.date, datetime.time):
        return {"__type__": kind.__name__, "data": value.isoformat()}
    if kind is datetime.timedelta:
        return {"__type__": "timedelta", "total_seconds": value.total_seconds()}
    if kind is decimal.Decimal:
        return {"__type__": "Decimal", "data": str(value)}
    if isinstance(value, pathlib.PurePath):
        return {"__type__": "Path", "data": str(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
        return {"__type__": "dataclass", "class_name": kind.__name__, "module": kind.__module__, "data": fields}
    return _of_packages(value)


def _of_packages(value):
    if "PIL.Image" in sys.modules and isinstance(value, sys.modules["PIL.Image"].Image):
        buffer = io.BytesIO()
        value.save(buffer, format="PNG")
        return {"__type__": "PIL.Image", "data": base64.b64encode(buffer.getvalue()).decode()}
    if "numpy" in sys.modules:
        numpy = sys.modules["numpy"]
        if isinstance(value, (numpy.integer, numpy.floating)):
            return value.item()
        if type(value) is numpy.ndarray and value.dtype.kind in "biuf":
            return {"__type__": "ndarray", "data": value.tolist(), "dtype": str(value.dtype)}
    raise TypeError(f"a {type(value).__name__} is not taken; give text, numbers, lists, dictionaries, an image or an array")


def run(path, source):
    """Sends code, waits, and prints the answer to standard error."""
    if source is None:
        code = sys.stdin.buffer.read()
    else:
        with open(source, "rb") as file:
            code = file.read()
        os.unlink(source)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    socket.send_fds(connection, [b"%d\n" % len(code)], [1])
    connection.sendall(code)
    pieces = []
    while True:
        piece = connection.recv(1 << 20)
        if not piece:
            break
        pieces.append(piece)
    os.write(2, b"".join(pieces))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3], sys.argv[4])
    else:
        run(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
