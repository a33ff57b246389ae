"""What many runs did, node by node: read from the journal one run after the other, and only what is counted.

Memory holds one run's events at a time, and three numbers for each step. Percentiles are exact, by sorting.
"""

from __future__ import annotations

import math
import re
import sys
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final, final

from swarmlet.trace.events import CallEnded, Event, StepEnded, StepRetried, StepStarted, ToolStarted
from swarmlet.trace.journal.packing import STEPS, read_row
from swarmlet.trace.record import call_usage
from swarmlet.trace.records import parent_path
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from swarmlet.trace.events import Digest
    from swarmlet.trace.journal import Journal, RunSummary

_KINDS: Final = frozenset({STEPS, "step_started", "step_ended", "step_retried", "call_ended", "tool_started"})
_INDEX: Final = re.compile(r"\[\d+\]")
_EVERY: Final = 0.2
"""Seconds between two lines that tell how far it is."""


def _doubles() -> array[float]:
    return array("d")


@final
@dataclass(slots=True)
class NodeCount:
    """What the steps of one node took and cost in many runs. Tokens and USD are of their own calls, so that nodes add up."""

    node: str
    runs: int = 0
    steps: int = 0
    """That have ended."""
    failed: int = 0
    calls: int = 0
    """Attempts of model calls."""
    tools: int = 0
    retries: int = 0
    """Attempts, of calls and of whole steps, after which another followed."""
    usage: Usage = field(default_factory=Usage)
    own: float = 0.0
    """Seconds, without those in which steps below ran."""
    seconds: array[float] = field(default_factory=_doubles)
    """Of each step, from its start to its end."""
    tokens: array[float] = field(default_factory=_doubles)
    usd: array[float] = field(default_factory=_doubles)


@final
@dataclass(slots=True)
class _Open:
    """A step that goes on."""

    node: str
    at: float
    tokens: int = 0
    usd: Decimal = Decimal(0)
    below: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    only_runs: bool = False
    """It does nothing but run its own node again: a map or a race of it."""


@final
class ManyRuns:
    """Counts runs, one after the other: by node, or by the places that a plan shows, such as `solve/attempt[i]/review`."""

    def __init__(self, *, by_place: bool = False) -> None:
        self.nodes: dict[str, NodeCount] = {}
        self._by_place = by_place
        self._open: dict[str, _Open] = {}
        self._known: dict[str, str] = {}
        """What is counted under which name, by path."""
        self._seen: set[str] = set()

    def add(self, events: Iterable[Event]) -> None:
        """Count a run."""
        self._open, self._known, self._seen = {}, {}, set()
        for event in events:
            match event:
                case StepStarted():
                    self._start(event)
                case StepEnded():
                    self._end(event)
                case CallEnded():
                    self._call(event)
                case StepRetried():
                    self._count(event.path).retries += 1
                case ToolStarted():
                    self._count(event.path).tools += 1
                case _:
                    pass

    def _of(self, node: str) -> NodeCount:
        count = self.nodes.get(node)
        if count is None:
            count = self.nodes[node] = NodeCount(node)
        if node not in self._seen:
            self._seen.add(node)
            count.runs += 1
        return count

    def _count(self, path: str) -> NodeCount:
        name = self._known.get(path)
        return self._of(place_of(path) if name is None else name)

    def _around(self, path: str) -> _Open | None:
        while path := parent_path(path):
            if going := self._open.get(path):
                return going
        return None

    def _start(self, event: StepStarted) -> None:
        if event.reused is not None:  # it was executed in another run
            return
        around = self._around(event.path)
        if around is not None and around.node == event.node:
            around.only_runs = True
        self._open[event.path] = _Open(event.node, event.at)
        self._known[event.path] = place_of(event.path) if self._by_place else event.node

    def _end(self, event: StepEnded) -> None:
        going = self._open.pop(event.path, None)
        if going is None:
            return
        if around := self._around(event.path):
            around.below.append((going.at, event.at))
        count = self._count(event.path)
        took = max(0.0, event.at - going.at)
        count.own += max(0.0, took - _covered(going.below))
        if going.only_runs:
            return
        count.steps += 1
        count.failed += event.state == "failed"
        count.seconds.append(took)
        count.tokens.append(going.tokens)
        count.usd.append(float(going.usd))

    def _call(self, event: CallEnded) -> None:
        count, usage = self._count(event.path), call_usage(event)
        count.calls += 1
        count.retries += event.retry_in is not None
        count.usage += usage
        if going := self._open.get(event.path):
            going.tokens += usage.total_tokens
            going.usd += usage.usd


def _covered(spans: list[tuple[float, float]]) -> float:
    """The seconds in which at least one of the spans went on."""
    total, until = 0.0, -math.inf
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def place_of(path: str) -> str:
    """Where a path stands in a plan: `solve/attempt[i]/review`."""
    return _INDEX.sub("[i]", path)


def count_runs(journal: Journal, runs: Sequence[RunSummary], *, by_place: bool = False) -> ManyRuns:
    """What these runs did. Tells how far it is on standard error, if that is a terminal."""
    many = ManyRuns(by_place=by_place)
    with journal.store.looking() as look:
        for run in told(runs):
            values: dict[Digest, bytes] = {}
            rows = (row for row in look.events(run.id) if row.kind in _KINDS)
            many.add(event for row in rows for event in read_row(row, run.id, journal.name, values))
    return many


def told(runs: Sequence[RunSummary]) -> Iterator[RunSummary]:
    """The runs, one after the other, while a line says how many were read."""
    shows, last = sys.stderr.isatty(), time.monotonic()
    try:
        for number, run in enumerate(runs):
            if shows and time.monotonic() - last > _EVERY:
                last = time.monotonic()
                sys.stderr.write(f"\r{number:,} of {len(runs):,} runs\x1b[K")
                sys.stderr.flush()
            yield run
    finally:
        if shows:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that `percent` of them do not exceed: one of the values themselves, by the nearest rank. 0 for none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]
