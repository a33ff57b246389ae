"""What the tests of caches share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from swarmlet.models.base import ChatReply
from swarmlet.models.cache import ReplyCache

HELLO = ChatReply(text="hello", input_tokens=1000, cached_tokens=200, output_tokens=50, service_tier="default", model="m")


@asynccontextmanager
async def opened(cache: ReplyCache) -> AsyncGenerator[ReplyCache]:
    with anyio.fail_after(20):
        await cache.ready()
        try:
            yield cache
        finally:
            await cache.aclose()


def reply_of(size: int) -> ChatReply:
    return ChatReply(text="x" * size)
