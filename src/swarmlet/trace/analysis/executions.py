"""Each time that a step was executed, in order and on one clock, also where several processes had the run.

A step is executed more than once if a step around it is tried again, or if it failed and the run was resumed. One that a
process has left unfinished, and that the next one went on with, is one execution with a pause inside.

Clocks of processes differ, so no process begins before the end of the one before; and what a worker has recorded lies within
the step that it was done for. Times here are seconds since the run began.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from swarmlet.trace.events import Answered, CallEnded, RunEnded, RunResumed, StepEnded, StepStarted, ToolEnded

if TYPE_CHECKING:
    from swarmlet.trace.analysis.activity import Span
    from swarmlet.trace.events import Event
    from swarmlet.trace.records import StepRecord

LEFT: Final = frozenset({"lost", "suspended", "drained", "running"})
"""States in which an execution is left, so that it can be gone on with."""
ROUNDING: Final = 1e-6
"""Seconds by which sums and differences of times may be off: seconds since 1970 are kept to a quarter of a microsecond."""
RUN: Final = -1
"""Stands for the run itself, as what is around the outermost executions."""


@final
@dataclass(slots=True, eq=False)
class Execution:
    """One execution of a step."""

    index: int
    path: str
    node: str
    inside: int
    """The execution around it, by index; `RUN` for none."""
    ready: float
    start: float
    end: float
    first: int
    """The place of its beginning among the events."""
    last: int
    """The place of its end among the events."""
    state: str = "running"
    place_waited: float = 0.0
    scheduled: bool = False
    """Whether a graph started it, not the code of the step around it."""
    pauses: tuple[tuple[float, float, float], ...] = ()
    """When it had begun, was left, and was gone on with."""

    @property
    def counts(self) -> bool:
        """Whether something may have waited for its end: not where it was ended from outside."""
        return self.state in ("finished", "failed", "running")


@final
class Timeline:
    """The executions of a run. `end` is the run's end, or its last event's time."""

    def __init__(self, events: tuple[Event, ...], root: StepRecord) -> None:
        self.executions: list[Execution] = []
        self.away: list[Span] = []
        """When no process had the run, and when the answer of a person was what it waited for."""
        self.by_path: dict[str, list[Execution]] = {}
        self.above: Mapping[str, str] = _above(root)
        self._around = _around(root)
        self._origin = events[0].at if events else 0.0
        self._floor: float = 0.0
        self._ends: list[float] = []
        """When steps ended, as far as the events were taken."""
        self._real: float = 0.0
        self._suspended: bool = False
        self._answered: float | None = None
        for number, event in enumerate(events):
            self._take(number, event)
        self.end: float = max(self._floor, events[-1].at - self._origin) if events else 0.0
        if self._suspended and isinstance(events[-1], Answered):
            self._gap(self.end)
        self._close_all(len(events))
        self._keep_within()

    def clock(self, at: float) -> float:
        """A time of an event, as seconds since the run began."""
        return at - self._origin

    def _take(self, number: int, event: Event) -> None:
        at = max(event.at - self._origin, self._floor)
        match event:
            case StepStarted():
                self._begin(number, event, at)
            case StepEnded():
                self._ended(number, event, at)
                if event.state == "lost":
                    return
            case RunEnded():
                self._suspended = event.state == "suspended"
                self._answered = None
            case RunResumed():
                self._resume(number, at)
            case Answered():
                self._answered = at
                return
            case CallEnded() | ToolEnded() if event.state == "lost":
                return
            case _:
                pass
        self._real = max(self._real, at)

    def _begin(self, number: int, event: StepStarted, at: float) -> None:
        known = self.by_path.get(event.path)
        inside = self._inside(event.path)
        if known:
            before = known[-1]
            if before.state in LEFT and before.inside == inside:
                left = min(before.end, at) if before.last < number else self._real
                begun = before.pauses[-1][2] if before.pauses else before.start
                before.pauses = (*before.pauses, (begun, left, at))
                before.state, before.last = "running", number
                return
        else:
            known = self.by_path[event.path] = []
        ready = self._exactly(max(at - event.waited, self._floor))
        one = Execution(
            index=len(self.executions),
            path=event.path,
            node=event.node,
            inside=inside,
            ready=ready,
            start=at,
            end=at,
            first=number,
            last=number,
            place_waited=event.place_waited,
            scheduled=event.waited > 0,
        )
        known.append(one)
        self.executions.append(one)

    def _exactly(self, ready: float) -> float:
        """A difference of two times is rounded: it must not come before the end of the step that it was the end of."""
        count = bisect_right(self._ends, ready + ROUNDING)
        return max(ready, self._ends[count - 1]) if count else ready

    def _inside(self, path: str) -> int:
        around = self._around.get(path)
        known = self.by_path.get(around) if around is not None else None
        return known[-1].index if known else RUN

    def _ended(self, number: int, event: StepEnded, at: float) -> None:
        self._ends.append(at)
        if known := self.by_path.get(event.path):
            one = known[-1]
            one.end = max(one.start, self._real if event.state == "lost" else at)
            one.state, one.last = event.state, number

    def _resume(self, number: int, at: float) -> None:
        for one in self.executions:
            if one.state == "running":
                one.end, one.state, one.last = max(one.start, self._real), "lost", number
        self._gap(at)
        self._floor = max(at, self._real)
        self._suspended, self._answered = False, None

    def _gap(self, until: float) -> None:
        answered = self._answered
        if self._suspended and answered is not None and answered > self._real:
            answered = min(answered, until)
            self.away.append((self._real, answered, "person"))
            self.away.append((answered, until, "away"))
        elif until > self._real:
            self.away.append((self._real, until, "away"))

    def _close_all(self, number: int) -> None:
        for one in self.executions:
            if one.state == "running":
                one.end, one.last = max(self.end, one.start), number

    def _keep_within(self) -> None:
        for one in self.executions:
            around = self.executions[one.inside] if one.inside != RUN else None
            low, high = (around.start, around.end) if around is not None else (0.0, self.end)
            one.start = min(max(one.start, low), high)
            one.end = min(max(one.end, one.start), high)
            one.ready = min(max(one.ready, low), one.start)


def _above(root: StepRecord) -> dict[str, str]:
    """The path above each path."""
    return {child.path: step.path for step in root.walk() for child in step.children}


def _around(root: StepRecord) -> dict[str, str]:
    """The nearest executed step above each path."""
    found: dict[str, str] = {}
    for step in root.walk():
        around = step.path if step.started else found.get(step.path)
        if around is not None:
            for child in step.children:
                found[child.path] = around
    return found
