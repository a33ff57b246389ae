"""Counting requests without holding the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

if TYPE_CHECKING:
    from swarmlet.models.base import ChatRequest
    from swarmlet.models.profiles import Profile
    from swarmlet.models.tokens import Count, Counter

_QUICK = 20_000
"""Characters that are counted in about ten milliseconds at most; more go to a worker thread."""
_counters: dict[tuple[str, str | None], Counter] = {}


async def counter_of(profile: Profile) -> Counter:
    """The counter for a model. The first call of a process loads the vocabulary, in a worker thread."""
    kind = profile.name, profile.tokenizer
    counter = _counters.get(kind)
    if counter is None:
        from swarmlet.models.tokens import counter_for  # the first call needs it, and no import of swarmlet

        counter = _counters[kind] = await anyio.to_thread.run_sync(counter_for, profile)
    return counter


async def count(request: ChatRequest, profile: Profile) -> Count:
    """What the request costs as a prompt."""
    counter = await counter_of(profile)
    if _characters(request) > _QUICK and counter.unseen(request) > _QUICK:
        return await anyio.to_thread.run_sync(counter.count, request)
    return counter.count(request)


def _characters(request: ChatRequest) -> int:
    """At most so many are new."""
    return sum(len(message.text) + sum(len(call.arguments) for call in message.tool_calls) for message in request.messages)
