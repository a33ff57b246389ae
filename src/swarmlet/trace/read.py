"""`Trace`: the events of a run, read as a tree of steps.

Built from events alone, so the trace of a run that still goes on, that failed, or whose process was killed reads the
same way. Paths make the tree: `solve/attempt[2]/review` lies under `solve/attempt[2]`, which lies under `solve/attempt`,
whether or not these had events of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar, cast

from swarmlet.errors import JournalError
from swarmlet.trace.events import (
    Answered,
    Asked,
    CallEnded,
    CallFitted,
    CallQueued,
    CallSaved,
    CallStarted,
    Decided,
    Digest,
    Event,
    Noted,
    RunEnded,
    RunId,
    RunResumed,
    RunStarted,
    StepEnded,
    StepNotStarted,
    StepRetried,
    StepStarted,
    TextDelta,
    ToolEnded,
    ToolStarted,
)
from swarmlet.trace.record import call_usage
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


@dataclass(slots=True)
class StepRecord:
    """One step, or a place in the tree that groups the steps below it (a graph, a map, a round)."""

    path: str
    started: StepStarted | None = None
    ended: StepEnded | RunEnded | None = None
    """For the root, if it is a group, how the run ended."""
    retries: list[StepRetried] = field(default_factory=list[StepRetried])
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    tools: list[ToolRecord] = field(default_factory=list[ToolRecord])
    notes: list[Noted] = field(default_factory=list[Noted])
    decisions: list[Decided] = field(default_factory=list[Decided])
    earlier: list[tuple[StepStarted, StepEnded | None]] = field(default_factory=list["tuple[StepStarted, StepEnded | None]"])
    """How it went in earlier attempts of a step above it, or in a process that was killed: steps have the same path in each."""
    saved: list[CallSaved] = field(default_factory=list[CallSaved])
    """Calls that were not made, as their reply was there."""
    fitted: list[CallFitted] = field(default_factory=list[CallFitted])
    """What was cut of its conversation, so that it fits the model's window."""
    queued: list[CallQueued] = field(default_factory=list[CallQueued])
    """Calls that waited for a budget."""
    asked: list[Asked] = field(default_factory=list[Asked])
    """What people were asked."""
    answered: list[Answered] = field(default_factory=list[Answered])
    """What they said."""
    left_out: StepNotStarted | None = None
    """Set if it was not started, because the swarm was being drained."""
    children: list[StepRecord] = field(default_factory=list["StepRecord"])

    def start(self, event: StepStarted) -> None:
        """Take its beginning: a further one, if it lies below a step that is tried again."""
        if self.started and not isinstance(self.ended, RunEnded):
            self.earlier.append((self.started, self.ended))
        self.started, self.ended = event, None

    def add(self, event: _OfStep) -> None:
        """Take an event that is neither its beginning nor its end."""
        match event:
            case StepRetried():
                self.retries.append(event)
            case Noted():
                self.notes.append(event)
            case Decided():
                self.decisions.append(event)
            case StepNotStarted():
                self.left_out = event
            case CallSaved():
                self.saved.append(event)
            case CallFitted():
                self.fitted.append(event)
            case CallQueued():
                self.queued.append(event)
            case Asked():
                self.asked.append(event)
            case Answered():
                self.answered.append(event)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def state(self) -> StepState:
        """How it ended. A group is as bad as the worst below it."""
        if self.ended:
            return self.ended.state
        if self.started:
            return "running"
        if self.left_out:
            return "drained"
        states = {child.state for child in self.children}
        order: tuple[StepState, ...] = ("failed", "running", "lost", "suspended", "drained", "cancelled", "finished")
        for state in order:
            if state in states:
                return state
        return "finished"

    @property
    def begin(self) -> float | None:
        """When it, or the first step below it, started."""
        if self.started:
            return self.started.at
        return min((at for child in self.children if (at := child.begin) is not None), default=None)

    @property
    def end(self) -> float | None:
        """When it, or the last step below it, ended; `None` while something is running."""
        if self.started:
            return self.ended.at if self.ended else None
        ends = [child.end for child in self.children]
        return None if None in ends else max((at for at in ends if at is not None), default=None)

    @property
    def seconds(self) -> float | None:
        """Wall time from begin to end."""
        begin, end = self.begin, self.end
        return None if begin is None or end is None else end - begin

    @property
    def usage(self) -> Usage:
        """What it and everything below it cost."""
        own = Usage.total(call.usage for call in self.calls)
        return own + Usage.total(child.usage for child in self.children)

    @property
    def attempts(self) -> int:
        """Attempts of the step itself; the attempts of its model calls are in `calls`."""
        return len(self.retries) + 1

    def walk(self) -> Iterable[StepRecord]:
        """This step and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Calibration:
    """Prompts as they were counted before their calls, beside what the server counted."""

    calls: int
    estimated: int
    """Tokens, as counted before."""
    real: int
    """Tokens, as the server counted them."""

    @property
    def error(self) -> float | None:
        """The relative error: 0.1 for estimates that were 10 % too high. `None` without calls."""
        return self.estimated / self.real - 1 if self.real else None


class Trace:
    """The record of one run, for reading."""

    def __init__(
        self,
        events: Iterable[Event],
        values: Mapping[Digest, bytes] | Callable[[Digest], bytes | None],
        *,
        lost: bool = False,
    ) -> None:
        self.events: tuple[Event, ...] = tuple(events)
        self.lost: bool = lost
        """Whether the process of the run is gone without having ended it, as far as its journal knows."""
        self._values = values if callable(values) else values.get
        self._root: StepRecord | None = None
        self._steps: dict[str, StepRecord] = {}

    @property
    def started(self) -> RunStarted:
        """The run's first event."""
        first = self.events[0] if self.events else None
        if not isinstance(first, RunStarted):
            raise JournalError("this trace does not begin with a run_started event")
        return first

    @property
    def ended(self) -> RunEnded | None:
        """How it ended; `None` while it goes on, also again after it was resumed, or if its process was killed."""
        for event in reversed(self.events):
            if isinstance(event, RunEnded):
                return event
            if not isinstance(event, Answered):  # which may come after a suspended run has ended
                return None
        return None

    @property
    def run_id(self) -> RunId:
        """The run's id."""
        return self.started.run

    @property
    def state(self) -> StepState:
        """How the run ended; `running` if it has not, and `lost` if its process is known to be gone."""
        return self.ended.state if self.ended else "lost" if self.lost else "running"

    @property
    def seconds(self) -> float:
        """Wall time of the run until its last event."""
        return self.events[-1].at - self.started.at

    @property
    def usage(self) -> Usage:
        """What the whole run cost, failed attempts included."""
        return Usage.total(call_usage(event) for event in self.events if isinstance(event, CallEnded))

    @property
    def root(self) -> StepRecord:
        """The tree of steps."""
        if self._root is None:
            self._steps = _collect(self.events, self.started.name)
            self._root = _tree(self._steps, self.started.name)
            self._root.ended = self._root.ended or self.ended
        return self._root

    def steps(self) -> list[StepRecord]:
        """The executed steps, in the order of their paths' tree (groups left out)."""
        return [step for step in self.root.walk() if step.started]

    def calibration(self) -> Calibration:
        """How good the estimates of prompts were, over all calls whose usage the server told."""
        started = {(e.path, e.turn, e.attempt): e.estimated for e in self.events if isinstance(e, CallStarted)}
        ended = [event for event in self.events if isinstance(event, CallEnded) and event.input_tokens]
        pairs = [(started.get((event.path, event.turn, event.attempt), 0), event.input_tokens) for event in ended]
        told = [(estimated, real) for estimated, real in pairs if estimated]
        return Calibration(len(told), sum(estimated for estimated, _ in told), sum(real for _, real in told))

    def not_started(self) -> list[str]:
        """The paths of the steps that a drained run did not start."""
        return [event.path for event in self.events if isinstance(event, StepNotStarted)]

    def step(self, path: str) -> StepRecord:
        """The step or group at `path`. Raises `KeyError` with the paths that there are."""
        root = self.root
        if step := self._steps.get(path):
            return step
        known = [step.path for step in root.walk()]
        named = ", ".join([*known[:20], "..."] if len(known) > 20 else known)
        raise KeyError(f"no step {path!r} in run {self.run_id}; there are: {named}")

    def content(self, digest: Digest | None) -> bytes | None:
        """A recorded value as JSON; `None` if it was not captured."""
        return None if digest is None else self._values(digest)

    def value(self, digest: Digest | None) -> object:
        """A recorded value as plain Python (dicts, lists, strings, numbers); `None` if it was not captured."""
        content = self.content(digest)
        return None if content is None else json.loads(content)

    def request(self, call: CallRecord) -> dict[str, object] | None:
        """What a model was asked, messages included, as plain Python; `None` if it was not captured."""
        request = cast("dict[str, object] | None", self.value(call.started.request))
        if request is None or not call.started.messages:
            return request
        return {**request, "messages": [self.value(message) for message in call.started.messages]}

    def output(self, path: str) -> object:
        """What the step at `path` returned, as plain Python."""
        ended = self.step(path).ended
        return self.value(ended.output) if ended else None

    def __repr__(self) -> str:
        return f"<Trace of run {self.run_id} ({self.state}, {len(self.steps())} steps, {len(self.events)} events)>"


