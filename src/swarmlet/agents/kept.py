"""What is left of a conversation for whoever goes on with it: all of it, but for what `fit=` has cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from swarmlet.models.base import Message

    Messages: TypeAlias = tuple[Message, ...]
    Change: TypeAlias = tuple[Messages, Messages]
    """The messages of a request before and after a policy has cut them."""


def kept_of(chat: Messages, opening: Messages, said: Messages, changes: Sequence[Change], now: Messages) -> Messages:
    """The conversation `chat` with what was `said`, cut and summed up as the messages are `now`, so that it is not done again.

    A prompt function made the `opening` of it. What that added is left out, as it adds it again; what it left out is kept.
    Messages are told by what they say: after a resume, those of the record are other objects.
    """
    if now == (*opening, *said):
        return (*chat, *said)
    added = Counter(opening) - Counter(chat)
    for change in changes:
        _follow(added, change)
    sent: list[Message] = []
    for message in now:
        if added[message]:
            added[message] -= 1
        else:
            sent.append(message)
    return _with_unsent(sent, (*chat, *said), Counter(chat) - Counter(opening))


def _follow(added: Counter[Message], change: Change) -> None:
    """What the prompt function added is its own also where it was shortened in its place."""
    before, after = change
    for old, new in zip(before, after, strict=True) if len(before) == len(after) else ():
        if old != new and added[old]:
            added[old] -= 1
            added[new] += 1


def _with_unsent(sent: Sequence[Message], whole: Messages, unsent: Counter[Message]) -> Messages:
    """The messages with those among them that the prompt function did not send, where they stood in the `whole`."""
    if not unsent:
        return tuple(sent)
    kept: list[Message] = []
    new: list[Message] = []
    at = 0

    def passed(end: int) -> list[Message]:
        return [one for one in whole[at:end] if _take(unsent, one)]

    for message in sent:
        try:
            found = whole.index(message, at)
        except ValueError:  # a summary: it stands for what comes right before the next one
            new.append(message)
            continue
        kept += [*passed(found), *new, message]
        new.clear()
        at = found + 1
    return (*kept, *passed(len(whole)), *new)


def _take(unsent: Counter[Message], message: Message) -> bool:
    wanted = unsent[message] > 0
    if wanted:
        unsent[message] -= 1
    return wanted
