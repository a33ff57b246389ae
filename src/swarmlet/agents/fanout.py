"""Run several async callables at once, a bounded number at a time, results in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

import anyio

from swarmlet.engine.driver import stopper
from swarmlet.engine.step import Unfinished

T = TypeVar("T")


async def all_of(calls: Sequence[Callable[[], Awaitable[T]]], *, at_once: int) -> list[T]:
    """The results in the order of `calls`. The first failure stops the others and is raised as it is, as is a stop.

    A call that waits for a person lets the others finish first.
    """
    if len(calls) == 1:
        return [await calls[0]()]
    results: list[T | None] = [None] * len(calls)
    failures: list[Exception] = []
    left: list[Unfinished] = []
    stopped: BaseException | None = None
    waiting = iter(range(len(calls)))

    async def worker(scope: anyio.CancelScope) -> None:
        for index in waiting:
            try:
                results[index] = await calls[index]()
            except Unfinished as why:
                left.append(why)
            except Exception as error:  # noqa: BLE001  # raised below, once everything has stopped
                failures.append(error)
                scope.cancel()
                return

    try:
        async with anyio.create_task_group() as group:
            for _ in range(min(at_once, len(calls))):
                group.start_soon(worker, group.cancel_scope)
    except BaseExceptionGroup as error:
        stopped = stopper(error)
    if stopped is not None:
        raise stopped
    if failures:
        raise failures[0]
    if left:
        raise left[0]
    return cast("list[T]", results)
