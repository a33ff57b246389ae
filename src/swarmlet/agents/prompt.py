"""What a prompt function may return, and the messages that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

from swarmlet.errors import SwarmletError
from swarmlet.models.base import Image, Message

Prompt: TypeAlias = str | Image | Message | Sequence[str | Image | Message]
"""What a prompt function returns: text, an image, a message, or several; text and images side by side are one user message."""


def to_messages(instructions: str, prompt: Prompt, agent: str) -> tuple[Message, ...]:
    """The conversation that an agent starts with: its instructions first, so that prompts share a prefix."""
    parts: Sequence[object] = (prompt,) if isinstance(prompt, str | Image | Message) else prompt
    if not isinstance(parts, list | tuple):
        raise SwarmletError(f"the prompt of agent {agent!r} is {type(parts).__name__}; return text or messages")
    messages = [Message.system(instructions)] if instructions else []
    said: list[str | Image] = []
    for part in cast("Sequence[object]", parts):
        if isinstance(part, Message):
            _close(messages, said)
            messages.append(part)
        elif isinstance(part, str | Image):
            said.append(part)
        else:
            raise SwarmletError(f"the prompt of agent {agent!r} holds a {type(part).__name__}; return text or messages")
    _close(messages, said)
    if not messages:
        raise SwarmletError(f"the prompt of agent {agent!r} is empty, and it has no instructions")
    return tuple(messages)


def _close(messages: list[Message], said: list[str | Image]) -> None:
    if said:
        messages.append(Message.user(*said))
        said.clear()