class _Steps(dict[str, StepRecord]):
    """Steps by path, made when they are first heard of."""

    def __missing__(self, path: str) -> StepRecord:
        step = self[path] = StepRecord(path)
        return step


def _collect(events: Iterable[Event], root: str) -> dict[str, StepRecord]:
    steps = _Steps({root: StepRecord(root)})
    calls: dict[tuple[str, int, int], CallRecord] = {}
    tools: dict[tuple[str, int, str], ToolRecord] = {}
    for event in events:
        if isinstance(event, RunStarted | RunResumed | RunEnded):
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
                step.calls.append(record)
            case CallEnded():
                _close(calls, (event.path, event.turn, event.attempt), event)
            case ToolStarted():
                tool = ToolRecord(event)
                tools[event.path, event.turn, event.id] = tool
                step.tools.append(tool)
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


_INDEX = re.compile(r"\[\d+\]$")


def parent_path(path: str) -> str:
    """The path above: `a/b[2][1]` lies under `a/b[2]`, that under `a/b`, and that under `a`; `a` lies under nothing."""
    if match := _INDEX.search(path):
        return path[: match.start()]
    return path.rpartition("/")[0]


def _tree(steps: dict[str, StepRecord], root: str) -> StepRecord:
    for path in list(steps):
        child = steps[path]
        while child.path != root and (above := parent_path(child.path)):
            known = above in steps
            parent = steps.setdefault(above, StepRecord(above))
            parent.children.append(child)
            if known:
                break
            child = parent
    return steps[root]
