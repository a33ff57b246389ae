"""Calls of a blocking client in worker threads: the same on asyncio and trio, with one client to test and to trust."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, final

import anyio
import anyio.to_thread

T = TypeVar("T")


@final
class Threads:
    """At most `count` calls at once, in threads of their own account: user code never waits for them, nor they for it.

    A call that has begun is waited for, also when its task is cancelled, because it may have charged something.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._limiter: anyio.CapacityLimiter | None = None

    async def call(self, function: Callable[[], T]) -> T:
        """Run `function` in a thread. Its timeouts are its client's."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._count)
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)
