"""A coding agent: a model plans, writes files, runs the tests in a sandbox and mends, until they pass.

    python3 examples/coding_agent.py                     # with a scripted model, offline
    OPENAI_API_KEY=… python3 examples/coding_agent.py    # with a real one; OPENAI_BASE_URL and OPENAI_MODEL say which

The daemon is that of SANDKASTEN_URL and SANDKASTEN_API_KEY. Nothing that the model says is run outside of the session.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable

import httpx

from sandkasten import SandboxClient, SandkastenError, Session

TASK = """Write /workspace/roman.py with a function to_roman(number) for 1 to 3999, and unit tests for it in
/workspace/test_roman.py. Run them by `python3 -m unittest`, and mend what fails. Say one sentence when they pass."""
TURNS = 20

Message = dict[str, object]
Model = Callable[[list[Message]], Awaitable[Message]]


def tool(name: str, description: str, **parameters: str) -> dict[str, object]:
    properties = {key: {"type": "string", "description": text} for key, text in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


TOOLS = [
    tool("write_file", "Write a file, whole.", path="below /workspace", content="all of its text"),
    tool("edit_file", "Replace text that is in a file exactly once.", path="below /workspace", old="what is there", new="instead"),
    tool("run", "Run a command in a shell that keeps its directory and variables.", command="shell text"),
]


async def use(session: Session, name: str, arguments: dict[str, str]) -> str:
    """Carries out what the model asks for. A refusal is an answer as well: the model can do something about it."""
    try:
        match name:
            case "write_file":
                written = await session.files.write(arguments["path"], arguments["content"])
                return f"wrote {written.size} bytes"
            case "edit_file":
                edited = await session.files.edit(arguments["path"], [(arguments["old"], arguments["new"])])
                return f"replaced {edited.changes} place"
            case "run":
                result = await session.exec(arguments["command"], timeout_ms=60_000, max_output_bytes=8_000, on_limit="head_tail")
                # The hint says to a model what a status alone does not: that memory was used up, say, or time.
                return f"exit status {result.exit_code}\n{result.output}{result.hint or ''}"
            case _:
                return f"there is no tool {name}"
    except KeyError as missing:
        return f"{name} needs {missing}"
    except SandkastenError as error:
        return f"failed: {error}"


async def real_model(messages: list[Message]) -> Message:
    """One turn of any model that is served by the protocol of OpenAI's chat completions."""
    base = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
    body = {"model": os.environ.get("OPENAI_MODEL", "gpt-4o-mini"), "messages": messages, "tools": TOOLS}
    async with httpx.AsyncClient(timeout=120) as http:
        answer = await http.post(
            f"{base}/chat/completions", json=body, headers={"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
        )
        answer.raise_for_status()
        return answer.json()["choices"][0]["message"]


DRAFT = """NUMERALS = [(1000, "M"), (500, "D"), (100, "C"), (50, "L"), (10, "X"), (5, "V"), (1, "I")]


def to_roman(number):
    text = ""
    for value, numeral in NUMERALS:
        text += numeral * (number // value)
        number %= value
    return text
"""
TESTS = """import unittest
from roman import to_roman


class Roman(unittest.TestCase):
    def test_sums(self):
        self.assertEqual(to_roman(2026), "MMXXVI")

    def test_differences(self):
        self.assertEqual([to_roman(number) for number in (4, 9, 40, 90, 400, 900)], ["IV", "IX", "XL", "XC", "CD", "CM"])
"""
OLD = '[(1000, "M"), (500, "D"), (100, "C"), (50, "L"), (10, "X"), (5, "V"), (1, "I")]'
NEW = """[
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
]"""


async def scripted_model(messages: list[Message]) -> Message:
    """What a model would do, without one: it reads what its tools answered, and mends its draft when the tests fail."""
    seen = [str(message["content"]) for message in messages if message["role"] == "tool"]
    if not seen:
        return ask("I write a draft and tests for it.", write_file={"path": "roman.py", "content": DRAFT})
    if len(seen) == 1:
        return ask("Now the tests.", write_file={"path": "test_roman.py", "content": TESTS})
    if "AssertionError" in seen[-1]:
        return ask("4 is IV: the draft lacks the differences.", edit_file={"path": "roman.py", "old": OLD, "new": NEW})
    if "exit status 0" in seen[-1]:
        return {"role": "assistant", "content": f"The tests pass after {len(seen)} steps."}
    return ask("I run the tests.", run={"command": "cd /workspace && python3 -m unittest"})


def ask(thought: str, **call: dict[str, str]) -> Message:
    [(name, arguments)] = call.items()
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": thought, "tool_calls": [{"id": "call", "type": "function", "function": function}]}


async def main() -> int:
    model: Model = real_model if os.environ.get("OPENAI_API_KEY") else scripted_model
    messages: list[Message] = [{"role": "user", "content": TASK}]
    async with SandboxClient() as client, await client.create_session(labels={"example": "coding-agent"}) as session:
        for _ in range(TURNS):
            message = await model(messages)
            messages.append(message)
            print(f"model: {message.get('content') or ''}")
            calls = message.get("tool_calls") or []
            for call in calls:
                name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
                answer = await use(session, name, arguments)
                print(f"  {name} {arguments.get('path') or arguments.get('command')}\n    " + answer.strip().replace("\n", "\n    "))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": answer})
            if not calls:
                # A model may say that all is well when it is not. The tests say so themselves.
                return (await session.exec("cd /workspace && python3 -m unittest")).exit_code
    print(f"the model is not done after {TURNS} turns")
    return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
