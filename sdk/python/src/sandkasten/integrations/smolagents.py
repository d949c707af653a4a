"""A Python executor for smolagents: `pip install 'sandkasten[smolagents]'`.

with SandboxClient() as client, client.create_session() as session:
    agent = CodeAgent(tools=[], model=model, executor=SandkastenExecutor(session))
"""

from __future__ import annotations

import inspect
import json
import secrets
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from sandkasten.exceptions import CommandTimeoutError, SandkastenAPIError
from sandkasten.integrations import from_extra
from sandkasten.integrations._python_values import RefusedValueError, clean, decode
from sandkasten.sync import Process, Session, _reach
from sandkasten.types import ExecResult

with from_extra(__name__, "smolagents"):
    from smolagents.default_tools import FinalAnswerTool
    from smolagents.local_python_executor import CodeOutput
    from smolagents.monitoring import AgentLogger, LogLevel
    from smolagents.remote_executors import RemotePythonExecutor
    from smolagents.tools import Tool
    from smolagents.utils import AgentExecutionError

#: The largest answer that is taken, in bytes: an image, for the most part.
MOST_ANSWERED = 64 * 1024 * 1024

#: How long a Python may take to begin, in milliseconds.
READY_MS = 30_000

#: How long it is waited for a Python that was interrupted, in milliseconds.
GRACE_MS = 2000


