"""Reads values that Python code in a sandbox has sent as JSON, in the notation of smolagents. Nothing is unpickled or evaluated.

What comes from a sandbox may be made to harm whoever reads it: so types are a closed list, images are PNG of a bounded size,
arrays are of numbers, paths point to nothing, and text loses the characters that steer a terminal.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from sandkasten.exceptions import SandkastenError

#: What values begin with.
SAFE = "safe:"

#: The most pixels that an image may have.
MOST_PIXELS = 64 * 1024 * 1024

_STEERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBERS = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)")


class RefusedValueError(SandkastenError, ValueError):
    """What the sandbox sent is no value that is taken."""


def clean(text: str) -> str:
    """The text without control characters, but for tabs and line ends, and without lone surrogates, which nobody can print."""
    return _STEERING.sub("", text)


def decode(text: str) -> Any:
    """The value that a sandbox has sent.

    Raises:
        RefusedValueError: It is none that is taken, such as a pickle.
    """
    if not text.startswith(SAFE):
        raise RefusedValueError(f"a value must be sent as JSON, and this begins with {clean(text[:20])!r}: nothing is unpickled")
    try:
        return _value(json.loads(text[len(SAFE) :]))
    except RefusedValueError:
        raise
    except (ArithmeticError, LookupError, MemoryError, OSError, RecursionError, TypeError, ValueError) as error:
        raise RefusedValueError(f"the value cannot be read: {type(error).__name__}: {clean(str(error))[:200]}") from error


def _value(sent: Any) -> Any:
    if isinstance(sent, str):
        return clean(sent)
    if isinstance(sent, list):
        return [_value(item) for item in sent]
    if not isinstance(sent, dict):
        return sent
    if "__type__" not in sent:
        return {clean(key): _value(item) for key, item in sent.items()}
    read = _TYPES.get(sent["__type__"]) if isinstance(sent["__type__"], str) else None
    if read is None:
        raise RefusedValueError(f"values of the type {clean(str(sent['__type__']))[:40]!r} are not taken")
    return read(sent)


def _image(sent: Mapping[str, Any]) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise RefusedValueError("an image was sent, and Pillow is not installed: pip install pillow") from error
    try:
        image = Image.open(io.BytesIO(base64.b64decode(sent["data"])), formats=["PNG"])
        if image.width * image.height > MOST_PIXELS:
            raise RefusedValueError(f"the image has {image.width} by {image.height} pixels; {MOST_PIXELS} in all are taken")
        image.load()
    except Exception as error:
        raise RefusedValueError(f"the image cannot be read: {clean(str(error))[:200]}") from error
    return image


def _array(sent: Mapping[str, Any]) -> Any:
    if not isinstance(sent["dtype"], str) or not _NUMBERS.fullmatch(sent["dtype"]):
        raise RefusedValueError(f"arrays of {clean(str(sent['dtype']))[:40]!r} are not taken: those of numbers are")
    try:
        import numpy
    except ImportError:
        return _value(sent["data"])
    return numpy.array(sent["data"], dtype=sent["dtype"])


def _dataclass(sent: Mapping[str, Any]) -> dict[str, Any]:
    named = {"__dataclass__": sent["class_name"], "__module__": sent["module"]}
    return {**{key: clean(str(name)) for key, name in named.items()}, **_value(dict(sent["data"]))}


_TYPES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "bytes": lambda sent: base64.b64decode(sent["data"]),
    "tuple": lambda sent: tuple(_value(item) for item in sent["data"]),
    "set": lambda sent: {_value(item) for item in sent["data"]},
    "frozenset": lambda sent: frozenset(_value(item) for item in sent["data"]),
    "complex": lambda sent: complex(float(sent["real"]), float(sent["imag"])),
    "dict_with_complex_keys": lambda sent: {_value(key): _value(item) for key, item in sent["data"]},
    "datetime": lambda sent: datetime.datetime.fromisoformat(sent["data"]),
    "date": lambda sent: datetime.date.fromisoformat(sent["data"]),
    "time": lambda sent: datetime.time.fromisoformat(sent["data"]),
    "timedelta": lambda sent: datetime.timedelta(seconds=float(sent["total_seconds"])),
    "Decimal": lambda sent: decimal.Decimal(str(sent["data"])[:4096]),
    "Path": lambda sent: PurePosixPath(clean(str(sent["data"]))),
    "PIL.Image": _image,
    "ndarray": _array,
    "dataclass": _dataclass,
}
