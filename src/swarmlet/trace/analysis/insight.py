"""What was computed of a trace, kept for the next question."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, final

from swarmlet.trace.analysis.activity import spans, split
from swarmlet.trace.analysis.dependencies import Dependencies
from swarmlet.trace.analysis.executions import RUN, Execution, Timeline
from swarmlet.trace.analysis.kinds import Kind, Split
from swarmlet.trace.analysis.plan import read_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swarmlet.trace.analysis.activity import Span
    from swarmlet.trace.analysis.critical import CriticalPath
    from swarmlet.trace.analysis.waits import Waits
    from swarmlet.trace.read import Trace
    from swarmlet.trace.records import StepRecord
    from swarmlet.trace.refed import Feed

_SMALLEST = 1e-6
"""Seconds below which slack is the rounding of clocks."""


@final
class Insight:
    """Explains one trace. Nothing is computed before it is asked for."""

    def __init__(self, trace: Trace) -> None:
        self.trace: Trace = trace
        self._spans: dict[str, list[Span]] = {}
        self._working: dict[int, Split] = {}
        self._below: dict[int, list[Span]] | None = None
        self._feeds: dict[str, Feed] | None = None

    # The steps

    @cached_property
    def by_node(self) -> dict[str, list[StepRecord]]:
        """The executed steps of each node."""
        around = {one.path: one for one in self.timeline.executions}
        only_run = set[str]()
        for one in self.timeline.executions:
            outer = self.timeline.executions[one.inside] if one.inside != RUN else None
            if outer is not None and one.scheduled and outer.node == one.node:
                only_run.add(outer.path)
        found: dict[str, list[StepRecord]] = {}
        for step in self.trace.steps():
            if step.path not in only_run and step.path in around:
                found.setdefault(step.node, []).append(step)
        return found

    def named(self, name: str) -> list[StepRecord]:
        """The steps of the node of this name."""
        if exact := self.by_node.get(name):
            return exact
        defined = [steps for node, steps in self.by_node.items() if _short(node) == name]
        if defined:
            return [step for steps in defined for step in steps]
        return [step for steps in self.by_node.values() for step in steps if _plain(step.name) == name]

    # The graph of moments

    @cached_property
    def timeline(self) -> Timeline:
        """The executions of steps."""
        return Timeline(self.trace.events, self.trace.root)

    @cached_property
    def dependencies(self) -> Dependencies:
        """What each step waited for."""
        return Dependencies(self.timeline, read_plan(self.trace.plan()))

    @cached_property
    def _late(self) -> list[float]:
        return self.dependencies.latest()

    @cached_property
    def critical_path(self) -> CriticalPath:
        """The chain of steps that determined the wall time."""
        from swarmlet.trace.analysis.critical import critical_path

        return critical_path(self)

    @cached_property
    def waits(self) -> Waits:
        """What steps waited for."""
        from swarmlet.trace.analysis.waits import waits_of

        return waits_of(self)

    def slack(self, path: str) -> float:
        """By how many seconds what is at `path` could have ended later."""
        dependencies = self.dependencies
        part = dependencies.part(path)
        if part is None:
            return 0.0
        slack = self._late[part.ends] - dependencies.at[part.ends]
        return slack if slack > _SMALLEST else 0.0

    # Time by kind

    def spans(self, path: str) -> list[Span]:
        """What the step at `path` was doing, besides its own code."""
        known = self._spans.get(path)
        if known is None:
            clock = self.timeline.clock
            told = spans(self.trace.step(path))
            known = self._spans[path] = [(clock(begin), clock(end), what) for begin, end, what in told]
        return known

    def doing(self, execution: Execution) -> list[Span]:
        """What an execution was doing: its calls and tools, and the pauses in it."""
        told, away = self.spans(execution.path), self.timeline.away
        if not away:
            return told
        found: list[Span] = [*told, *away]
        if not told and not self._below_of(execution.index):
            for begun, left, _ in execution.pauses:
                found.append((begun, left, "lost"))
        return found

    def _below_of(self, index: int) -> Sequence[Span]:
        if self._below is None:
            self._below = {}
            for one in self.timeline.executions:
                if one.inside != RUN and one.end > one.start:
                    self._below.setdefault(one.inside, []).append((one.start, one.end, None))
        return self._below.get(index, ())

    def working(self, execution: Execution) -> Split:
        """The seconds from the start of an execution to its end, without those of steps below it."""
        known = self._working.get(execution.index)
        if known is None:
            doing, below = self.doing(execution), self._below_of(execution.index)
            told = [*doing, *below] if below else doing
            known = split(told, execution.start, execution.end, self.rest(execution))
            self._working[execution.index] = known
        return known

    def rest(self, execution: Execution) -> Kind:
        """What an execution does when it says nothing: its own code, unless it is a combinator that runs others."""
        return "swarmlet" if execution.index in self._combinators else "own"

    @cached_property
    def _combinators(self) -> set[int]:
        """Executions in which the engine runs others: no functions that run nodes by `current().run`, and no agents."""
        direct = {one.inside for one in self.timeline.executions if not one.scheduled}
        found = {one.inside for one in self.timeline.executions if one.scheduled and one.inside != RUN}
        return {index for index in found - direct if not self.spans(self.timeline.executions[index].path)}

    def waiting(self, execution: Execution) -> Split:
        """The seconds from the moment at which an execution was ready to its start."""
        waited = execution.start - execution.ready
        if waited <= 0:
            return Split()
        place = min(execution.place_waited, waited)
        giver = self.dependencies.places.get(execution.index)
        if not place and giver is not None:
            place = waited  # the record does not say how much of it
        return Split(concurrency=place, queue=waited - place)

    def split(self, path: str | None) -> Split:
        """The seconds of a step, or of all that is in a group, or of all steps."""
        executions = self.timeline.by_path.get(path) if path is not None else self.timeline.executions
        if executions is None and path is not None:
            below = [step.path for step in self.trace.step(path).walk() if step.started]
            executions = [one for each in below for one in self.timeline.by_path.get(each, ())]
        return Split.total_of(self.waiting(one) + self.working(one) for one in executions or ())

    # Tokens

    def refed(self, path: str | None) -> Feed:
        """Where prompt tokens come from."""
        from swarmlet.trace.refed import Feed, feeds, weigh_by_bytes

        if self._feeds is None:
            self._feeds = {}
            for call in feeds(self.trace.events, weigh_by_bytes(self.trace)):
                self._feeds[call.started.path] = self._feeds.get(call.started.path, Feed()) + call.feed
        if path is None:
            return Feed.total(self._feeds.values())
        below = self.trace.step(path).walk()
        return Feed.total(self._feeds[step.path] for step in below if step.path in self._feeds)


def _short(node: str) -> str:
    return node.partition(":")[2]


def _plain(name: str) -> str:
    """The last part of a path without its indexes."""
    return name.partition("[")[0]
