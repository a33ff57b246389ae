"""`Trace`: the events of a run, read as a tree of steps.

Built from events alone, so the trace of a run that still goes on, that failed, or whose process was killed reads the
same way. Paths make the tree: `solve/attempt[2]/review` lies under `solve/attempt[2]`, which lies under `solve/attempt`,
whether or not these had events of their own.

What explains a run (the critical path, waits, what would be if) is in `analysis`, and imported when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from swarmlet.errors import JournalError
from swarmlet.trace.events import (
    Answered,
    CallEnded,
    CallStarted,
    Digest,
    Event,
    PartsKept,
    RunEnded,
    RunId,
    RunResumed,
    RunStarted,
    StepNotStarted,
    Unknown,
)
from swarmlet.trace.parts import put_together
from swarmlet.trace.record import Extent, call_usage
from swarmlet.trace.records import CallRecord, StepRecord, StepState, ToolRecord, collect, parent_path, tree
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from swarmlet.trace.analysis.critical import CriticalPath
    from swarmlet.trace.analysis.diff import TraceDiff
    from swarmlet.trace.analysis.insight import Insight
    from swarmlet.trace.analysis.kinds import Split
    from swarmlet.trace.analysis.waits import Waits
    from swarmlet.trace.analysis.what_if import WhatIf
    from swarmlet.trace.refed import Feed

__all__ = ["Calibration", "CallRecord", "StepRecord", "StepState", "ToolRecord", "Trace", "parent_path"]


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
        events: Iterable[Event] | Extent,
        values: Mapping[Digest, bytes] | Callable[[Digest], bytes | None],
        *,
        lost: bool = False,
    ) -> None:
        self._extent = events if isinstance(events, Extent) else None
        self._events = None if isinstance(events, Extent) else tuple(events)
        self.lost: bool = lost
        """Whether the process of the run is gone without having ended it, as far as its journal knows."""
        self._values = values if callable(values) else values.get
        self._root: StepRecord | None = None
        self._steps: dict[str, StepRecord] = {}
        self._insight: Insight | None = None

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened, in the order in which it did."""
        if self._events is None:
            self._events = () if self._extent is None else tuple(self._extent)
        return self._events

    def _but_drafts(self) -> Iterable[Event]:
        """The events, without those of steps that were not written out yet."""
        return self._extent.but_drafts() if self._events is None and self._extent is not None else self.events

    @property
    def started(self) -> RunStarted:
        """The run's first event."""
        first = next(iter(self._but_drafts()), None)
        if not isinstance(first, RunStarted):
            raise JournalError("this trace does not begin with a run_started event")
        return first

    @property
    def ended(self) -> RunEnded | None:
        """How it ended; `None` while it goes on, also again after it was resumed, or if its process was killed."""
        for event in reversed(self.events):
            if isinstance(event, RunEnded):
                return event
            if not isinstance(event, Answered | PartsKept | Unknown):  # which may come after a suspended run has ended
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
        return Usage.total(call_usage(event) for event in self._but_drafts() if isinstance(event, CallEnded))

    @property
    def usd(self) -> Decimal:
        """What the whole run cost in USD, as far as prices are known."""
        return self.usage.usd

    @property
    def root(self) -> StepRecord:
        """The tree of steps."""
        if self._root is None:
            self._steps = collect(self.events, self.started.name)
            self._root = tree(self._steps, self.started.name)
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
        raise self._missing("step", path, (each.path for each in root.walk()))

    def by_node(self) -> dict[str, list[StepRecord]]:
        """The executed steps of each node, by where it is defined: `module:qualified.name`.

        A step that only runs its own node again below itself (a map or a race of it) is not one of them.
        """
        return self._explained.by_node

    def node(self, name: str) -> list[StepRecord]:
        """The executed steps of a node: named as `module:qualified.name`, without the module, or as in paths (`write` for
        `solve/attempt[2]/write`). Raises `KeyError` with the nodes that there are."""
        if found := self._explained.named(name):
            return found
        raise self._missing("node", name, self._explained.by_node)

    def _missing(self, what: str, name: str, known: Iterable[str]) -> KeyError:
        some = [each for _, each in zip(range(21), known, strict=False)]
        named = ", ".join([*some[:20], "..."] if len(some) > 20 else some)
        return KeyError(f"no {what} {name!r} in run {self.run_id}; there are: {named}")

    def plan(self) -> bytes | None:
        """The graph as it was when the run began, or was last resumed, as JSON: see `swarmlet.graph.fingerprint`. `None` if it
        is not known."""
        digest: Digest | None = None
        for event in self._but_drafts():
            if isinstance(event, RunStarted | RunResumed):
                digest = event.plan or digest
        if digest is None and self._extent is not None and (plan := self._extent.recorder.plan) is not None:
            return plan()
        return self.content(digest)

    def content(self, digest: Digest | None) -> bytes | None:
        """A recorded value as JSON; `None` if it was not captured."""
        content = None if digest is None else self._values(digest)
        return None if content is None else put_together(content, self._values)

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

    # What explains the run

    @property
    def _explained(self) -> Insight:
        if self._insight is None:
            from swarmlet.trace.analysis.insight import Insight

            self._insight = Insight(self)
        return self._insight

    def split(self, step: StepRecord | str | None = None) -> Split:
        """The seconds of a step by what they went to; of all steps together without one.

        Time in which steps below a step ran is theirs. Of a group it is the sum of all that is below it, so steps that ran
        beside one another count each.
        """
        return self._explained.split(None if step is None else self._path(step))

    def critical_path(self, of: StepRecord | str | None = None) -> CriticalPath:
        """The steps that determined how long the run took, with the share of each; see `CriticalPath`. With `of`, those that
        determined it for one step, or for a group such as one item of a map."""
        if of is None:
            return self._explained.critical_path
        from swarmlet.trace.analysis.critical import critical_path

        return critical_path(self._explained, self._path(of))

    def slack(self, step: StepRecord | str) -> float:
        """By how many seconds the step, or all that is in a group, could have ended later without the run ending later.

        Where the record says what each step waited for (see `CriticalPath`), that is exact; elsewhere the real slack may be
        larger, as a step is taken to have waited for all that ended before it in the same graph.
        """
        return self._explained.slack(self._path(step))

    def slacks(self) -> dict[str, float]:
        """The slack of every executed step, by path."""
        return {step.path: self._explained.slack(step.path) for step in self.steps()}

    def waits(self) -> Waits:
        """What was waited for, and for how long: by each step, and in sum."""
        return self._explained.waits

    def refed(self, step: StepRecord | str | None = None) -> Feed:
        """Where the prompt tokens of the run, or of a step and all below it, come from: fresh, or sent before in the run; how
        many of these came from the provider's cache; and what they cost."""
        return self._explained.refed(None if step is None else self._path(step))

    def what_if(
        self,
        node: str,
        *,
        seconds: float | None = None,
        factor: float | None = None,
        usd: Decimal | str | float | None = None,
    ) -> WhatIf:
        """What the run would have taken and cost, had every step of `node` (see `node`, or the path of one step) taken so many
        `seconds`, or so many times its own (`factor=0.5`), or cost so many `usd`; see `WhatIf`."""
        from swarmlet.trace.analysis.what_if import what_if

        return what_if(self._explained, node, seconds=seconds, factor=factor, usd=usd)

    def levers(self) -> list[WhatIf]:
        """For each node on the critical path: what the run would have taken without the time of its steps. That is the most
        that making it faster can save. The largest saving comes first."""
        from swarmlet.trace.analysis.what_if import levers

        return levers(self._explained)

    def diff(self, other: Trace) -> TraceDiff:
        """What `other`, a later run, did differently from this one: step by step, by path."""
        from swarmlet.trace.analysis.diff import diff

        return diff(self, other)

    def _path(self, step: StepRecord | str) -> str:
        return self.step(step).path if isinstance(step, str) else step.path

    # As data

    def to_dict(self, *, contents: bool = False) -> dict[str, object]:
        """The run as plain data that JSON can say; see `swarmlet.trace.analysis.frames.to_dict` for its keys. With `contents`
        also prompts, replies, inputs and outputs."""
        from swarmlet.trace.analysis.frames import to_dict

        return to_dict(self, contents=contents)

    def to_pandas(self, rows: Literal["steps", "calls"] = "steps") -> Any:  # Any: its types may not be there
        """A `pandas.DataFrame`: a row for each executed step, or for each attempt of a model call; its columns stand in
        `swarmlet.trace.analysis.frames`. Needs pandas, which is not part of swarmlet: raises `ImportError` without it."""
        from swarmlet.trace.analysis.frames import to_pandas

        return to_pandas(self, rows)

    def to_polars(self, rows: Literal["steps", "calls"] = "steps") -> Any:  # Any: as above
        """As `to_pandas`, a `polars.DataFrame`."""
        from swarmlet.trace.analysis.frames import to_polars

        return to_polars(self, rows)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from swarmlet.trace.page import notebook_html

        return notebook_html(self)

    def __repr__(self) -> str:
        return f"<Trace of run {self.run_id} ({self.state}, {len(self.steps())} steps, {len(self.events)} events)>"
