"""What the record has of an agent's conversation, where an earlier process has begun it: nothing of it is paid for again."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, final

from pydantic import TypeAdapter, ValidationError

from swarmlet.models.base import ChatReply, Message
from swarmlet.trace.events import CallSaved, ToolEnded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swarmlet.engine.context import Current
    from swarmlet.engine.recall import Recall
    from swarmlet.trace.events import Digest, ToolStarted


@final
class Recalled:
    """The turns and tools of one agent's step that are in the record."""

    def __init__(self, step: Current, recall: Recall) -> None:
        self._step = step
        self._recall = recall

    def opening(self) -> tuple[Message, ...] | None:
        """What the conversation began with. A prompt that says something else by now would not fit the replies."""
        digests = self._recall.opening(self._step.path)
        contents = [self._recall.text(digest) for digest in digests]
        try:
            return tuple(_messages().validate_json(content) for content in contents if content is not None) or None
        except ValidationError:
            return None

    def reply(self, turn: int, asked: Digest | None, messages: tuple[Digest | None, ...]) -> ChatReply | None:
        """The reply of a turn that was paid for."""
        content = self._recall.reply(self._step.path, turn)
        if content is None:
            return None
        try:
            reply = _replies().validate_json(content)
        except ValidationError:
            return None
        if self._recall.elsewhere:
            self._saved(turn, reply, content, asked, messages)
        return reply

    def was_cut(self, turn: int) -> bool:
        """Whether this run's record says already that the conversation was cut before this turn."""
        known = self._recall.past.step(self._step.path)
        return not self._recall.elsewhere and known is not None and turn in known.cut

    def tool(self, turn: int, id_: str) -> ToolEnded | bool:
        """How a call of a tool ended; if that is not known, whether it had begun."""
        return self._recall.tool(self._step.path, turn, id_)

    def has(self, turn: int) -> bool:
        """Whether the reply of this turn is in the record."""
        return self._recall.reply(self._step.path, turn) is not None

    def begun(self, turn: int, id_: str) -> ToolStarted | None:
        """How a call of a tool was begun."""
        found = self._tools.get((turn, id_))
        return found[0] if found else None

    def was_suspended(self, turn: int, id_: str) -> bool:
        """Whether a call of a tool was left because a node in it waits for a person: then it goes on."""
        found = self._tools.get((turn, id_))
        return found is not None and found[1] is not None and found[1].state == "suspended"

    def arguments(self, turn: int, id_: str) -> str | None:
        """The arguments with which a call of a tool was begun: a person may have changed what the model wrote."""
        begun = self.begun(turn, id_)
        content = self._recall.text(begun.arguments) if begun is not None else None
        return None if content is None else _texts().validate_json(content)

    @property
    def _tools(self) -> Mapping[tuple[int, str], tuple[ToolStarted, ToolEnded | None]]:
        step = self._recall.past.step(self._step.path)
        return {} if step is None else step.tools

    def text(self, ended: ToolEnded) -> str:
        """What the model was told of a tool."""
        content = self._recall.text(ended.result)
        return "" if content is None else _texts().validate_json(content)

    def _saved(
        self, turn: int, reply: ChatReply, content: bytes, asked: Digest | None, messages: tuple[Digest | None, ...]
    ) -> None:
        recorder = self._step.recorder
        recorder.emit(
            CallSaved(
                at=recorder.now(),
                path=self._step.path,
                turn=turn,
                source="journal",
                model=reply.model,
                input_tokens=reply.input_tokens,
                output_tokens=reply.output_tokens,
                request=asked,
                messages=messages,
                reply=recorder.keep_json(content),
            )
        )


def recalled(step: Current) -> Recalled | None:
    """What the record has of the agent's step that runs here; `None` for a run that is new."""
    recall = step.state.recall
    return None if recall is None or recall.past.step(step.path) is None else Recalled(step, recall)


@cache
def _replies() -> TypeAdapter[ChatReply]:
    return TypeAdapter(ChatReply)


@cache
def _messages() -> TypeAdapter[Message]:
    return TypeAdapter(Message)


@cache
def _texts() -> TypeAdapter[str]:
    return TypeAdapter(str)
