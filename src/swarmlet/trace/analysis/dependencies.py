"""What each step waited for: a graph of moments, on which the critical path, slack and what-if are computed.

Moments are when a step is ready, when it starts and when it ends, and when a group (a graph, a map, a round) begins and ends.
Each comes `lag` seconds after the latest of the moments that it waited for. Events do not say what that was, so it is found in
the record:

- A step is ready when the last step that it waited for has ended, and its event says when that was (`at - waited`). So the step
  that ended last before that, in the same graph, is what it really waited for.
- What else it would have waited for, had it taken longer, says the plan, where one is recorded with the run (a swarm with a
  journal does that). Without a plan a part of a graph is taken to have waited for all parts beside it that ended before: no
  dependency is missed by that, but some may be none, so slack is told too small rather than too large. The items of a map that
  were ready together are known to be independent, and so are steps that overlapped.
- A step that was ready and waited for a place (`concurrency=`) got that of a step that ended just before it started: of another
  item of its map, if one did. The order of steps under such a bound is taken as it was.
- Where the plan says that a step takes something from one that had not ended yet, it had that piece by piece: it waited for the
  beginning of that one, and the time until it was ready is told as that one's.
- Steps that were stopped (the losers of a race) ended because of others, so nothing waited for them.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Final, final

from swarmlet.trace.analysis.executions import RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swarmlet.trace.analysis.executions import Execution, Timeline
    from swarmlet.trace.analysis.plan import Plan

TIGHT: Final = 0.01
"""Seconds within which the step that was waited for must have ended before a step was ready: the engine is quicker."""
HELD_UP: Final = 0.001
"""A step that started later than so many seconds after it was ready was held up by something."""
_LOOKED_AT: Final = 8
"""How many steps that ended just before are looked at for the one that gave back a place."""


@final
class Part:
    """A step or a group as a part of what is around it: the moments at which it is ready and has ended."""

    __slots__ = ("at", "begins", "counts", "ends", "inside", "parts", "path")

    def __init__(self, path: str, inside: int, begins: int = -1, ends: int = -1, *, counts: bool = False) -> None:
        self.path: str = path
        self.inside: int = inside
        self.begins: int = begins
        self.ends: int = ends
        self.counts: bool = counts
        """Whether something may have waited for its end."""
        self.parts: list[Part] = _NONE
        """Of a group."""
        self.at: float = 0.0
        """Of a group: when the first of its parts was ready."""


_NONE: Final[list[Part]] = []


@final
class Dependencies:
    """The graph of moments. Moments of execution `i` are `3i` (ready), `3i+1` (starts), `3i+2` (ends)."""

    def __init__(self, timeline: Timeline, plan: Plan | None = None) -> None:
        self.timeline: Timeline = timeline
        self.executions: Sequence[Execution] = timeline.executions
        self.at: list[float] = []
        """When each moment was."""
        self.after: list[tuple[int, ...]] = []
        """The moments that each one waited for."""
        self.owner: dict[int, int] = {}
        """The execution around a moment of a group."""
        self.beginnings: set[int] = set()
        """The moments at which groups began."""
        self.places: dict[int, int] = {}
        """The execution whose end gave back what an execution waited for, by execution."""
        self.early: dict[int, int] = {}
        """The execution that was giving pieces when a step or a group was ready, by the moment."""
        self.groups: dict[tuple[str, int], Part] = {}
        self._plan = plan
        self._order: list[int] = []
        self._by_path: dict[str, list[Part]] = {}
        for one in self.executions:
            self._add(one.ready, one.first)
            self._add(one.start, one.first)
            self._add(one.end, one.last)
        self.begin: int = self._add(0.0, -1)
        self.end: int = self._add(timeline.end, 1 << 60)
        self._build()
        self.lag: list[float] = [
            at - max([self.at[one] for one in self.after[each]], default=0.0) for each, at in enumerate(self.at)
        ]
        self.sequence: list[int] = self._sorted()
        """All moments, each after those that it waited for."""

    def forward(self, ends: dict[int, float] | None = None) -> list[float]:
        """When each moment would be, if the executions in `ends`, by index, took so many seconds."""
        times = [0.0] * len(self.at)
        fixed = {3 * index + 2: seconds for index, seconds in (ends or {}).items()}
        lag, after = self.lag, self.after
        for moment in self.sequence:
            if moment in fixed:
                times[moment] = times[moment - 1] + fixed[moment]
                continue
            latest = 0.0
            for one in after[moment]:
                if times[one] > latest:
                    latest = times[one]
            times[moment] = latest + lag[moment]
        return times

    def latest(self) -> list[float]:
        """When each moment could have been at the latest, with the run's end where it was."""
        late = [self.at[self.end]] * len(self.at)
        lag, after = self.lag, self.after
        for moment in reversed(self.sequence):
            before = late[moment] - lag[moment]
            for one in after[moment]:
                if before < late[one]:
                    late[one] = before
        return late

    def part(self, path: str) -> Part | None:
        """What is at `path`, as it was executed last: a step or a group."""
        if executed := self.timeline.by_path.get(path):
            ready = 3 * executed[-1].index
            found = Part(path, executed[-1].inside, ready, ready + 2)
            found.at = self.at[ready]
            return found
        return next((group for (known, _), group in reversed(self.groups.items()) if known == path), None)

    @cached_property
    def names(self) -> dict[int, str]:
        """The paths of the moments of steps and groups."""
        found = {3 * one.index + phase: one.path for one in self.executions for phase in range(3)}
        for group in self.groups.values():
            found[group.begins] = found[group.ends] = group.path
        return found

    # Building

    def _add(self, at: float, order: int) -> int:
        self.at.append(at)
        self._order.append(order)
        self.after.append(())
        return len(self.at) - 1

    def _wait(self, moment: int, *others: int) -> None:
        """`moment` waited for the others, if they were before it; the record's order tells moments of the same time apart."""
        at, order = self.at[moment], self._order[moment]
        times, orders = self.at, self._order
        before = [one for one in others if times[one] < at or (times[one] == at and orders[one] <= order)]
        self.after[moment] = (*self.after[moment], *before)

    def _build(self) -> None:
        around: dict[int, list[Part]] = {RUN: []}
        for one in self.executions:
            ready = 3 * one.index
            part = Part(one.path, one.inside, ready, ready + 2, counts=one.counts)
            self._remember(part)
            self._home(one, around).append(part)
            self.after[ready + 1] = (ready,)
            self.after[ready + 2] = (ready + 1,)
        self._measure()
        for inside, parts in around.items():
            begins, ends = (self.begin, self.end) if inside == RUN else (3 * inside + 1, 3 * inside + 2)
            self._connect("" if inside == RUN else self.executions[inside].path, parts, begins, ends, group=False)
        for group in self.groups.values():
            self._connect(group.path, group.parts, group.begins, group.ends, group=True)
        self._wait(self.end, self.begin)
        if self._plan is not None:
            self._begin_early()
        self._add_triggers()
        self._add_places()

    def _home(self, one: Execution, around: dict[int, list[Part]]) -> list[Part]:
        """The parts of what is right around an execution: a group, another execution, or the run."""
        stop = self.executions[one.inside].path if one.inside != RUN else None
        above = self.timeline.above
        path, missing = above.get(one.path), list[Part]()
        home = around.setdefault(one.inside, [])
        while path is not None and path != stop:
            if known := self.groups.get((path, one.inside)):
                home = known.parts
                break
            missing.append(Part(path, one.inside))
            path = above.get(path)
        for group in reversed(missing):
            self.groups[group.path, group.inside] = group
            group.parts = []
            self._remember(group)
            home.append(group)
            home = group.parts
        return home

    def _remember(self, part: Part) -> None:
        if self._plan is not None:
            self._by_path.setdefault(part.path, []).append(part)

    def _measure(self) -> None:
        """When groups began and ended, the innermost first: they were made from the outside in."""
        for group in reversed(self.groups.values()):
            first = min([part.begins for part in group.parts], key=self._moment)
            counting = [part.ends for part in group.parts if part.counts]
            last = max(counting or [part.ends for part in group.parts], key=self._moment)
            group.counts, group.at = bool(counting), self.at[first]
            group.begins = self._add(self.at[first], self._order[first])
            group.ends = self._add(self.at[last], self._order[last])
            self.beginnings.add(group.begins)
            self.owner[group.begins] = self.owner[group.ends] = group.inside

    def _begin_early(self) -> None:
        """A graph within a graph begins with what is around it, where nothing says otherwise: it is its steps that wait."""
        for group in self.groups.values():
            since = max([self.at[one] for one in self.after[group.begins]], default=0.0)
            if group.at - since > TIGHT:
                self.at[group.begins] = since

    def _moment(self, moment: int) -> tuple[float, int]:
        return self.at[moment], self._order[moment]

    def _connect(self, path: str, parts: list[Part], begins: int, ends: int, *, group: bool) -> None:
        """The parts of one group or execution: what they waited for, and what its end waited for."""
        for part in parts:
            self._wait(part.begins, begins)
        self._wait(ends, *(part.ends for part in parts if part.counts))
        sources = self._plan.sources(path, group=group) if self._plan is not None else None
        if sources is None:
            self._in_order(parts)
            return
        for step, source in sources:
            for target in self._by_path.get(f"{path}/{step}", ()):
                self._wait(target.begins, *self._ends_of(path, source))
                for before in self._by_path.get(f"{path}/{source}", ()):
                    if 0 <= before.begins < 3 * len(self.executions):
                        self._fed_early(target, before)

    def _fed_early(self, target: Part, before: Part) -> None:
        """A step or a map that was ready before its source had ended had the first of what that gives piece by piece."""
        if self.at[before.begins] <= self.at[target.begins] < self.at[before.ends]:
            for part in (target, *target.parts):
                if part.begins not in (-1, before.begins):
                    self.early[part.begins] = before.begins // 3
                    self._wait(part.begins, before.begins + 1)

    def _ends_of(self, graph: str, source: str) -> list[int]:
        """The ends of a step of a graph, and of the executions between the graph and it, which end after it."""
        found: list[int] = []
        path = f"{graph}/{source}"
        while len(path) > len(graph):
            found += [part.ends for part in self._by_path.get(path, ()) if part.counts]
            path = path.rpartition("/")[0]
        return found

    def _in_order(self, parts: list[Part]) -> None:
        """Every part waited for all parts that ended before it was ready. Said with one more moment for each part, at which
        it and all before it have ended: pairs would be too many."""
        if len(parts) < 2:
            return
        done = sorted((part.ends for part in parts if part.counts), key=self._moment)
        ends = [self._moment(one) for one in done]
        so_far, used = -1, 0
        for part in sorted(parts, key=lambda part: self._moment(part.begins)):
            count = bisect_right(ends, self._moment(part.begins))
            if count > used:
                fresh = done[used:count]
                if so_far >= 0 or len(fresh) > 1:
                    both = self._add(*ends[count - 1])
                    self.owner[both] = part.inside
                    self.after[both] = (*fresh, so_far) if so_far >= 0 else tuple(fresh)
                    so_far = both
                else:
                    so_far = fresh[0]
                used = count
            if so_far >= 0:
                self._wait(part.begins, so_far)

    def _add_triggers(self) -> None:
        """What ended last before a step was ready, in the same graph or a graph within it."""
        beside: dict[int, list[tuple[float, int, int]]] = {}
        for one in self.executions:
            if one.counts:
                beside.setdefault(one.inside, []).append((one.end, one.last, one.index))
        for ended in beside.values():
            ended.sort()
        for one in self.executions:
            ended = beside.get(one.inside, [])
            count = bisect_right(ended, (one.ready, one.first, -1))
            if count and one.ready - ended[count - 1][0] <= TIGHT:
                self._wait(3 * one.index, 3 * ended[count - 1][2] + 2)

    def _add_places(self) -> None:
        """What a step that was ready waited for, before it could start."""
        ended = sorted((one.end, one.last, one.index) for one in self.executions)
        for one in self.executions:
            waited = one.start - one.ready
            if waited <= HELD_UP:
                continue
            at = bisect_right(ended, (one.start, one.first, -1))
            since = max(one.ready, one.start - max(2 * HELD_UP, waited / 20))
            recent = [index for end, _, index in ended[max(0, at - _LOOKED_AT) : at] if end > since]
            givers = [index for index in recent if share_a_bound(one.path, self.executions[index].path)]
            if one.place_waited > 0:
                givers = givers or recent
            if givers:
                self.places[one.index] = givers[-1]
                self._wait(3 * one.index + 1, 3 * givers[-1] + 2)

    def _sorted(self) -> list[int]:
        """All moments, each after those that it waited for."""
        found: list[int] = []
        seen = bytearray(len(self.after))
        for last in range(len(self.after)):
            stack = [last]
            while stack:
                moment = stack.pop()
                if moment < 0:
                    found.append(~moment)
                elif not seen[moment]:
                    seen[moment] = 1
                    stack.append(~moment)
                    stack += [one for one in self.after[moment] if not seen[one]]
        return found


def share_a_bound(path: str, other: str) -> bool:
    """Whether two paths are of different items of the same map."""
    mine, theirs = path.replace("[", "/[").split("/"), other.replace("[", "/[").split("/")
    differ = next(((a, b) for a, b in zip(mine, theirs, strict=False) if a != b), None)
    return differ is not None and differ[0].startswith("[") and differ[1].startswith("[")
