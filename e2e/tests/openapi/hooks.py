"""Lets drawn requests reach what lives: a session, a command and a workspace. Cleans up what they make."""

import itertools
import os

import requests
import schemathesis

URL = os.environ["SANDKASTEN_URL"]
KEY = {"Authorization": f"Bearer {os.environ['SANDKASTEN_API_KEY']}"}
# What only these operations may do is done to something that is made for them.
ENDS_SESSION = {"destroy_session"}
ENDS_WORKSPACE = {"remove_workspace", "rename_workspace"}
FILE = "drawn.txt"
# Operations on one file. Most drawn paths lead nowhere; the commonest of them is taken to the file.
ON_FILE = {
    "write_file", "read_file", "download_file", "upload_file", "edit_file", "stat_file", "change_mode",
    "write_workspace_file", "read_workspace_file",
}
# Longer texts and lists than these are neither drawn nor needed: the bounds have tests of their own.
LONGEST_TEXT, LONGEST_LIST = 4096, 100


def api(method, path, **more):
    return requests.request(method, URL + path, headers=KEY, timeout=30, **more)


def make_session(**more):
    answer = api("POST", "/v1/sessions", json={"ttl_seconds": 86400, **more})
    answer.raise_for_status()
    return answer.json()["id"]


KEYS = itertools.count()
SHALLOW = itertools.cycle([True, False])
SIGNALS = itertools.cycle(["WINCH", "sigcont", "18", "TERM", "no signal"])


class World:
    """What drawn requests are about."""

    def __init__(self):
        self.session = None
        self.process = None

    def live_session(self):
        if self.session is None or api("GET", f"/v1/sessions/{self.session}/stats").status_code != 200:
            self.session, self.process = make_session(), None
        return self.session

    def live_process(self):
        session = self.live_session()
        path = f"/v1/sessions/{session}/processes"
        if self.process is not None:
            answer = api("GET", f"{path}/{self.process}")
            if answer.status_code == 200 and answer.json()["status"] == "running":
                return self.process
        answer = api("POST", path, json={"cmd": "echo drawn; exec sleep 3600", "tty": {"rows": 20, "cols": 80}})
        answer.raise_for_status()
        self.process = answer.json()["id"]
        return self.process

    def command(self):
        answer = api("POST", f"/v1/sessions/{self.live_session()}/exec", json={"cmd": "echo drawn"})
        answer.raise_for_status()
        return answer.json()["exec_id"]

    def workspace(self):
        answer = api("POST", "/v1/workspaces", json={"id": "drawn"})
        assert answer.status_code in (201, 409), answer.text
        return "drawn"


WORLD = World()


def is_drawn_against_the_document(case, location):
    """Whether a part of a request is wrong on purpose."""
    components = getattr(case.meta, "components", None) or {}
    return any(part.value == location and info.mode.is_negative for part, info in components.items())


def shorten(case, parameter):
    """Lets a request for an end that does not come be answered all the same."""
    if not is_drawn_against_the_document(case, "query"):
        asked = (case.query or {}).get(parameter)
        case.query = {**(case.query or {}), parameter: min(int(asked), 100) if asked else 100}


def with_plain_numbers(value):
    """Writes 3.0, which JSON Schema takes for a whole number as well, as one."""
    if isinstance(value, dict):
        return {key: with_plain_numbers(member) for key, member in value.items()}
    if isinstance(value, list):
        return [with_plain_numbers(member) for member in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@schemathesis.serializer("application/x-tar", "application/zstd")
def serialize_archive(context, value):
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def lead_to_file(case):
    """Takes requests about the commonest drawn path to a file that is there."""
    for location, values in (("query", case.query), ("body", case.body)):
        if isinstance(values, dict) and values.get("path") == "0" and not is_drawn_against_the_document(case, location):
            path = case.operation.path.split("/fs/")[0].replace("{id}", case.path_parameters["id"])
            api("POST", f"{path}/fs/write", json={"path": FILE, "text": "drawn", "mode": "0644"}).raise_for_status()
            values["path"] = FILE


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Takes bounds off that would have megabytes drawn."""
    open_ends = [raw_schema]
    while open_ends:
        value = open_ends.pop()
        if isinstance(value, dict):
            for bound, most in (("maxLength", LONGEST_TEXT), ("maxItems", LONGEST_LIST)):
                if isinstance(value.get(bound), int) and value[bound] > most:
                    del value[bound]
            open_ends.extend(value.values())
        elif isinstance(value, list):
            open_ends.extend(value)


@schemathesis.hook
def before_call(context, case, kwargs):
    name = case.operation.definition.raw.get("operationId").removeprefix("workspace_")
    if (case.headers or {}).get("Idempotency-Key") and not is_drawn_against_the_document(case, "header"):
        # Nearly all drawn keys are the same, and would be refused with another body.
        case.headers["Idempotency-Key"] += f".{next(KEYS)}"
    if name == "signal_process" and isinstance(case.body, dict) and not is_drawn_against_the_document(case, "body"):
        # Few texts are names of signals.
        case.body["signal"] = next(SIGNALS)
    if name == "upload_archive" and not is_drawn_against_the_document(case, "body") and next(SHALLOW):
        # Hardly any bytes are an archive. This one is, and holds nothing.
        case.body = bytes(1024)
    if isinstance(case.body, dict) and not is_drawn_against_the_document(case, "body"):
        case.body = with_plain_numbers(case.body)
    if name == "wait_for_process":
        shorten(case, "timeout_ms")
    if name == "create_session" and "wait_ms" in (case.query or {}):
        shorten(case, "wait_ms")
    if not case.path_parameters or is_drawn_against_the_document(case, "path"):
        return
    if "workspaces" in case.operation.path:
        case.path_parameters["id"] = WORLD.workspace()
    elif name in ENDS_SESSION:
        case.path_parameters["id"] = make_session()
    else:
        case.path_parameters["id"] = WORLD.live_session()
    if name == "download_archive":
        # An archive breaks off at a file that the sandbox user may not read, as others of these requests leave some.
        readable = {"argv": ["chmod", "-R", "u+rwX", "/workspace"]}
        on_workspace = "workspaces" in case.operation.path
        session = make_session(workspace_id=WORLD.workspace()) if on_workspace else WORLD.live_session()
        api("POST", f"/v1/sessions/{session}/exec", json=readable).raise_for_status()
        if on_workspace:
            api("DELETE", f"/v1/sessions/{session}").raise_for_status()
    if name in ON_FILE:
        lead_to_file(case)
    if "exec_id" in case.path_parameters:
        is_exec = case.operation.path.endswith("/exec/{exec_id}")
        case.path_parameters["exec_id"] = WORLD.command() if is_exec else WORLD.live_process()


@schemathesis.hook
def after_call(context, case, response):
    name = case.operation.definition.raw.get("operationId").removeprefix("workspace_")
    if response.status_code == 201 and name == "create_session":
        api("DELETE", f"/v1/sessions/{response.json()['id']}")
    if name == "update_session" and response.status_code == 200:
        # A drawn time to live may be a second.
        api("PATCH", f"/v1/sessions/{response.json()['id']}", json={"ttl_seconds": 86400})
    if response.status_code == 201 and name in ("create_workspace", "copy_workspace"):
        api("DELETE", f"/v1/workspaces/{response.json()['id']}")
