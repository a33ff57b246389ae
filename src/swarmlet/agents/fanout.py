"""Run several async callables at once, a bounded number at a time, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar, cast, final

import anyio

from swarmlet.engine.driver import stopper
from swarmlet.engine.step import Unfinished

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Call(Protocol[T_co]):
    """Something to run, which may have to be cleared before: that takes as long as it takes, and is not bounded."""

    @property
    def clear(self) -> Callable[[], Awaitable[None]] | None:
        """Returns when it may run; `None` if it may run at once."""
        ...

    async def run(self) -> T_co:
        """Its result."""
        ...


async def all_of(calls: Sequence[Call[T]], *, at_once: int) -> list[T]:
    """The results in the order of `calls`. The first failure stops the others and is raised as it is, as is a stop.

    A call that waits for a person lets the others finish first.
    """
    if len(calls) == 1:
        (call,) = calls
        if call.clear is not None:
            await call.clear()
        return [await call.run()]
    return await _Several(calls, at_once).run()


@final
class _Several(Generic[T]):
    """Calls that run side by side."""

    def __init__(self, calls: Sequence[Call[T]], at_once: int) -> None:
        self._calls = calls
        self._at_once = at_once
        self._ready = deque(index for index, call in enumerate(calls) if call.clear is None)
        self._workers = 0
        self._results: list[T | None] = [None] * len(calls)
        self._failures: list[Exception] = []
        self._left: list[Unfinished] = []

    async def run(self) -> list[T]:
        stopped: BaseException | None = None
        try:
            async with anyio.create_task_group() as group:
                for index, call in enumerate(self._calls):
                    if call.clear is not None:
                        group.start_soon(self._clear, group, index, call.clear)
                for _ in range(min(self._at_once, len(self._ready))):
                    self._start(group)
        except BaseExceptionGroup as error:
            stopped = stopper(error)
        if stopped is not None:
            raise stopped
        if self._failures:
            raise self._failures[0]
        if self._left:
            raise self._left[0]
        return cast("list[T]", self._results)

    def _start(self, group: anyio.abc.TaskGroup) -> None:
        self._workers += 1
        group.start_soon(self._work, group)

    async def _clear(self, group: anyio.abc.TaskGroup, index: int, clear: Callable[[], Awaitable[None]]) -> None:
        if await self._done(group, clear):
            self._ready.append(index)
            if self._workers < self._at_once:
                self._start(group)

    async def _work(self, group: anyio.abc.TaskGroup) -> None:
        while self._ready:
            index = self._ready.popleft()

            async def run(index: int = index) -> None:
                self._results[index] = await self._calls[index].run()

            await self._done(group, run)
        self._workers -= 1

    async def _done(self, group: anyio.abc.TaskGroup, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether it went well. A failure stops everything, and is raised once it has."""
        try:
            await work()
        except Unfinished as why:
            self._left.append(why)
            return False
        except Exception as error:  # noqa: BLE001  # raised below, once everything has stopped
            self._failures.append(error)
            group.cancel_scope.cancel()
            return False
        return True
