"""Answers that are none of a daemon's."""

import json
import pickle
from pathlib import Path

import httpx
import pytest

from sandkasten._core.answer import decode, read_as, read_list, refusal
from sandkasten._core.sessions import page
from sandkasten.exceptions import SandkastenAPIError, SandkastenProtocolError, SessionNotFoundError
from sandkasten.types import ExecResult, ReadResult, SessionInfo

RESULT = {"exit_code": 0, "cwd": "/", "output": "", "truncated": False, "duration_ms": 1, "reason": "exit"}
REQUEST = httpx.Request("GET", "http://localhost/v1/x")


def answered(content: str | bytes, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=content, request=REQUEST)


def test_an_answer_goes_into_its_fields_and_what_is_new_is_left_out() -> None:
    result = decode(ExecResult, {**RESULT, "hint": None, "signal": "SIGSEGV", "of_a_later_version": [1]})
    assert (result.exit_code, result.reason, result.signal, result.hint, result.stdout) == (0, "exit", "SIGSEGV", None, None)


@pytest.mark.parametrize("key", ["exit_code", "cwd", "output", "truncated", "duration_ms"])
def test_a_missing_field_is_named(key: str) -> None:
    with pytest.raises(SandkastenProtocolError, match=f"ExecResult.{key} is missing"):
        decode(ExecResult, {name: value for name, value in RESULT.items() if name != key})


@pytest.mark.parametrize(
    ("key", "value"),
    [("exit_code", "0"), ("exit_code", True), ("exit_code", 0.5), ("cwd", 1), ("output", []), ("truncated", 1), ("stdout", {})],
)
def test_a_field_of_another_type_is_named(key: str, value: object) -> None:
    with pytest.raises(SandkastenProtocolError, match=f"ExecResult.{key}"):
        decode(ExecResult, {**RESULT, key: value})


def test_lists_and_maps_are_looked_into() -> None:
    fields = dict.fromkeys(("id", "image", "status", "cwd", "created_at", "expires_at"), "x")
    each: list[dict[str, object]] = [{"labels": {"a": 1}}, {"labels": []}, {"isolation": {"namespaces": [1]}}, {"isolation": 3}]
    for wrong in each:
        with pytest.raises(SandkastenProtocolError):
            decode(SessionInfo, {**fields, **wrong})


def test_base64_that_is_none_is_refused() -> None:
    for wrong in ("*", "YQ", 7):
        with pytest.raises(SandkastenProtocolError, match="content_base64"):
            decode(ReadResult, {"content_base64": wrong, "path": "/x", "truncated": False})


@pytest.mark.parametrize("text", ["", "<html>", "[1,", "\xff", "[" * 100_000, "1" * 5000, "null", "3", '"x"', "[]"])
def test_text_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(SandkastenProtocolError):
        read_as(ExecResult)(answered(text))
    with pytest.raises(ValueError, match="answer"):  # what users of 0.3.0 got
        read_as(ExecResult)(answered(text))


def test_a_list_is_a_list_of_objects() -> None:
    for text in ('{"images": 1}', "{}", "[1]", '{"images": [1]}'):
        with pytest.raises(SandkastenProtocolError):
            read_list(SessionInfo, "images")(answered(text))


def test_a_page_cannot_lead_the_key_away_nor_turn_in_a_circle() -> None:
    def read(link: str, cursor: str | None) -> str | None:
        call = page(labels=None, status=None, image=None, workspace_id=None, name=None, limit=1, cursor=cursor)
        response = httpx.Response(200, text="[]", headers={"Link": link}, request=REQUEST)
        return call.read(response).cursor

    assert read('</v1/sessions?limit=1&cursor=a%2Bb>; rel="next"', None) == "a+b"
    assert read('<http://elsewhere.invalid/?cursor=x>; rel="next"', None) == "x"
    assert read('</v1/sessions?limit=1>; rel="next"', None) is None
    assert read('</v1/sessions?cursor=y>; rel="prev"', None) is None
    with pytest.raises(SandkastenProtocolError, match="itself"):
        read('</v1/sessions?cursor=x>; rel="next"', "x")


def test_a_refusal_is_of_the_class_of_its_code() -> None:
    body = {"error_code": "SESSION_NOT_FOUND", "message": "gone", "details": {"exec_id": "e", "output": 3}}
    error = refusal(httpx.Response(404, json=body, headers={"X-Request-ID": "r-1"}, request=REQUEST))
    assert isinstance(error, SessionNotFoundError)
    assert isinstance(error, httpx.HTTPStatusError)
    assert (error.error_code, error.message, error.status, error.request_id) == ("SESSION_NOT_FOUND", "gone", 404, "r-1")
    assert (str(error), error.exec_id, error.output, error.hint) == ("gone", "e", "", None)
    assert error.response.json() == body
    moved = pickle.loads(pickle.dumps(error))  # noqa: S301 it is our own
    assert (type(moved), moved.details, moved.request_id) == (SessionNotFoundError, error.details, "r-1")
    assert json.loads(error.response_body or "") == body


@pytest.mark.parametrize(
    "text",
    ["", "<html>", "[]", "null", '{"error_code": 3, "message": {}, "details": []}', '{"error_code": "OF_TOMORROW"}', "[" * 99999],
)
def test_a_refusal_that_is_not_known_is_one_all_the_same(text: str) -> None:
    error = refusal(answered(text, 502))
    assert type(error) is SandkastenAPIError
    assert (error.status, error.status_code, error.response_body) == (502, 502, text)
    assert "502" in error.message


def test_every_code_of_the_contract_has_its_class(docs: Path) -> None:
    from sandkasten.exceptions import BY_CODE

    rows = [line.split("`") for line in (docs / "contract" / "error-codes.md").read_text().splitlines() if line.startswith("| `")]
    assert {row[1] for row in rows} == set(BY_CODE)
    assert len(set(BY_CODE.values())) == len(BY_CODE)
    assert all(cls.__doc__ for cls in BY_CODE.values())
