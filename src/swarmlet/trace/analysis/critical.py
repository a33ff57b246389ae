"""The critical path: the chain of steps that determined how long a run took."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias, final

from swarmlet.trace.analysis.activity import split
from swarmlet.trace.analysis.executions import RUN
from swarmlet.trace.analysis.kinds import Split, split_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swarmlet.trace.analysis.activity import Span
    from swarmlet.trace.analysis.dependencies import Dependencies
    from swarmlet.trace.analysis.insight import Insight

Why: TypeAlias = Literal["begin", "inputs", "place"]
_SHORT = 0.005
"""Seconds between steps that are told with the step that comes after."""


@final
@dataclass(frozen=True, slots=True)
class Leg:
    """One step's part of the critical path: from the moment at which what it waited for had ended, to its own end, or to the
    beginning of steps below it."""

    path: str
    """The step; empty for the run itself, in which no step was executed."""
    node: str
    """Where its node is defined: `module:qualified.name`."""
    begin: float
    """Seconds since the run began."""
    end: float
    """Seconds since the run began."""
    share: float
    """Its part of the wall time of the run, or of the step that was asked about, from 0 to 1."""
    split: Split
    """Its seconds by what they went to."""
    why: Why
    """Why it began when it did. `begin`: with what is around it. `inputs`: the leg before it had ended. `place`: the leg before
    it gave back its place under a `concurrency=`, or the event loop."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin


