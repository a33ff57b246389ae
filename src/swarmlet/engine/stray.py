"""Cancellations that nobody meant for the step: what it awaited was cancelled by its owner, such as a pool that closes.

asyncio raises the same `CancelledError` for both, so such a step would look cancelled although nobody stops it. It has failed,
like a step whose connection broke.
"""

from __future__ import annotations

import math
import sys

import anyio

from swarmlet.errors import AwaitedCancelled


def stray_cancellation(error: BaseException) -> AwaitedCancelled | None:
    """The failure that `error` really is, if it is a cancellation that does not come from a cancel scope or `Task.cancel`."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return None
    if anyio.current_effective_deadline() == -math.inf:
        return None
    try:
        task = asyncio.current_task()
    except RuntimeError:  # another event loop, whose own cancellation is of another class
        task = None
    return None if task is not None and task.cancelling() else AwaitedCancelled()
