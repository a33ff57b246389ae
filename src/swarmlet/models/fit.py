"""Making a conversation fit: what to leave out when the next request would be too long.

A fit is a function of messages and of the room there is; it changes nothing and says what it cut. It may be async: one that
asks a node for a summary is written on the floor of the agents, and called the same way.

    fitted = policy(messages, Room(limit=100_000, counter=counter_for(profile)))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from swarmlet.models.base import Message

if TYPE_CHECKING:
    from swarmlet.models.tokens.count import Counter

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
MARKER = "\n[... {} tokens left out ...]\n"


@dataclass(frozen=True, slots=True)
class Room:
    """How many tokens the messages may take, and how they are counted."""

    limit: int
    """Of the messages alone: the window less the reply, the tools and the reply schema."""
    counter: Counter

    def tokens(self, messages: Sequence[Message]) -> int:
        """What these messages take."""
        return sum(self.counter.message(message).tokens.estimate for message in messages)

    def holds(self, messages: Sequence[Message]) -> bool:
        """Whether they fit."""
        return self.tokens(messages) <= self.limit


@dataclass(frozen=True, slots=True)
class Cut:
    """One message that was dropped (`after` is 0) or shortened. It holds no text, so a trace may show it."""

    index: int
    """Its place among the messages as they were."""
    role: str
    before: int
    """Tokens."""
    after: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """The messages that are left, and what was cut. They may still be too long: a fit does what its rules allow."""

    messages: tuple[Message, ...]
    cuts: tuple[Cut, ...] = ()


Fit: TypeAlias = Callable[[tuple[Message, ...], Room], Fitted | Awaitable[Fitted]]
"""Makes messages fit: gives them cut to the room, as far as its rules allow. Await what it gives if it is awaitable.

It is no protocol, as mypy and ty do not look into a lambda where a protocol is wanted."""


@dataclass(frozen=True, slots=True)
class DropOldest:
    """Drops the oldest messages first, and no more of them than is needed.

    A message that calls tools goes together with their results, for the API refuses one without the other. The newest message
    (or call with its results) always stays; so do the system messages and, with `keep_task`, the first message of the user,
    which is what an agent was asked to do.
    """

    keep_system: bool = True
    keep_task: bool = True

    def __call__(self, messages: tuple[Message, ...], room: Room, /) -> Fitted:
        """The newest messages that fit."""
        sizes = [room.tokens([message]) for message in messages]
        excess = sum(sizes) - room.limit
        if excess <= 0:
            return Fitted(messages)
        dropped: set[int] = set()
        for block in self._droppable(messages):
            if excess <= 0:
                break
            dropped.update(block)
            excess -= sum(sizes[index] for index in block)
        left = tuple(message for index, message in enumerate(messages) if index not in dropped)
        return Fitted(left, tuple(Cut(index, messages[index].role, sizes[index], 0) for index in sorted(dropped)))

    def _droppable(self, messages: tuple[Message, ...]) -> list[range]:
        """What may go, oldest first."""
        task = next((index for index, message in enumerate(messages) if message.role == "user"), None)
        together = blocks(messages)
        return [
            block
            for block in together[:-1]
            if not (self.keep_system and messages[block.start].role == "system")
            and not (self.keep_task and block.start == task)
        ]


@dataclass(frozen=True, slots=True)
class Truncate:
    """Cuts the middle out of one message: the longest one, or the longest of the role `part` (`"tool"` for big results).

    The beginning and the end stay, half of the room each, with a marker between them that tells the model how much is
    missing. Cuts are made between tokens. Pictures stay. Less than `keep` tokens are never left of a text.
    """

    part: Role | Literal["longest"] = "longest"
    keep: int = 64

    def __call__(self, messages: tuple[Message, ...], room: Room, /) -> Fitted:
        """The messages, with at most one shortened."""
        excess = room.tokens(messages) - room.limit
        chosen = [index for index, message in enumerate(messages) if self.part in ("longest", message.role)]
        if excess <= 0 or not chosen:
            return Fitted(messages)
        index = max(chosen, key=lambda index: room.counter.text(_longest_text(messages[index])).estimate)
        before = room.tokens([messages[index]])
        shorter = self._shorten(messages[index], excess, room)
        after = room.tokens([shorter])
        if after >= before:
            return Fitted(messages)
        left = (*messages[:index], shorter, *messages[index + 1 :])
        return Fitted(left, (Cut(index, shorter.role, before, after),))

    def _shorten(self, message: Message, excess: int, room: Room) -> Message:
        text, counter = _longest_text(message), room.counter
        whole, target = counter.text(text).estimate, room.tokens([message]) - excess
        budget = whole - excess
        while True:
            budget = max(self.keep, budget)
            cut = _with_text(message, text, _middle_cut(text, whole, budget, counter))
            over = room.tokens([cut]) - target
            if over <= 0 or budget <= self.keep:
                return cut
            budget -= over


def blocks(messages: Sequence[Message]) -> list[range]:
    """The messages that belong together, by index: a message that calls tools and all their results, or a single message."""
    found: list[range] = []
    for index, message in enumerate(messages):
        if message.role == "tool" and found and messages[found[-1].start].tool_calls:
            found[-1] = range(found[-1].start, index + 1)
        else:
            found.append(range(index, index + 1))
    return found


def _middle_cut(text: str, whole: int, budget: int, counter: Counter) -> str:
    """The text with about `budget` tokens left of its `whole`, marker included."""
    marker = MARKER.format(f"{max(0, whole - budget):,}")
    each = max(0, budget - counter.text(marker).estimate)
    return counter.head(text, each - each // 2) + marker + counter.tail(text, each // 2)


def _longest_text(message: Message) -> str:
    parts = (message.content,) if isinstance(message.content, str) else message.content
    return max((part for part in parts if isinstance(part, str)), key=len, default="")


def _with_text(message: Message, old: str, new: str) -> Message:
    if isinstance(message.content, str):
        return replace(message, content=new)
    at = message.content.index(old)
    return replace(message, content=(*message.content[:at], new, *message.content[at + 1 :]))
