"""Bounds on how many steps run at once under a node (`concurrency=`), and a step's place behind them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, final

import anyio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swarmlet.policy.options import Gate


def gate(places: int) -> Gate:
    """A bound for one execution of a node. Whoever waits is let through in the order of coming."""
    return anyio.Semaphore(places, fast_acquire=True)


@final
class Lease:
    """A step's place behind every bound around it.

    While the step waits for nodes that it has started itself, its place is lent to them: with `concurrency=1` it would
    otherwise wait for ever for a step that waits for its place.
    """

    def __init__(self, gates: Sequence[Gate]) -> None:
        self._gates = gates
        self._held = False
        self._children = 0
        self._again = anyio.Lock(fast_acquire=True)

    async def take(self) -> None:
        """Wait for a place behind every bound, the nearest first: nobody holds a wide one while waiting for a narrow one."""
        passed: list[Gate] = []
        try:
            for one in self._gates:
                await one.acquire()
                passed.append(one)
        except BaseException:
            for one in passed:
                one.release()
            raise
        self._held = True

    def give(self) -> None:
        """Give the place back."""
        if self._held:
            self._held = False
            for one in self._gates:
                one.release()

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[None, None]:
        """Lend the place to a node that the step waits for, and wait for a place again afterwards."""
        self._children += 1
        self.give()
        try:
            yield
        finally:
            self._children -= 1
            if not self._children:
                await self._take_again()

    async def keep(self) -> None:
        """Have the place again, if waiting for it was given up when a child was."""
        if not self._held and not self._children:
            await self._take_again()

    async def _take_again(self) -> None:
        async with self._again:  # a place that the end of another child waits for already must not be taken twice
            if not self._held and not self._children:
                await self.take()
            if self._has_children():  # started while this waited for a place
                self.give()

    def _has_children(self) -> bool:
        return self._children > 0
