"""Something that goes on beside the work, until the work is done. What fails comes out as it is, and not in a group."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

from swarmlet.engine.driver import stopper

T = TypeVar("T")


# Any: what a coroutine is sent is the event loop's
async def beside(aside: Callable[[], Coroutine[Any, Any, object]], work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of `work`, while `aside` runs. When this returns or raises, neither is alive."""
    results: list[T] = []
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(aside)
            results.append(await work())
            group.cancel_scope.cancel("the work is done")
    except BaseExceptionGroup as error:
        raise stopper(error) from None
    return results[0]
