"""A model for LangChain that says what it is told to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage


class ScriptedChatModel(GenericFakeChatModel):
    """Answers with one message after the other, whatever tools it is given."""

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> ScriptedChatModel:  # type: ignore[override]
        """Takes any."""
        return self


def scripted(*steps: tuple[str, dict[str, Any]] | str) -> ScriptedChatModel:
    """A model that calls tools with arguments, and says a text at the end."""
    messages: Iterable[AIMessage] = [
        AIMessage(step)
        if isinstance(step, str)
        else AIMessage("", tool_calls=[{"name": step[0], "args": step[1], "id": f"call_{index}"}])
        for index, step in enumerate(steps)
    ]
    return ScriptedChatModel(messages=iter(messages))
