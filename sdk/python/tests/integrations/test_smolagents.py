"""The executor for smolagents, and against what code in a sandbox may do to who reads its answers."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import pathlib
import pickle
import struct
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
from smolagents import ChatMessage, CodeAgent, FinalAnswerTool, MessageRole, Model, tool
from smolagents.utils import AgentExecutionError

from sandkasten.integrations._python_values import RefusedValueError, decode
from sandkasten.integrations.smolagents import SandkastenExecutor
from sandkasten.sync import Session

IMPORTS = {"datetime": datetime, "decimal": decimal, "pathlib": pathlib}


class Scripted(Model):
    """Answers with one code block after the other."""

    def __init__(self, *steps: str) -> None:
        super().__init__(model_id="scripted")
        self.steps = iter(steps)
        self.seen = ""

    def generate(self, messages: list[ChatMessage], *_: Any, **__: Any) -> ChatMessage:
        self.seen = str(messages[-1].content)
        return ChatMessage(role=MessageRole.ASSISTANT, content=f"<code>\n{next(self.steps)}\n</code>")


def png(width: int, height: int) -> bytes:
    """A picture that is said to be this large, and holds nothing."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b"nothing"), (b"IEND", b""))
    packed = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@tool
def double(number: int) -> int:
    """Doubles.

    Args:
        number: What is doubled.
    """
    return 2 * number


@pytest.fixture
def executor(session: Session) -> Iterator[SandkastenExecutor]:
    executor = SandkastenExecutor(session, timeout=30)
    yield executor
    executor.cleanup()


def quick(session: Session) -> SandkastenExecutor:
    return SandkastenExecutor(session, timeout=1)


def test_an_agent_writes_a_file_runs_it_and_answers_with_what_it_printed(session: Session) -> None:
    model = Scripted(
        "open('answer.py', 'w').write('print(6 * 7)')",
        "import subprocess\nprinted = subprocess.check_output(['python3', 'answer.py'], text=True)\nprint(printed)",
        "final_answer({'printed': printed.strip(), 'doubled': double(number=int(printed)), 'given': extra})",
    )
    agent = CodeAgent(tools=[double], model=model, executor=SandkastenExecutor(session), verbosity_level=0)
    answer = agent.run("What is 6 times 7?", additional_args={"extra": [1, "two"]})
    assert answer == {"printed": "42", "doubled": 84, "given": [1, "two"]}
    assert "42" in model.seen
    assert session.files.read_text("answer.py") == "print(6 * 7)"
    agent.cleanup()
    assert [process.has_ended for process in session.list_processes() if process.kind == "process"] == [True]


def test_variables_stay_from_step_to_step_and_prints_of_children_come_as_logs(executor: SandkastenExecutor) -> None:
    assert executor("import os\nx = 20\nprint('said')\nos.system('echo child')").logs == "said\nchild\n"
    assert executor("x + 1").output == 21
    assert executor("'\\x1b[31mred\\x1b[0m\\x07'").output == "[31mred[0m"
    assert executor("'a\\ud800b'").output == "ab"
    assert executor("(1, b'2', {'a': [None]})").output == (1, b"2", {"a": [None]})
    assert executor("x if False else object").output == "<class 'object'>"


def test_a_python_that_is_not_there_or_never_ready_is_an_error(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AgentExecutionError, match=r"nonesuch does not run: .*not found"):
        SandkastenExecutor(session, python="nonesuch")("1")
    session.files.write("slow", '#!/bin/sh\n[ "$2" = "" ] || exec sleep 60\n', mode="0755")
    monkeypatch.setattr("sandkasten.integrations.smolagents.READY_MS", 500)
    with pytest.raises(AgentExecutionError, match=r"slow was not ready within 500 ms"):
        SandkastenExecutor(session, python="/workspace/slow")("1")
    assert [process.has_ended for process in session.list_processes() if process.kind == "process"] == [True]


def test_an_error_comes_with_its_traceback_and_what_was_printed_before(executor: SandkastenExecutor) -> None:
    with pytest.raises(AgentExecutionError, match=r"before\n[^$]*line 2, in <module>\n    1 / 0\n[^$]*ZeroDivisionError"):
        executor("print('before')\n1 / 0")
    with pytest.raises(AgentExecutionError, match="SyntaxError"):
        executor("x = [")


def test_a_step_past_its_time_is_interrupted_and_the_variables_stay(session: Session) -> None:
    executor = quick(session)
    with pytest.raises(AgentExecutionError, match=r"before\n\n.*was interrupted. The variables are as they were"):
        executor("x = 5\nprint('before')\nwhile True: pass")
    assert executor("x").output == 5


def test_a_python_that_will_not_be_interrupted_is_ended_and_the_tools_are_defined_anew(session: Session) -> None:
    executor = quick(session)
    executor.send_tools({"double": double})
    executor.send_variables({"y": 4})
    with pytest.raises(AgentExecutionError, match=r"could not be interrupted, and was ended. The variables are gone"):
        executor("import signal\nx = 1\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass")
    assert executor("double(number=y)").output == 8
    with pytest.raises(AgentExecutionError, match="NameError"):
        executor("x")