class SandkastenExecutor(RemotePythonExecutor):
    """Runs an agent's code in a session, in one Python that keeps its variables from step to step.

    What the code prints comes back as logs, its last expression as output, and a final answer as a value. All of it is taken as
    JSON, and nothing is unpickled: a final answer of a type that JSON does not have, and smolagents no notation for, is refused,
    and the agent is told so.

    Args:
        session: A session of `sandkasten.sync` whose image has Python 3.9 or newer. It is the caller's, who destroys it.
        additional_imports: Packages that pip installs into it first. The session needs a network for that.
        logger: Where smolagents logs to.
        python: The Python inside.
        timeout: After how many seconds a step is interrupted. Its variables stay, unless it cannot be interrupted.
        max_output_bytes: How much of a step's output is kept, from 64 KiB to 1 MiB; a longer one is cut in its middle.
    """

    def __init__(
        self,
        session: Session,
        *,
        additional_imports: Sequence[str] = (),
        logger: AgentLogger | None = None,
        python: str = "python3",
        timeout: int = 120,
        max_output_bytes: int = 64 * 1024,
    ) -> None:
        super().__init__(list(additional_imports), logger or AgentLogger(LogLevel.ERROR), allow_pickle=False)
        self._session = session
        self._python = python
        self._timeout = timeout
        self._max_output_bytes = min(max(max_output_bytes, 64 * 1024), 1024 * 1024)
        self._kernel: Process | None = None
        self._place = f"/tmp/.sandkasten-{secrets.token_hex(12)}"  # noqa: S108 it is the sandbox's
        self._given: dict[str, str] = {}
        self._giving: str | None = None
        self.installed_packages = self.install_packages(list(additional_imports))

    def run_code_raise_errors(self, code: str) -> CodeOutput:
        """Runs code as one step.

        Raises:
            AgentExecutionError: It raised, ran past its time, ended its Python, or gave a final answer that is not taken.
        """
        if self._giving is not None:
            self._given[self._giving] = code
        is_new = self._kernel is None
        self._started()
        if is_new:
            for name, given in self._given.items():
                if name != self._giving:
                    self._step(given)
        return self._step(code)

    def send_tools(self, tools: dict[str, Tool]) -> None:
        """Defines tools inside: their code runs there as well, and pip installs what they import.

        Raises:
            AgentExecutionError: pip could not.
        """
        self._giving = "tools"
        try:
            super().send_tools(tools)
        finally:
            self._giving = None

    def send_variables(self, variables: dict[str, Any]) -> None:
        """Defines variables inside."""
        self._giving = "variables"
        try:
            super().send_variables(variables)
        finally:
            self._giving = None

    def install_packages(self, additional_imports: list[str]) -> list[str]:
        """Lets pip inside install packages.

        Raises:
            AgentExecutionError: It could not.
        """
        if additional_imports:
            result = self._session.exec(
                argv=[self._python, "-m", "pip", "install", "--quiet", "--", *additional_imports], shell="none", timeout_ms=None
            )
            if result.exit_code != 0:
                raise AgentExecutionError(
                    f"pip could not install {additional_imports}: {clean(result.output[-2000:])}", self.logger
                )
        return additional_imports

    def cleanup(self) -> None:
        """Ends the Python inside. The session goes on."""
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            try:
                kernel.stop()
            except SandkastenAPIError as error:
                self.logger.log(f"the Python inside was not to be ended, and may be gone: {error.message}", level=LogLevel.DEBUG)

    def _patch_final_answer_with_exception(self, final_answer_tool: FinalAnswerTool) -> None:
        """Lets the tool raise its answer, which the Python inside sends as a value.

        The base class's way has the tool itself write it, for which it imports Pillow and numpy: an image needs neither here.
        """
        kind = type(final_answer_tool)

        # smolagents looks for the source of this class, and of what is put into it below.
        class _FinalAnswerTool(kind):  # type: ignore[valid-type, misc]
            pass

        def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
            class FinalAnswerException(BaseException):
                def __init__(self, value: Any) -> None:
                    self.value = value

            raise FinalAnswerException(self._forward(*args, **kwargs))

        def _forward(self: Any, *args: Any, **kwargs: Any) -> Any:
            return kind.forward(self, *args, **kwargs)

        # What is sent is the source, in which the first line of a method says its name.
        forward.__source__ = inspect.getsource(forward)  # type: ignore[attr-defined]
        _forward.__source__ = inspect.getsource(kind.forward).replace("def forward(", "def _forward(")  # type: ignore[attr-defined]
        _FinalAnswerTool.forward = forward
        _FinalAnswerTool._forward = _forward
        final_answer_tool.__class__ = _FinalAnswerTool

    def _started(self) -> None:
        if self._kernel is not None:
            return
        # The Python is tried first: one that does not run would never be ready.
        script = 'rm -rf -- "$1" && mkdir -m 700 -- "$1" && mkfifo -- "$1/ready" && exec "$2" -c ""'
        made = self._session.exec(argv=["/bin/sh", "-c", script, "sh", self._place, self._python], shell="none")
        if made.exit_code != 0:
            raise AgentExecutionError(f"{self._python} does not run: {clean(made.output[-500:])}", self.logger)
        ready = f"{self._place}/ready"
        self._kernel = self._session.start_process(
            argv=[*self._program(), "serve", self._socket, self._answer, ready], name="smolagents"
        )
        try:
            said = self._session.exec(argv=["/bin/cat", ready], shell="none", timeout_ms=READY_MS).output
        except CommandTimeoutError:
            said = ""
        if said != "ready":
            self.cleanup()
            raise AgentExecutionError(f"{self._python} was not ready within {READY_MS} ms", self.logger)

    def _step(self, code: str) -> CodeOutput:
        try:
            result = self._sent(code, self._timeout * 1000)
        except CommandTimeoutError as error:
            logs = clean(error.output)
            raise AgentExecutionError(f"{logs}\n{self._interrupted()}", self.logger) from error
        logs = clean(result.stdout or "")
        answer = self._answered(result, logs)
        if "error" in answer:
            raise AgentExecutionError(f"{logs}\n{clean(str(answer['error']))}", self.logger)
        is_final = "final" in answer
        try:
            value = decode(str(answer["final"] if is_final else answer.get("value", "safe:null")))
        except RefusedValueError as error:
            raise AgentExecutionError(f"{logs}\nthe answer was refused: {error}", self.logger) from error
        return CodeOutput(output=value, logs=logs, is_final_answer=is_final)

    def _sent(self, code: str, timeout_ms: int) -> ExecResult:
        argv = [*self._program(), "run", self._socket]
        stdin: str | None = code
        if len(code.encode("utf-8", "replace")) > _reach.MOST_ON_THE_WAY:
            file = f"{self._place}/code"
            _reach.write(self._session, file, code.encode())
            argv, stdin = [*argv, file], None
        return self._session.exec(
            argv=argv,
            stdin=stdin,
            shell="none",
            separate_output=True,
            timeout_ms=timeout_ms,
            max_output_bytes=self._max_output_bytes,
            on_limit="head_tail",
        )

    def _answered(self, result: ExecResult, logs: str) -> dict[str, Any]:
        text = result.stderr or ""
        try:
            answer = json.loads(text)
            if isinstance(answer, dict) and "file" in answer:
                answer = json.loads(_reach.read(self._session, self._answer, max_bytes=MOST_ANSWERED))
        except (OSError, ValueError, RecursionError, _reach.OutputLimitError) as error:
            raise AgentExecutionError(f"{logs}\n{self._lost(text or str(error))}", self.logger) from error
        if not isinstance(answer, dict):
            raise AgentExecutionError(f"{logs}\n{self._lost(text)}", self.logger)
        return answer

    def _interrupted(self) -> str:
        said = f"It ran past its {self._timeout} seconds"
        try:
            if self._sent("None", GRACE_MS).exit_code == 0:
                return f"{said} and was interrupted. The variables are as they were then."
        except CommandTimeoutError:
            # It does not listen: it is ended.
            pass
        self.cleanup()
        return f"{said}, could not be interrupted, and was ended. The variables are gone."

    def _lost(self, said: str) -> str:
        ended = self._kernel.stop() if self._kernel is not None else None
        self._kernel = None
        why = ended.hint if ended is not None and ended.hint and ended.reason != "cancelled" else clean(said[-300:])
        return f"Python ended, and the variables are gone: {why}"

    def _program(self) -> list[str]:
        return [self._python, "-c", files("sandkasten.integrations").joinpath("_python_kernel.py").read_text()]

    @property
    def _socket(self) -> str:
        return f"{self._place}/socket"

    @property
    def _answer(self) -> str:
        return f"{self._place}/answer"
