"""What a scripted server has seen, kept so that any thread may read it and wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

import anyio
import anyio.from_thread

from swarmlet.testing.requests import Request


@dataclass(eq=False)
class Flight:
    """One request between its arrival and the end of its answer."""

    request: Request
    dropped: bool = False
    """Whether the client closed the connection before the answer was complete."""


class Record:
    """Requests, those in flight, those dropped, and the problems a test must hear of."""

    def __init__(self) -> None:
        self.changed: Condition = Condition()
        self.requests: list[Request] = []
        self.disconnects: list[Request] = []
        self.problems: list[str] = []
        self.causes: list[BaseException] = []
        self.in_flight: int = 0
        self.max_in_flight: int = 0
        self._barriers: list[tuple[int, anyio.Event]] = []

    # --- written in the server's thread

    @contextmanager
    def flight(self, request: Request) -> Generator[Flight]:
        """Count `request` as in flight while the body runs, and as a disconnect if it was dropped."""
        flight = Flight(request)
        with self.changed:
            self.requests.append(request)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self.changed.notify_all()
        self._open_barriers()
        try:
            yield flight
        finally:
            with self.changed:
                self.in_flight -= 1
                if flight.dropped:
                    self.disconnects.append(request)
                self.changed.notify_all()

    def problem(self, sentence: str, cause: BaseException | None = None) -> None:
        """Keep what must fail the test, with the exception behind it if there is one."""
        with self.changed:
            self.problems.append(sentence)
            if cause is not None:
                self.causes.append(cause)
            self.changed.notify_all()

    async def overlap(self, n: int) -> None:
        """Wait until `n` requests are in flight at once."""
        if self.in_flight >= n:
            return
        barrier = (n, anyio.Event())
        self._barriers.append(barrier)
        try:
            await barrier[1].wait()
        finally:
            self._barriers.remove(barrier)

    def _open_barriers(self) -> None:
        for n, bell in self._barriers:
            if self.in_flight >= n:
                bell.set()

    # --- read in any thread

    def wait(self, met: Callable[[], bool], timeout: float) -> bool:
        """Block until `met()`; whether it came true within `timeout` seconds of real time."""
        with self.changed:
            return self.changed.wait_for(met, timeout)

    def wait_in_worker(self, met: Callable[[], bool], timeout: float) -> bool:
        """Do as `wait` does, in a worker thread of anyio, and leave soon when the caller is cancelled."""
        deadline = time.monotonic() + timeout
        while not self.wait(met, 0.02):
            anyio.from_thread.check_cancelled()
            if time.monotonic() > deadline:
                return False
        return True
