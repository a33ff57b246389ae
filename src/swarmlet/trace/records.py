"""What became of each step: its record, its calls and its tools, and the tree that paths make of them.

Groups (a graph, a map, a round) have no events. What they took and cost is the sum of what is below them, which is counted
once for the whole tree, without recursion: a run may have a hundred thousand steps, and a loop in a loop is deep.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias, TypeVar, final

from swarmlet.trace.events import (
    Answered,
    Asked,
    CallEnded,
    CallFitted,
    CallQueued,
    CallSaved,
    CallStarted,
    Decided,
    Event,
    Noted,
    PartsKept,
    RunEnded,
    RunResumed,
    RunStarted,
    StepEnded,
    StepNotStarted,
    StepRetried,
    StepStarted,
    TextDelta,
    ToolEnded,
    ToolStarted,
    Unknown,
)
from swarmlet.trace.record import call_usage, price_of
from swarmlet.usage import Usage

K = TypeVar("K")
_OfStep: TypeAlias = StepRetried | Noted | Decided | StepNotStarted | CallSaved | CallFitted | CallQueued | Asked | Answered
StepState: TypeAlias = Literal["running", "finished", "failed", "cancelled", "drained", "suspended", "lost"]


@dataclass(slots=True)
class CallRecord:
    """One attempt of a model call."""

    started: CallStarted
    ended: CallEnded | None = None

    @property
    def state(self) -> StepState:
        """How it ended; `running` also if its process was killed."""
        return self.ended.state if self.ended else "running"

    @property
    def usage(self) -> Usage:
        """What it cost."""
        return call_usage(self.ended) if self.ended else Usage()

    @property
    def seconds(self) -> float | None:
        """From the request to the whole reply."""
        return self.ended.at - self.started.at if self.ended else None


@dataclass(slots=True)
class ToolRecord:
    """One call of a tool."""

    started: ToolStarted
    ended: ToolEnded | None = None

    @property
    def state(self) -> StepState:
        """How it ended; `running` also if its process was killed."""
        return self.ended.state if self.ended else "running"

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return self.ended.at - self.started.at if self.ended else None


@dataclass(frozen=True, slots=True)
class Sums:
    """What was counted of a step and all that is below it."""

    state: StepState
    begin: float | None
    end: float | None
    usage: Usage
    saved: Decimal


@final
class StepRecord:
    """One step, or a place in the tree that groups the steps below it (a graph, a map, a round)."""

    __slots__ = (
        *("path", "started", "ended", "left_out", "_children", "_known"),
        *("_retries", "_calls", "_tools", "_notes", "_decisions", "_earlier"),
        *("_saved", "_fitted", "_queued", "_asked", "_answered"),
    )

    def __init__(self, path: str) -> None:
        self.path: str = path
        self.started: StepStarted | None = None
        self.ended: StepEnded | RunEnded | None = None
        """For the root, if it is a group, how the run ended."""
        self.left_out: StepNotStarted | None = None
        """Set if it was not started, because the swarm was being drained."""
        # Most steps have little of what follows, and empty lists for each of a hundred thousand would be dear.
        self._children: list[StepRecord] | None = None
        self._known: Sums | None = None
        self._retries: tuple[StepRetried, ...] = ()
        self._calls: tuple[CallRecord, ...] = ()
        self._tools: tuple[ToolRecord, ...] = ()
        self._notes: tuple[Noted, ...] = ()
        self._decisions: tuple[Decided, ...] = ()
        self._earlier: tuple[tuple[StepStarted, StepEnded | None], ...] = ()
        self._saved: tuple[CallSaved, ...] = ()
        self._fitted: tuple[CallFitted, ...] = ()
        self._queued: tuple[CallQueued, ...] = ()
        self._asked: tuple[Asked, ...] = ()
        self._answered: tuple[Answered, ...] = ()

    def start(self, event: StepStarted) -> None:
        """Take its beginning: a further one, if it lies below a step that is tried again."""
        self._known = None
        if self.started and not isinstance(self.ended, RunEnded):
            self._earlier = (*self._earlier, (self.started, self.ended))
        self.started, self.ended = event, None

    def add(self, event: _OfStep) -> None:
        """Take an event that is neither its beginning nor its end."""
        match event:
            case StepRetried():
                self._retries = (*self._retries, event)
            case Noted():
                self._notes = (*self._notes, event)
            case Decided():
                self._decisions = (*self._decisions, event)
            case StepNotStarted():
                self.left_out = event
            case CallSaved():
                self._saved = (*self._saved, event)
            case CallFitted():
                self._fitted = (*self._fitted, event)
            case CallQueued():
                self._queued = (*self._queued, event)
            case Asked():
                self._asked = (*self._asked, event)
            case Answered():
                self._answered = (*self._answered, event)

    def call(self, record: CallRecord) -> None:
        """Take a model call."""
        self._calls = (*self._calls, record)

    def tool(self, record: ToolRecord) -> None:
        """Take a call of a tool."""
        self._tools = (*self._tools, record)

    def put(self, child: StepRecord) -> None:
        """Take a step below it."""
        if self._children is None:
            self._children = []
        self._children.append(child)

    @property
    def children(self) -> Sequence[StepRecord]:
        """What is right below it, in the order in which it was first heard of."""
        return self._children or []

    @property
    def retries(self) -> list[StepRetried]:
        """Attempts of the whole step that failed, where another followed."""
        return list(self._retries)

    @property
    def calls(self) -> list[CallRecord]:
        """Attempts of its model calls."""
        return list(self._calls)

    @property
    def tools(self) -> list[ToolRecord]:
        """Calls of its tools."""
        return list(self._tools)

    @property
    def notes(self) -> list[Noted]:
        """What the user should know about it."""
        return list(self._notes)

    @property
    def decisions(self) -> list[Decided]:
        """What it chose."""
        return list(self._decisions)

    @property
    def earlier(self) -> list[tuple[StepStarted, StepEnded | None]]:
        """How it went in earlier attempts of a step above it, or in an earlier process: steps have the same path in each."""
        return list(self._earlier)

    @property
    def saved(self) -> list[CallSaved]:
        """Calls that were not made, as their reply was there."""
        return list(self._saved)

    @property
    def fitted(self) -> list[CallFitted]:
        """What was cut of its conversation, so that it fits the model's window."""
        return list(self._fitted)

    @property
    def queued(self) -> list[CallQueued]:
        """Calls that waited for a budget."""
        return list(self._queued)

    @property
    def asked(self) -> list[Asked]:
        """What people were asked."""
        return list(self._asked)

    @property
    def answered(self) -> list[Answered]:
        """What they said."""
        return list(self._answered)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def node(self) -> str:
        """Where its node is defined: `module:qualified.name`; empty for a group."""
        return self.started.node if self.started else ""

    @property
    def state(self) -> StepState:
        """How it ended. A group is as bad as the worst below it."""
        return self._sums().state

    @property
    def begin(self) -> float | None:
        """When it, or the first step below it, started."""
        return self._sums().begin

    @property
    def end(self) -> float | None:
        """When it, or the last step below it, ended; `None` while something is running."""
        return self._sums().end

    @property
    def seconds(self) -> float | None:
        """Wall time from begin to end."""
        begin, end = self.begin, self.end
        return None if begin is None or end is None else end - begin

    @property
    def usage(self) -> Usage:
        """What it and everything below it cost."""
        return self._sums().usage

    @property
    def usd(self) -> Decimal:
        """What it and everything below it cost, in USD, as far as prices are known."""
        return self._sums().usage.usd

    @property
    def saved_usd(self) -> Decimal:
        """What the provider's cache of prompts saved, for it and everything below it."""
        return self._sums().saved

    def _sums(self) -> Sums:
        if self._known is None:
            for step in reversed(list(self.walk())):  # the innermost first
                step._count()  # noqa: SLF001
        return self._known or self._count()

    def _count(self) -> Sums:
        """Add up what was counted of the steps right below it."""
        below = [each._known for each in self._children or () if each._known is not None]  # noqa: SLF001
        self._known = _sums_of(self, self._calls, below)
        return self._known

    @property
    def attempts(self) -> int:
        """Attempts of the step itself; the attempts of its model calls are in `calls`."""
        return len(self._retries) + 1

    def walk(self) -> Iterator[StepRecord]:
        """This step and all below it, parents first."""
        stack: list[StepRecord] = [self]
        while stack:
            step = stack.pop()
            yield step
            if step._children:  # noqa: SLF001
                stack.extend(reversed(step._children))  # noqa: SLF001

    def __repr__(self) -> str:
        return f"<StepRecord {self.path!r} ({self.state})>"


