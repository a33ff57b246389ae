"""Making a conversation fit its model's window before a call, by the policies that the agent names (`fit=`)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast, final

import anyio.to_thread

from swarmlet.agents.counting import count, counter_of
from swarmlet.engine.context import current
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.models.base import Message
from swarmlet.models.fit import Cut, DropOldest, Fit, Fitted, Room, Truncate, blocks

if TYPE_CHECKING:
    from swarmlet.agents.kept import Change
    from swarmlet.models.base import ChatRequest
    from swarmlet.models.profiles import Profile


@final
@dataclass(frozen=True, slots=True)
class Fitting:
    """A request that was made to fit, and how."""

    request: ChatRequest
    cuts: tuple[Cut, ...] = ()
    changes: tuple[Change, ...] = ()
    """What each policy has made of the messages, if it has changed any."""


async def fitted(request: ChatRequest, policies: Sequence[Fit], profile: Profile, window: int | None = None) -> Fitting:
    """The request, cut by the policies in their order until it fits the window beside its reply.

    That is the model's window, or a smaller one that the agent has. It may still be too long: a policy does what its rules
    allow. The check before the call says so then of the model's window; the agent's own is no more than an aim.
    """
    windows = [one for one in (window, profile.context_window) if one is not None]
    if not policies or not windows:
        return Fitting(request)
    counter = await counter_of(profile)
    counted = await count(request, profile)
    limit = min(windows) - request.max_tokens
    if counted.worst <= limit:
        return Fitting(request)
    around = counted.estimate - sum(message.tokens.estimate for message in counted.messages)
    room = Room(limit - around, counter)
    messages = request.messages
    cuts: tuple[Cut, ...] = ()
    changes: list[Change] = []
    for policy in policies:
        if room.holds(messages):
            break
        result = await _cut(policy, messages, room)
        if result.messages != messages:
            changes.append((messages, result.messages))
        messages, cuts = result.messages, (*cuts, *result.cuts)
    return Fitting(replace(request, messages=messages), cuts, tuple(changes))


async def _cut(policy: Fit, messages: tuple[Message, ...], room: Room) -> Fitted:
    """What the policy makes of the messages. One of ours counts text again and again, so it does that in a thread."""
    if isinstance(policy, DropOldest | Truncate):
        return await anyio.to_thread.run_sync(policy, messages, room)
    found = policy(messages, room)
    return await found if inspect.isawaitable(found) else found


@final
@dataclass(frozen=True, slots=True)
class Summarise:
    """Has a node, an agent say, sum up the oldest messages in place of them.

    `by` takes the text of the messages and gives a text. System messages and the last `keep` messages stay as they are; a
    message that calls tools stays together with their results. The summary is run as a step below the agent's.
    """

    by: Callable[[str], str | Coroutine[Any, Any, str]]  # Any: what a coroutine sends is unused
    keep: int = 6

    async def __call__(self, messages: tuple[Message, ...], room: Room, /) -> Fitted:
        """The messages, with one summary in the place of the oldest."""
        old = [
            index
            for block in blocks(messages)
            if block.stop <= len(messages) - self.keep
            for index in block
            if messages[index].role != "system"
        ]
        if not old:
            return Fitted(messages)
        node = cast("Node[[str], str]", as_node(self.by, "Summarise", "by"))
        said = "\n\n".join(f"{messages[index].role}: {_told(messages[index])}" for index in old)
        summary = Message.user(f"Summary of the conversation so far:\n{await current().run(node, said)}")
        left = [message for index, message in enumerate(messages) if index not in set(old)]
        left.insert(next((at for at, message in enumerate(left) if message.role != "system"), len(left)), summary)
        after = room.tokens([summary])
        cuts = [
            Cut(index, messages[index].role, room.tokens([messages[index]]), after if index == old[0] else 0) for index in old
        ]
        return Fitted(tuple(left), tuple(cuts))


def _told(message: Message) -> str:
    calls = "".join(f"\n(calls {call.name} with {call.arguments})" for call in message.tool_calls)
    return message.text + calls
