"""Calls that need not be made: their reply is in the swarm's cache, or another step is just making the same call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from swarmlet.models.cache import as_free, endpoint_of, find, request_key, saved_by, will_do
from swarmlet.models.flight import SingleFlight
from swarmlet.policy.retry import transient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swarmlet.models.base import ChatModel, ChatReply, ChatRequest
    from swarmlet.models.cache import ReplyCache, Saved


@final
@dataclass(frozen=True, slots=True)
class Sent:
    """What a call gave that was made, and the completion cap that it had."""

    reply: ChatReply
    cap: int


@final
@dataclass(slots=True)
class Replies:
    """What the runs of a swarm share of replies: the calls that are being made, and the replies that are kept."""

    cache: ReplyCache | None = None
    flight: SingleFlight[Sent] = field(default_factory=lambda: SingleFlight[Sent](transient))
    """Shares what the endpoint says to all; what it says of one request may be for that caller's cap."""

    async def find(self, model: ChatModel, request: ChatRequest) -> tuple[ChatReply, Saved] | None:
        """The kept reply for a request, as one that costs nothing, and what that saves."""
        if self.cache is None:
            return None
        reply = await find(self.cache, request_key(endpoint_of(model), request), request)
        return None if reply is None else (as_free(reply), saved_by(reply, model.profile))

    async def make(
        self, model: ChatModel, request: ChatRequest, pay: Callable[[], Awaitable[Sent]]
    ) -> tuple[ChatReply, Saved | None]:
        """The reply of `pay`, or of somebody else's same call that is being made: then with what that saves."""
        key = request_key(endpoint_of(model), request)

        async def pay_and_keep() -> Sent:
            sent = await pay()
            if self.cache is not None:  # while the flight goes on: who asks next finds either the flight or the reply
                await self.cache.put(key, sent.reply)
            return sent

        landed = await self.flight.do(
            key, pay_and_keep, accepts=lambda sent: _whole(sent) and will_do(sent.reply, sent.cap, request)
        )
        reply = landed.value.reply
        return (as_free(reply), saved_by(reply, model.profile)) if landed.shared else (reply, None)

    async def forget(self, model: ChatModel, requests: list[ChatRequest]) -> None:
        """Forget replies that have led to nothing, so that a later run does not fail over them again for free."""
        if self.cache is not None:
            for request in requests:
                await self.cache.drop(request_key(endpoint_of(model), request))


def _whole(sent: Sent) -> bool:
    return sent.reply.finish_reason != "length"
