"""Who is next: waiters by priority, runs in turn, and each run's in the order in which they came.

Above it, `pace` takes the next one when there is room. It knows no limits and no clock.

* A higher priority goes first. A level that is passed over rises by one for every `AGING` turns that others had since it
  was last served, so even the lowest gets a turn now and then, and nothing starves.
* Within a level runs take turns; a run of weight 2 gets two turns for one of the others. (Each run carries a virtual
  time that its turns push on by `1 / weight`; the lowest is next. A newcomer starts one turn behind the present.)
* Within a run and a level it is first come, first served.

Adding, taking and leaving cost O(log runs) each, looking for the next O(levels): there should be a handful.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from itertools import count
from typing import Generic, Protocol, TypeVar, final

AGING = 16
"""Turns of others after which a level that is passed over counts as one priority higher."""
_SPARE = 64


class Waiter(Protocol):
    """What a queue needs to know of those who wait. They are told apart by identity."""

    @property
    def run(self) -> str:
        """Whose turn it takes."""
        ...

    @property
    def priority(self) -> int:
        """Higher goes first."""
        ...

    @property
    def weight(self) -> float:
        """How many turns its run gets for one of the others."""
        ...


W = TypeVar("W", bound=Waiter)


@final
class _Run(Generic[W]):
    __slots__ = ("time", "waiters")

    def __init__(self, time: float) -> None:
        self.time = time
        self.waiters: OrderedDict[int, W] = OrderedDict()


@final
class _Level(Generic[W]):
    """The waiters of one priority."""

    def __init__(self) -> None:
        self.runs: dict[str, _Run[W]] = {}
        self.turns: list[tuple[float, int, _Run[W]]] = []
        self.time = 0.0
        self.served = 0

    def first(self) -> W | None:
        while self.turns:
            time, _, run = self.turns[0]
            if run.waiters and run.time == time:
                return next(iter(run.waiters.values()))
            heapq.heappop(self.turns)  # it has left, or has had this turn
        return None

    def queue(self, run: _Run[W], order: int) -> None:
        if len(self.turns) > 2 * len(self.runs) + _SPARE:
            self.turns = [turn for turn in self.turns if turn[2].waiters and turn[2].time == turn[0]]
            heapq.heapify(self.turns)
        heapq.heappush(self.turns, (run.time, order, run))


@final
class FairQueue(Generic[W]):
    """Waiters in the order that the head of this file tells."""

    def __init__(self) -> None:
        self._levels: dict[int, _Level[W]] = {}
        self._order = count()
        self._turns = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, waiter: W) -> None:
        """Queue a waiter."""
        level = self._levels.get(waiter.priority)
        if level is None:
            level = self._levels[waiter.priority] = _Level()
            level.served = self._turns
        run = level.runs.get(waiter.run)
        if run is None:
            run = level.runs[waiter.run] = _Run(level.time + 1 / waiter.weight)
            level.queue(run, next(self._order))
        run.waiters[id(waiter)] = waiter
        self._size += 1

    def first(self) -> W | None:
        """The one who is next, who stays in the queue."""
        best: tuple[int, int] | None = None
        chosen: W | None = None
        for priority, level in self._levels.items():
            waiter = level.first()
            urgency = (priority + (self._turns - level.served) // AGING, priority)
            if waiter is not None and (best is None or urgency > best):
                best, chosen = urgency, waiter
        return chosen

    def take(self, waiter: W) -> None:
        """Serve a waiter: its run has had its turn."""
        level = self._levels[waiter.priority]
        run = level.runs[waiter.run]
        self._turns += 1
        level.served = self._turns
        level.time = max(level.time, run.time)
        run.time = level.time + 1 / waiter.weight
        self.remove(waiter)
        if run.waiters:
            level.queue(run, next(self._order))

    def remove(self, waiter: W) -> bool:
        """Let a waiter leave. False if it is not in the queue."""
        level = self._levels.get(waiter.priority)
        run = level.runs.get(waiter.run) if level else None
        if level is None or run is None or run.waiters.pop(id(waiter), None) is None:
            return False
        self._size -= 1
        if not run.waiters:
            del level.runs[waiter.run]
            if not level.runs:
                del self._levels[waiter.priority]
        return True