_WORST_FIRST: tuple[StepState, ...] = ("failed", "running", "lost", "suspended", "drained", "cancelled", "finished")
_NOTHING = Usage()
_ZERO = Decimal(0)


def _sums_of(step: StepRecord, calls: Sequence[CallRecord], below: Sequence[Sums]) -> Sums:
    usage, saved = _NOTHING, _ZERO
    for call in calls:
        usage = usage + call.usage if usage is not _NOTHING else call.usage
        if call.ended and (amount := price_of(call.ended.saved_usd)):
            saved += amount
    for each in below:
        if each.usage is not _NOTHING:
            usage = usage + each.usage if usage is not _NOTHING else each.usage
        saved += each.saved
    if step.started:
        begin: float | None = step.started.at
        end = step.ended.at if step.ended else None
    else:
        begin = min((each.begin for each in below if each.begin is not None), default=None)
        ends = [each.end for each in below]
        end = None if None in ends else max((at for at in ends if at is not None), default=None)
    return Sums(_state_of(step, below), begin, end, usage, saved)


def _state_of(step: StepRecord, below: Sequence[Sums]) -> StepState:
    if step.ended:
        return step.ended.state
    if step.started:
        return "running"
    if step.left_out:
        return "drained"
    states = {each.state for each in below}
    for state in _WORST_FIRST:
        if state in states:
            return state
    return "finished"


