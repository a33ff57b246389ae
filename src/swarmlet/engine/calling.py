"""How a user's function is called: in a context of its own, on the event loop or in a worker thread."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, cast

import anyio
import anyio.to_thread

from swarmlet.engine.isolate import in_context

if TYPE_CHECKING:
    from contextvars import Context


async def call_async(call: Callable[[], object], context: Context) -> object:
    """Await an async function in `context`."""
    return await in_context(context, cast("Coroutine[object, object, object]", context.run(call)))


async def call_in_thread(call: Callable[[], object], context: Context, left: Callable[[], None]) -> object:
    """Run a sync function in a worker thread, in `context`.

    A thread cannot be stopped. Where the caller is cancelled while the function runs, `left` is told, and it runs on.
    """
    began = False

    def boxed() -> tuple[object]:
        nonlocal began
        began = True
        return (call(),)  # in a tuple, as trio refuses a bare coroutine

    try:
        (value,) = await anyio.to_thread.run_sync(context.run, boxed, abandon_on_cancel=True)
    except BaseException as error:
        if began and not isinstance(error, Exception):  # cancelled, or the program is stopped
            left()
        raise
    return await in_context(context, value) if inspect.iscoroutine(value) else value
