"""Answers of the daemon, which may be anybody's: what they hold is checked against the types that it goes into."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

import httpx

from sandkasten._core.sse import ServerEvent
from sandkasten.exceptions import BY_CODE, SandkastenAPIError, SandkastenProtocolError, SandkastenStreamError

T = TypeVar("T")

#: The most bytes of an answer that is read as a whole: 100 MiB of a file in base64, with room to spare.
MAX_ANSWER_BYTES = 256 * 1024 * 1024
#: Metadata of a dataclass's field whose values lie beside those of the others, and not in an object of their own.
BESIDE = {"beside": True}


def named(key: str) -> dict[str, str]:
    """Metadata of a dataclass's field that has another name in JSON."""
    return {"key": key}


def parse(text: str | bytes, what: str) -> object:
    """Reads a JSON text.

    Raises:
        SandkastenProtocolError: It is none.
    """
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SandkastenProtocolError(f"{what} is no JSON: {error}") from error
    return value


def read_as(cls: type[T]) -> Callable[[httpx.Response], T]:
    """How an answer is read that is an object of this class."""
    return lambda response: decode(cls, parse(response.content, "the answer"))


def read_list(cls: type[T], key: str | None = None) -> Callable[[httpx.Response], list[T]]:
    """How an answer is read that is a list of this class, or has one under a key."""

    def read(response: httpx.Response) -> list[T]:
        value = parse(response.content, "the answer")
        if key is not None:
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, list):
            raise SandkastenProtocolError(f"the answer is no list of {cls.__name__}")
        return [decode(cls, entry) for entry in value]

    return read


def event_as(cls: type[T], event: ServerEvent) -> T:
    """What an event holds, as an object of this class."""
    return decode(cls, parse(event.data, f"the event {event.name!r}"))


def decode(cls: type[T], value: object) -> T:
    """Makes a dataclass of a JSON object. Keys that are not known are left out.

    Raises:
        SandkastenProtocolError: A field is missing, or has another type.
    """
    if not isinstance(value, dict):
        raise SandkastenProtocolError(f"{cls.__name__} is {type(value).__name__} in the answer, and no object")
    given: dict[str, Any] = {}
    for name, key, is_optional, read in _plan(cast("Hashable", cls)):
        if key is None:
            given[name] = read(value)
        elif value.get(key) is not None:
            try:
                given[name] = read(value[key])
            except (TypeError, binascii.Error) as error:
                raise SandkastenProtocolError(f"{cls.__name__}.{key} in the answer: {error}") from error
        elif not is_optional:
            raise SandkastenProtocolError(f"{cls.__name__}.{key} is missing in the answer")
    return cls(**given)


_Step = tuple[str, "str | None", bool, Callable[[Any], Any]]


@functools.cache
def _plan(hashable: Hashable) -> list[_Step]:
    cls = cast("type[Any]", hashable)
    hints = typing.get_type_hints(cls)
    steps: list[_Step] = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        has_default = (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        key = None if "beside" in field.metadata else field.metadata.get("key", field.name)
        steps.append((field.name, key, has_default, _reader(hints[field.name])))
    return steps


def _reader(hint: Any) -> Callable[[Any], Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (hint,) = [argument for argument in arguments if argument is not types.NoneType]
        return _reader(hint)
    if origin is list:
        each = _reader(arguments[0])
        return lambda value: [each(entry) for entry in _checked(list, value)]
    if origin is dict:
        each = _reader(arguments[1])
        return lambda value: {key: each(entry) for key, entry in _checked(dict, value).items()}
    if hint is bytes:
        return lambda value: base64.b64decode(_checked(str, value), validate=True)
    if dataclasses.is_dataclass(hint):
        return functools.partial(decode, cast("type[Any]", hint))
    return functools.partial(_checked, hint)


def _checked(cls: type[T], value: object) -> T:
    if isinstance(value, cls) and not (cls is int and isinstance(value, bool)):
        return value
    raise TypeError(f"{type(value).__name__} where {cls.__name__} is expected")


def refusal(response: httpx.Response) -> SandkastenAPIError:
    """The exception for an answer that is no success."""
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError):
        found = None
    found = found if isinstance(found, dict) else {}
    code, message, details = found.get("error_code"), found.get("message"), found.get("details")
    if not isinstance(message, str):
        message = f"{response.request.url} answered {response.status_code} {response.reason_phrase}"
    cls = BY_CODE.get(code, SandkastenAPIError) if isinstance(code, str) else SandkastenAPIError
    return cls(
        message,
        response.status_code,
        response.text,
        response=response,
        error_code=code if isinstance(code, str) else None,
        details=details if isinstance(details, dict) else None,
    )


def reported(event: ServerEvent) -> SandkastenStreamError:
    """The exception for an event `error`."""
    found = parse(event.data, "the event 'error'")
    found = found if isinstance(found, dict) else {}
    message, code = found.pop("error", None), found.pop("error_code", None)
    return SandkastenStreamError(
        message if isinstance(message, str) else "the daemon does not say what went wrong",
        error_code=code if isinstance(code, str) else None,
        details=found,
    )