def test_a_python_that_ends_itself_is_said_to_have_ended(executor: SandkastenExecutor) -> None:
    with pytest.raises(AgentExecutionError, match=r"Python ended, and the variables are gone"):
        executor("import os; os._exit(3)")
    assert executor("1").output == 1


def test_output_without_end_is_cut_and_large_values_come_whole(executor: SandkastenExecutor) -> None:
    logs = executor("print('a' * 10_000_000)").logs
    assert 60_000 < len(logs) < 70_000
    assert len(executor("'b' * 2_000_000").output) == 2_000_000
    executor.send_variables({"large": "c" * 2_000_000})
    assert executor("len(large)").output == 2_000_000


def test_a_final_answer_that_is_a_pickle_is_refused_and_not_loaded(executor: SandkastenExecutor, tmp_path: Any) -> None:
    marker = tmp_path / "was-loaded"

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(marker), "w"))

    pickled = base64.b64encode(pickle.dumps(Harm())).decode()
    for sent in (f"pickle:{pickled}", pickled):
        with pytest.raises(AgentExecutionError, match="nothing is unpickled"):
            executor(f"import json\nforged = json.dumps({{'final': {sent!r}}})\njson.dumps = lambda _: forged\nNone")
        executor.cleanup()
    assert not marker.exists()


def test_a_final_answer_of_a_type_of_its_own_is_an_error_that_the_model_can_read(session: Session) -> None:
    model = Scripted("class Own: pass\nfinal_answer(Own())", "final_answer('as text')")
    agent = CodeAgent(tools=[], model=model, executor=SandkastenExecutor(session), verbosity_level=0)
    assert agent.run("?") == "as text"
    assert "the final answer cannot be sent: a Own is not taken" in model.seen
    agent.cleanup()


def test_answers_that_code_has_forged_are_errors(executor: SandkastenExecutor) -> None:
    for content in ("'[' * 100000", "'[1]'", "'{}'", '\'{"final": "safe:["}\''):
        code = f"sent = {content}\nimport json\njson.dumps = lambda _: sent\nNone"
        if content == "'{}'":
            assert executor(code).output is None
        else:
            with pytest.raises(AgentExecutionError):
                executor(code)
        executor.cleanup()


@pytest.mark.parametrize(
    "sent",
    [
        {"__type__": "PIL.Image", "data": base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n").decode()},
        {"__type__": "PIL.Image", "data": base64.b64encode(png(30_000, 30_000)).decode()},
        {"__type__": "PIL.Image", "data": base64.b64encode(png(10_000, 10_000)).decode()},
        {"__type__": "PIL.Image", "data": base64.b64encode(png(1, 1)).decode()},
        {"__type__": "ndarray", "data": [1], "dtype": "O"},
        {"__type__": "ndarray", "data": [1], "dtype": "<U1000000000"},
        {"__type__": "function", "data": "os.system"},
        {"__type__": ["set"]},
        {"__type__": "set", "data": [[1]]},
        {"__type__": "bytes"},
        {"__type__": "timedelta", "total_seconds": 1e300},
        {"__type__": "tuple", "data": 3},
    ],
)
def test_values_that_could_do_harm_or_are_none_are_refused(sent: object) -> None:
    with pytest.raises(RefusedValueError):
        decode("safe:" + json.dumps(sent))


def test_values_nested_too_deep_or_with_endless_digits_are_refused() -> None:
    for text in ("[" * 100_000, "[" * 100_000 + "]" * 100_000, "9" * 100_000):
        with pytest.raises(RefusedValueError):
            decode(f"safe:{text}")


def test_final_answers_of_all_types_that_are_taken_come_as_they_were(executor: SandkastenExecutor) -> None:
    executor.send_tools({"final_answer": FinalAnswerTool()})
    value = (
        "{'a': [1, 2.5, None, True], 'b': {1, 2}, 'c': (b'x', 1j), 4: datetime.date(2026, 1, 2), 'd': decimal.Decimal('1.10'),"
        " 'e': datetime.timedelta(seconds=90), 'f': pathlib.Path('/x'), 'g': frozenset('q')}"
    )
    answer = executor(f"import datetime, decimal, pathlib\nfinal_answer({value})")
    assert answer.is_final_answer
    assert answer.output == eval(value.replace("Path", "PurePosixPath"), {}, vars(__import__("builtins")) | IMPORTS)  # noqa: S307


def test_a_path_is_one_of_the_sandbox_and_an_image_is_an_image(executor: SandkastenExecutor) -> None:
    assert type(decode('safe:{"__type__": "Path", "data": "/etc/passwd"}')) is PurePosixPath
    dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    image = decode(json.dumps({"__type__": "PIL.Image", "data": dot}).join(("safe:", "")))
    assert image.size == (1, 1)
