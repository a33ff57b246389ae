"""Watching steps while they run: which have begun, which were stopped, which are still alive."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn, final

import anyio


@final
class Watch:
    """A log of what goes on inside the steps of a test."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.stopped: list[str] = []
        self.alive: set[str] = set()
        self.most = 0
        """How many were alive at once, at most."""
        self._changed = anyio.Event()

    @contextmanager
    def over(self, name: str) -> Generator[None]:
        """Around the body of a step."""
        self.begun.append(name)
        self.alive.add(name)
        self.most = max(self.most, len(self.alive))
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        try:
            yield
        except anyio.get_cancelled_exc_class():
            self.stopped.append(name)
            raise
        finally:
            self.alive.discard(name)

    async def forever(self, name: str) -> NoReturn:
        """A step that never ends by itself."""
        with self.over(name):
            await anyio.sleep_forever()
        raise AssertionError(name)

    async def until_begun(self, *names: str) -> None:
        """Wait until all of these have begun."""
        while not set(names).issubset(self.begun):
            await self._changed.wait()
