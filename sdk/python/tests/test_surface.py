"""The package as its users see it: what 0.3.0 had, what the twins share, where the daemon is."""

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

import sandkasten
from sandkasten import SandboxClient, exceptions, sync, types
from sandkasten._core.endpoint import Endpoint

CLASSES = ["SandboxClient", "Session", "Files", "Process", "Terminal", "Workspace"]
#: Parameters of 0.3.0; behind a star those that are given by name only.
OF_0_3_0 = {
    "SandboxClient.__init__": "* base_url api_key timeout",
    "SandboxClient.create_session": "* image ttl_seconds workspace_id",
    "SandboxClient.get_session": "session_id",
    "SandboxClient.list_sessions": "",
    "SandboxClient.list_workspaces": "",
    "SandboxClient.delete_workspace": "workspace_id",
    "SandboxClient.close": "",
    "Session.__init__": "client session_id",
    "Session.exec": "cmd * timeout_ms raw_output",
    "Session.exec_stream": "cmd * timeout_ms raw_output",
    "Session.write": "path content",
    "Session.read": "path * max_bytes",
    "Session.upload": "file * dest_path filename",
    "Session.stats": "",
    "Session.info": "",
    "Session.destroy": "",
}
FIELDS_OF_0_3_0 = {
    "ExecResult": "exit_code cwd output truncated duration_ms",
    "ExecChunk": "output timestamp done exit_code cwd duration_ms",
    "SessionInfo": "id image status cwd created_at expires_at workspace_id container_id last_activity",
    "SessionStats": "memory_bytes memory_limit cpu_usage_usec",
    "ReadResult": "content path truncated",
    "WorkspaceInfo": "id",
}


@pytest.mark.parametrize("name", OF_0_3_0)
def test_a_method_takes_what_it_took_in_0_3_0(name: str) -> None:
    cls, method = name.split(".")
    parameters = list(inspect.signature(getattr(getattr(sandkasten, cls), method)).parameters.values())[1:]
    places, _, names = OF_0_3_0[name].partition("* ")
    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert positional[: len(places.split())] == places.split()
    assert set(names.split()) <= {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}


@pytest.mark.parametrize("name", FIELDS_OF_0_3_0)
def test_a_result_has_the_fields_of_0_3_0_in_their_order(name: str) -> None:
    fields = [field.name for field in dataclasses.fields(getattr(sandkasten, name))]
    expected = FIELDS_OF_0_3_0[name].split()
    assert fields[: len(expected)] == expected
    made = getattr(types, name)(*range(len(expected)))
    assert [getattr(made, key) for key in expected] == list(range(len(expected)))


def test_exceptions_are_made_and_caught_as_in_0_3_0() -> None:
    error = exceptions.SandkastenAPIError("why", 418, "body")
    assert (str(error), error.status_code, error.response_body) == ("why", 418, "body")
    assert (error.response.status_code, error.response.text) == (418, "body")
    assert isinstance(error, sandkasten.SandkastenError)
    assert isinstance(error, httpx.HTTPError)
    assert str(sandkasten.SandkastenStreamError("why")) == "why"
    assert issubclass(exceptions.SandkastenAPIError, httpx.HTTPStatusError)
    assert sandkasten.__version__ == "0.4.0"
    assert set(sandkasten.__all__) <= set(dir(sandkasten))
    with pytest.raises(AttributeError, match="no_such"):
        _ = sandkasten.no_such


@pytest.mark.parametrize("name", CLASSES)
def test_the_twins_have_the_same_methods_with_the_same_parameters(name: str) -> None:
    asynchronous, synchronous = getattr(sandkasten, name), getattr(sync, name)
    assert public(asynchronous) == public(synchronous)
    for method in public(asynchronous):
        twins = [getattr(cls, method) for cls in (asynchronous, synchronous)]
        if callable(twins[0]):
            one, other = (list(inspect.signature(twin).parameters) for twin in twins)
            assert one == other, method
        assert twins[0].__doc__, f"{name}.{method} has no docstring"


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_method_is_called_by_a_live_test(name: str) -> None:
    text = "".join(path.read_text() for path in (Path(__file__).parent / "live").glob("*.py"))
    uncalled = [method for method in public(getattr(sandkasten, name)) if not re.search(rf"\.{method}\b", text)]
    # What closes is called by the blocks of all of them.
    assert set(uncalled) <= {"close"}


def public(cls: type[Any]) -> list[str]:
    """Names of methods and properties."""
    return sorted(name for name in vars(cls) if not name.startswith("_"))


def test_the_synchronous_twin_is_what_its_tool_makes() -> None:
    tool = Path(__file__).parent.parent / "tools" / "make_sync.py"
    said = subprocess.run([sys.executable, tool, "--check"], check=False, capture_output=True, text=True)  # noqa: S603
    assert (said.returncode, said.stdout) == (0, "")


def test_terminals_name_the_package_that_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    with sync.SandboxClient() as client, pytest.raises(ImportError, match=r"sandkasten\[terminal\]"):
        client.session("00000000-0000").terminal().__enter__()


def test_the_address_is_what_is_given_then_the_environments_then_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDKASTEN_URL", "http://of.the.environment:1")
    monkeypatch.setenv("SANDKASTEN_API_KEY", "sk-of-the-environment")
    assert Endpoint.of(None, None) == Endpoint("http://of.the.environment:1", "sk-of-the-environment")
    assert Endpoint.of("http://given:2", "sk-given") == Endpoint("http://given:2", "sk-given")
    assert Endpoint.of("unix:/run/a.sock", "").socket == "/run/a.sock"
    assert Endpoint.of("unix:///run/a.sock", "").socket == "/run/a.sock"
    assert "Authorization" not in Endpoint.of("http://given:2", "").headers
    assert "sk-of-the-environment" not in repr(Endpoint.of(None, None))
    monkeypatch.delenv("SANDKASTEN_URL")
    monkeypatch.delenv("SANDKASTEN_API_KEY")
    assert Endpoint.of(None, None) == Endpoint("http://localhost:8080", None)
    for wrong in ("localhost:8080", "ftp://x", "unix:relative", "/run/a.sock"):
        with pytest.raises(ValueError, match=wrong):
            SandboxClient(base_url=wrong)
