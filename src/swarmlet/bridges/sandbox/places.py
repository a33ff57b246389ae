"""How many programs may run at the same time."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.lowlevel import RunVar


class Places:
    """A limit for each event loop: a limiter belongs to the loop that waits on it, and a sandbox may serve several."""

    def __init__(self, at_once: int | None) -> None:
        if at_once is not None and (type(at_once) is not int or at_once < 1):
            raise ValueError(f"at_once= is how many programs may run at the same time, 1 or more, not {at_once!r}")
        self.at_once: int = at_once or os.cpu_count() or 1
        self._limiter: RunVar[anyio.CapacityLimiter] = RunVar("swarmlet.sandbox")

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """Wait for a place, and have it."""
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(self.at_once)
            self._limiter.set(limiter)
        async with limiter:
            yield
