"""What a cache of replies is: which requests are the same, which replies are kept, and what one of them saves.

    key = request_key(endpoint_of(model), request)
    reply = await find(cache, key, request)      # or: make the call, then `await cache.put(key, reply)`

Only requests that the user asked to cache get here; samples that must be independent never do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from swarmlet.models.base import ChatReply, ChatRequest

if TYPE_CHECKING:
    from swarmlet.models.base import ChatModel
    from swarmlet.models.profiles import Profile

_FORMAT: Final = 1
"""Raised when keys are made in another way, so that old ones are not found again."""

_FINISHED: Final = frozenset({"stop", "tool_calls"})

_NO_MATTER: Final = frozenset({"max_tokens", "cache_key"})
"""Fields of a request that do not change what a whole reply says. Every other field, also one added later, is in the key."""


def request_key(endpoint: str, request: ChatRequest) -> str:
    """Names a request by all that can change its reply: 32 hex digits, the same in every process and Python version.

    `endpoint` says who is asked: see `endpoint_of`. The order of a schema's properties counts, because models write fields
    in that order. A picture counts by its address, not by what is found there. The cap on the reply is not in the key: models
    do not know it, and whether a kept reply fits one is asked by `fits`.
    """
    settings = {one.name: getattr(request, one.name) for one in fields(request) if one.name not in _NO_MATTER}
    if request.temperature is not None:
        settings["temperature"] = float(request.temperature) + 0.0  # 1 is 1.0, and -0.0 is 0.0
    text = json.dumps([_FORMAT, endpoint, settings], default=_plain, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise TypeError(f"{type(value).__name__} cannot be part of a request")


def endpoint_of(model: ChatModel) -> str:
    """Who answers: the server and its model, with what the profile adds to requests. Holds no key.

    A model that has no `endpoint` of its own is told apart by its class and name.
    """
    kind = type(model)
    where: object = getattr(model, "endpoint", None) or f"{kind.__module__}.{kind.__qualname__}:{model.name}"
    profile = model.profile
    return json.dumps([str(where), profile.sampling, profile.reasoning_effort])


def keepable(reply: ChatReply) -> bool:
    """Whether a reply may answer later requests: it is whole, and no refusal, for asking again may give an answer."""
    return reply.finish_reason in _FINISHED and not reply.refusal


def fits(reply: ChatReply, request: ChatRequest) -> bool:
    """Whether a whole reply could have been the answer to `request`: a smaller cap would have cut it off."""
    return keepable(reply) and reply.output_tokens <= request.max_tokens


def will_do(reply: ChatReply, cap: int, request: ChatRequest) -> bool:
    """Whether what one caller got under its `cap` is what another would get for the same `request`: for single flight.

    A reply that was cut off is, where the other's cap is no larger. A refusal is: both asked in the same moment.
    """
    if reply.finish_reason == "length":
        return request.max_tokens <= cap
    return reply.output_tokens <= request.max_tokens


@dataclass(frozen=True, slots=True)
class Saved:
    """What a reply would have cost, had it not been there: what it cost when it was made."""

    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal | None = None
    """`None` where the price is not known."""


def saved_by(reply: ChatReply, profile: Profile) -> Saved:
    """What a reply from a cache, or from another caller's flight, saves."""
    usd = profile.usd(reply.service_tier, reply.input_tokens, reply.cached_tokens, reply.output_tokens)
    return Saved(reply.input_tokens, reply.output_tokens, usd)


def as_free(reply: ChatReply) -> ChatReply:
    """The reply as one that cost nothing: for the usage of whoever was given it."""
    return replace(reply, input_tokens=0, cached_tokens=0, output_tokens=0, first_token=None, limits=None)


class ReplyCache(Protocol):
    """Keeps replies by the key of their request. Nothing but `ready` may raise: no run fails because of a cache.

    Several swarms may share one: each calls `ready` once before, and `aclose` once after.
    """

    async def ready(self) -> None:
        """Open what must be opened. Raises a `JournalError` in a sentence if it cannot be used."""
        ...

    async def get(self, key: str) -> ChatReply | None:
        """The reply that was kept for this key, if it still is."""
        ...

    async def put(self, key: str, reply: ChatReply) -> None:
        """Keep a reply, if it is `keepable`. Finishes also when it is cancelled, because the reply was paid for."""
        ...

    async def drop(self, key: str) -> None:
        """Forget a reply: it has led to nothing, and should not do so again."""
        ...

    async def aclose(self) -> None:
        """Close what was opened."""
        ...


async def find(replies: ReplyCache, key: str, request: ChatRequest) -> ChatReply | None:
    """The kept reply for a request, if there is one that fits it."""
    reply = await replies.get(key)
    return reply if reply is not None and fits(reply, request) else None


def written(reply: ChatReply) -> bytes | None:
    """A reply as JSON; `None` if it is not to be kept."""
    if not keepable(reply):
        return None
    try:
        return _adapter().dump_json(replace(reply, first_token=None), exclude_defaults=True)
    except PydanticSerializationError:  # half a surrogate pair, which some servers do send
        return None


def read(content: bytes) -> ChatReply | None:
    """The reply that was written; `None` if it was not written by us, or is none that may be kept."""
    try:
        reply = _adapter().validate_json(content)
    except ValueError:
        return None
    return reply if keepable(reply) else None


@cache
def _adapter() -> TypeAdapter[Any]:  # Any: of ChatReply, which mypy would have written as a type argument at run time
    return TypeAdapter(ChatReply)
