"""A door that replies wait at and that the test opens, from whatever thread or event loop it runs in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import final


@final
class Gate:
    """A door for `Held` (the whole reply waits) and `Paced` (each event of a stream waits).

    `open()` opens it for good, `open(1)` lets the next one through and stays closed behind it. It may be
    called before or after anything waits, and never blocks.

        gate = Gate()
        server.script(Held("late", gate))
        ...                                  # the request is in flight
        gate.open()
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._passes = 0
        self._is_open = False
        self._waiting: deque[Callable[[], object]] = deque()

    def open(self, passes: int | None = None) -> None:
        """Let everyone through from now on, or only the next `passes` who come."""
        with self._lock:
            self._is_open = self._is_open or passes is None
            self._passes += passes or 0
            waiting = tuple(self._waiting)
        for wake in waiting:
            wake()

    async def passing(self) -> None:
        """Wait until this gate lets one through. Called by the server, in its own event loop."""
        # The server's thread always runs asyncio, and this is asyncio's one thread-safe, non-blocking call.
        loop = asyncio.get_running_loop()
        bell = asyncio.Event()
        wake = partial(loop.call_soon_threadsafe, bell.set)
        with self._lock:
            self._waiting.append(wake)
        try:
            while not self._take_pass():
                await bell.wait()
                bell.clear()
        finally:
            with self._lock:
                self._waiting.remove(wake)

    def _take_pass(self) -> bool:
        with self._lock:
            if self._is_open:
                return True
            if self._passes:
                self._passes -= 1
                return True
            return False