class Steps(dict[str, StepRecord]):
    """Steps by path, made when they are first heard of."""

    def __missing__(self, path: str) -> StepRecord:
        step = self[path] = StepRecord(path)
        return step


def collect(events: Iterable[Event], root: str) -> dict[str, StepRecord]:
    """The steps by path, from their events. `root` is there in any case."""
    steps = Steps({root: StepRecord(root)})
    calls: dict[tuple[str, int, int], CallRecord] = {}
    tools: dict[tuple[str, int, str], ToolRecord] = {}
    for event in events:
        if isinstance(event, RunStarted | RunResumed | RunEnded | PartsKept | Unknown):
            continue
        step = steps[event.path]
        match event:
            case StepStarted():
                step.start(event)
            case StepEnded():
                step.ended = event
            case CallStarted():
                record = CallRecord(event)
                calls[event.path, event.turn, event.attempt] = record
                step.call(record)
            case CallEnded():
                _close(calls, (event.path, event.turn, event.attempt), event)
            case ToolStarted():
                tool = ToolRecord(event)
                tools[event.path, event.turn, event.id] = tool
                step.tool(tool)
            case ToolEnded():
                if open_tool := tools.get((event.path, event.turn, event.id)):
                    open_tool.ended = event
            case TextDelta():  # it is not kept
                pass
            case _:
                step.add(event)
    return steps


def _close(calls: Mapping[K, CallRecord], key: K, event: CallEnded) -> None:
    if call := calls.get(key):
        call.ended = event


def parent_path(path: str) -> str:
    """The path above: `a/b[2][1]` lies under `a/b[2]`, that under `a/b`, and that under `a`; `a` lies under nothing."""
    if path.endswith("]") and (opening := path.rfind("[")) > 0 and path[opening + 1 : -1].isdecimal():
        return path[:opening]
    return path.rpartition("/")[0]


def tree(steps: dict[str, StepRecord], root: str) -> StepRecord:
    """Put each step below the one that its path says, with groups where there are none. Gives the root."""
    for path in list(steps):
        child = steps[path]
        while child.path != root and (above := parent_path(child.path)):
            known = above in steps
            parent = steps[above] if known else StepRecord(above)
            steps[above] = parent
            parent.put(child)
            if known:
                break
            child = parent
    return steps[root]