@final
@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The chain of steps that determined how long a run took: any of them longer, and the run would have been longer.

    It is walked back from the run's end. Before each step on it comes the one that it really waited for: the one that ended
    last before its inputs were ready, which its event says, or that gave back the place for which it waited. The legs have no
    gaps: their seconds sum to the run's wall time.

    Where several ended in the same moment, one of them is on the path; all have a slack of zero. In a run that goes on, or
    whose process was killed, the path leads to the last event.

    That of one step, or of a group such as one item of a map, is the chain below it that determined how long it took, from
    when it was ready. A wait for a place that something elsewhere gave back is told as that wait, and one for inputs from
    elsewhere as time of the run.
    """

    seconds: float
    """Wall time of the run, or of the step that was asked about."""
    legs: tuple[Leg, ...]
    """In the order of time."""

    @property
    def split(self) -> Split:
        """Its seconds by what they went to."""
        return Split.total_of(leg.split for leg in self.legs)

    @property
    def paths(self) -> tuple[str, ...]:
        """The steps on it, in order, each once."""
        return tuple(dict.fromkeys(leg.path for leg in self.legs if leg.path))

    def by_node(self) -> dict[str, float]:
        """The seconds of each node's legs, the most first. The run's own have no node: `""`."""
        sums: dict[str, float] = {}
        for leg in self.legs:
            sums[leg.node] = sums.get(leg.node, 0.0) + leg.seconds
        return dict(sorted(sums.items(), key=lambda pair: -pair[1]))

    def __str__(self) -> str:
        rows = [f"{leg.share:6.1%}  {leg.seconds:9.3f} s  {leg.path or '(the run)'}  ({leg.split})" for leg in self.legs]
        return "\n".join([f"{self.seconds:.3f} s of wall time", *rows])


def critical_path(insight: Insight, path: str | None = None) -> CriticalPath:
    """The critical path of a trace, or of what is at `path` in it."""
    moments = _walk(insight.dependencies) if path is None else _walk_within(insight.dependencies, path)
    at = insight.dependencies.at
    whole = insight.timeline.end if path is None else at[moments[-1]] - at[moments[0]]
    return CriticalPath(whole, tuple(_legs(insight, moments, whole)))


@dataclass(slots=True)
class _Piece:
    """What is between two moments of the path."""

    owner: int
    begin: float
    end: float
    split: Split


def _legs(insight: Insight, moments: list[int], whole: float) -> Iterator[Leg]:
    whys = _whys(insight.dependencies, moments)
    executions = insight.timeline.executions

    def leg(pieces: list[_Piece]) -> Leg:
        begin, end, index = pieces[0].begin, pieces[-1].end, pieces[-1].owner
        owner = executions[index] if index != RUN else None
        return Leg(
            path=owner.path if owner is not None else "",
            node=owner.node if owner is not None else "",
            begin=begin,
            end=end,
            share=(end - begin) / whole if whole > 0 else 0.0,
            split=pieces[0].split if len(pieces) == 1 else Split.total_of(piece.split for piece in pieces),
            why=whys.pop(index, "inputs"),
        )

    group: list[_Piece] = []
    for before, moment in pairwise(moments):
        piece = _piece(insight, before, moment)
        if piece.end <= piece.begin:
            continue
        if group and group[-1].owner != piece.owner and not _is_short(group):
            yield leg(group)
            group = []
        group.append(piece)
    if group:
        yield leg(group)


def _is_short(group: list[_Piece]) -> bool:
    """Whether nothing but a moment between steps was collected."""
    between = all(piece.split.total <= piece.split.swarmlet for piece in group)
    return between and group[-1].end - group[0].begin <= _SHORT


def _walk(dependencies: Dependencies) -> list[int]:
    """The moments of the path: from the end back to the latest that each one waited for."""
    at, after = dependencies.at, dependencies.after
    moments = [dependencies.end]
    while after[moments[-1]]:
        moments.append(max(after[moments[-1]], key=lambda one: (at[one], one)))
    moments.reverse()
    return moments


def _walk_within(dependencies: Dependencies, path: str) -> list[int]:
    """As `_walk`, from the end of what is at `path` back to when it was ready, through nothing that is elsewhere."""
    part = dependencies.part(path)
    if part is None:
        return [dependencies.end]
    at, after, names = dependencies.at, dependencies.after, dependencies.names
    below = (f"{path}/", f"{path}[")
    moments = [part.ends]
    while at[moments[-1]] > part.at:
        inside = [one for one in after[moments[-1]] if (name := names.get(one, path)) == path or name.startswith(below)]
        if not inside:
            break
        moments.append(max(inside, key=lambda one: (at[one], one)))
    if at[moments[-1]] < part.at:
        moments.pop()
    moments.reverse()
    return moments


def _whys(dependencies: Dependencies, moments: list[int]) -> dict[int, Why]:
    """Why each execution on the path began when it did."""
    count = 3 * len(dependencies.executions)
    found: dict[int, Why] = {}
    why: Why = "begin"
    for before, moment in pairwise(moments):
        if moment >= count:
            why = why if moment in dependencies.beginnings else "inputs"
        elif moment % 3 == 0:
            found[moment // 3] = why
        elif moment % 3 == 1:
            if before != moment - 1:
                found[moment // 3] = "place"
            why = "begin"
        else:
            why = "inputs"
    return found


def _piece(insight: Insight, before: int, moment: int) -> _Piece:
    dependencies, executions = insight.dependencies, insight.timeline.executions
    begin, end = dependencies.at[before], dependencies.at[moment]
    if end <= begin:
        return _Piece(RUN, begin, begin, Split())
    feeder = dependencies.early.get(moment)
    if feeder is not None and end <= executions[feeder].end:
        source = executions[feeder]
        return _Piece(feeder, begin, end, split(insight.doing(source), begin, end, insight.rest(source)))
    if moment >= 3 * len(executions):
        return _between(insight, dependencies.owner.get(moment, RUN), begin, end, [])
    execution, phase = executions[moment // 3], moment % 3
    if phase == 0:
        earlier = insight.timeline.by_path[execution.path]
        lost: list[Span] = [(one.start, one.end, "lost") for one in earlier if one is not execution and not one.counts]
        return _between(insight, execution.inside, begin, end, lost)
    if phase == 1:
        waited = _scaled(insight.waiting(execution), end - begin) if before == moment - 1 else Split(queue=end - begin)
        return _Piece(execution.index, begin, end, waited)
    return _Piece(execution.index, begin, end, split(insight.doing(execution), begin, end, insight.rest(execution)))


def _between(insight: Insight, owner: int, begin: float, end: float, lost: list[Span]) -> _Piece:
    """Time between steps: it belongs to what is around them."""
    if owner == RUN:
        return _Piece(RUN, begin, end, split([*insight.timeline.away, *lost], begin, end, "swarmlet"))
    around = insight.timeline.executions[owner]
    return _Piece(owner, begin, end, split([*insight.doing(around), *lost], begin, end, insight.rest(around)))


def _scaled(one: Split, seconds: float) -> Split:
    """The same kinds, over so many seconds."""
    total = one.total
    return split_of({kind: value * seconds / total for kind, value in one.items()}) if total > 0 else Split(queue=seconds)
