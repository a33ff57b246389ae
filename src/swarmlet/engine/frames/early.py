"""Maps that begin with the first items of a list while the step that makes the list still runs.

What such a step says beforehand is a guess: a model that is asked again may say something else. So each item that is started
early is compared with the list when that is there. What is the same stays; what is not is stopped and, where the list has
another item in its place, run again for that one. No result of another value is ever used. A failure of an early item is
held back until it is sure that the item counts.
"""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, cast, final

from typing_extensions import override

from swarmlet.engine.errands import Drop, Early
from swarmlet.engine.frame import Left, Listen, Offered, Place
from swarmlet.engine.frames.flow import GraphFrame
from swarmlet.engine.frames.maps import MISSING, EachFrame, as_failed
from swarmlet.engine.restore import alike
from swarmlet.engine.step import Step, as_failure
from swarmlet.graph.each import EachShape
from swarmlet.graph.expr import evaluate
from swarmlet.policy.taker import Taker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from swarmlet.graph.plan import GraphShape
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope
    from swarmlet.policy.taker import ItemPath


@final
class OfferedGraph(GraphFrame):
    """A plan with steps that tell items of their result beforehand."""

    __slots__ = ("offered", "opened")

    def __init__(self, shape: GraphShape, node: AnyNode, place: Place) -> None:
        super().__init__(shape, node, place)
        self.offered: dict[int, dict[ItemPath, list[object]]] = {}
        """What running steps have told, by step and list."""
        self.opened: dict[int, GrowingEach] = {}
        """The maps that have begun and whose list is not there yet."""

    @override
    def finished(self, key: int, value: object) -> None:
        self.offered.pop(key, None)
        super().finished(key, value)
        for step, lists in self.offered.items():  # a map may have waited for this one beside its list
            for path in lists:
                self._open_all(step, path)

    @override
    def told(self, news: object) -> None:
        told = cast("Offered", news)
        items = self.offered.setdefault(told.key, {}).setdefault(told.path, [])
        if told.index > len(items):
            return
        items[told.index :] = [told.value]
        for row, path in self.plan.offers[told.key].items():
            if path == told.path and (frame := self.opened.get(row)) is not None:
                frame.grow(told.index, told.value)
        self._open_all(told.key, told.path)

    @override
    def not_started(self) -> Iterator[tuple[str, AnyNode]]:
        begun = {frame.path for frame in self.opened.values()}
        return ((path, node) for path, node in super().not_started() if path not in begun)

    @override
    def _launch(self, index: int) -> None:
        if frame := self.opened.pop(index, None):
            self._settle(frame, index)
        elif index in self.plan.offers:
            self._launch_telling(index)
        else:
            super()._launch(index)

    def _launch_telling(self, index: int) -> None:
        """Launch a step that finds in its scope whom to tell."""
        row, scheduler = self.plan.steps[index], self.scheduler
        path = f"{self.path}/{row.path}"
        context = copy_context()  # what is started for an item must not see what the step has set in its own

        def take(at: ItemPath, number: int, value: object) -> None:
            if scheduler.hear is not None:
                context.run(scheduler.hear, self, Offered(index, at, number, value))

        try:
            args, kwargs = row.arguments(self.values)
        except Exception as error:  # noqa: BLE001  # a field that is missing at run time: it becomes the step's failure
            scheduler.fail(self, index, as_failure(path, error))
            return
        taker = Taker(path, frozenset(self.plan.offers[index].values()), take)
        scheduler.send(self, Listen())
        scheduler.launch(row.node, args, kwargs, path, replace(self.scope, taker=taker), self, index)

    def _open_all(self, step: int, path: ItemPath) -> None:
        """Begin with the maps over this list that wait for nothing else."""
        for row, wanted in self.plan.offers[step].items():
            if wanted == path and self.waiting[row] == 1 and row not in self.opened:
                self._open(row, self.offered[step][path])

    def _open(self, index: int, items: Iterable[object]) -> None:
        row = self.plan.steps[index]
        try:
            args = [evaluate(expr, self.values) for expr in row.args[1:]]
            kwargs = {name: evaluate(expr, self.values) for name, expr in row.kwargs.items()}
        except Exception:  # noqa: BLE001  # it will be the map's failure, when that is launched
            return
        place = Place(self.scheduler, f"{self.path}/{row.path}", [(), *args], kwargs, self.scope, self, index)
        frame = self.opened[index] = GrowingEach(cast("EachShape", row.node.shape), place)
        self.scheduler.adopt(frame)
        frame.begin()
        for number, item in enumerate(items):
            frame.grow(number, item)

    def _settle(self, frame: GrowingEach, index: int) -> None:
        try:
            frame.settle(evaluate(self.plan.steps[index].args[0], self.values))
        except Exception as error:  # noqa: BLE001  # as in `_launch_telling`
            self.scheduler.fail(self, index, as_failure(frame.path, error))


@final
class GrowingEach(EachFrame):
    """A map that begins before its list is whole."""

    __slots__ = ("again", "begun", "early", "growing", "held")
    args: Sequence[object]
    items: list[object]
    since: float
    ended: bool
    running: int
    good: int
    apart: bool
    below: Scope

    def __init__(self, shape: EachShape, place: Place) -> None:
        super().__init__(shape, place)
        self.growing: bool = True
        self.begun: list[float] = []
        """When the items were told."""
        self.early: dict[int, Early] = {}
        """What was started for items of which it is not sure that they count."""
        self.held: dict[int, Exception] = {}
        """What that has failed with."""
        self.again: deque[int] = deque()
        """Items to be run again, as what was run before was for another value."""

    @override
    def begin(self) -> None:
        """Nothing is there yet."""

    def grow(self, index: int, value: object) -> None:
        """The list is about to have this item."""
        if index == len(self.items):
            self.items.append(value)
            self.begun.append(self.scheduler.at)
        else:
            if not _same(self.items[index], value):
                self.items[index] = value
                self._abandon(index)
            kept = max(index + 1, len(self.results))  # it is told anew: what came after that is not even a guess any more
            del self.items[kept:], self.begun[kept:]
        self._go_on()

    def settle(self, given: object) -> None:
        """The list is there."""
        before, self.items = self.items, list(cast("Iterable[object]", given))
        self.args = [given, *self.args[1:]]
        self.growing, self.since = False, self.scheduler.at
        for index in range(len(self.results)):
            if index >= len(self.items) or not _same(before[index], self.items[index]):
                self._abandon(index)
        del self.results[len(self.items) :]
        self.again = deque(index for index in self.again if index < len(self.items))
        self.early.clear()
        self.ended = len(self.results) == len(self.items)
        if self._may_go_on():
            self._go_on()

    @override
    def told(self, news: object) -> None:
        """What was dropped has ended."""
        left = cast("Left", news)
        self.running -= 1
        if left.key < len(self.items):
            self.again.append(left.key)
        self._go_on()

    @override
    def handles(self, key: int, error: Exception) -> bool:
        return self.growing or super().handles(key, error)

    @override
    def failed(self, key: int, error: Exception) -> None:
        if not self.growing:
            super().failed(key, error)
            return
        self.held[key] = error
        self.running -= 1
        self.warm = True
        self._go_on()

    @override
    def _go_on(self) -> None:
        while self.again and self._has_room:
            index = self.again.popleft()
            self._begin(index)
        if self.again:
            return
        if not self.growing:
            super()._go_on()
            return
        while len(self.results) < len(self.items) and self._has_room:
            self._launch(self.items[len(self.results)])

    @override
    def _launch(self, item: object) -> None:
        self.results.append(MISSING)
        self._begin(len(self.results) - 1)

    @property
    def _has_room(self) -> bool:
        if self.growing and self.held and not all(map(self.bears, self.held.values())):
            return False  # all of it is in vain if that item counts
        bound = self.shape.concurrency if self.warm else 1
        return bound is None or self.running < bound

    def _begin(self, index: int) -> None:
        self.running += 1
        args: list[object] = [self.items[index], *self.args[1:]]
        path, body, kwargs = f"{self.path}[{index}]", self.shape.body, self.kwargs
        scope = self.below
        since = self.begun[index] if index < len(self.begun) else self.since
        if self.growing:
            self.early[index] = Early(Step(path, body, args, kwargs, scope, self, index, since))
            self.scheduler.send(self, self.early[index])
        else:
            self.scheduler.launch(body, args, kwargs, path, scope, self, index, apart=self.apart, since=since)

    def _abandon(self, index: int) -> None:
        """What was started for this item was for another value."""
        self.begun[index] = self.scheduler.at
        early = self.early.pop(index, None)
        if early is None:  # what was started for the value before has not ended yet, or nothing runs
            return
        self.scheduler.send(self, Drop(early, again=index < len(self.items)))
        if index in self.held:
            del self.held[index]
        elif self.results[index] is not MISSING:
            self.results[index] = MISSING
            self.good -= 1
        else:
            return  # it runs, and is told when it has ended
        if index < len(self.items):
            self.again.append(index)

    def _may_go_on(self) -> bool:
        """Whether it does not fail, now that early failures count."""
        held, self.held = self.held, {}
        failed = False
        for index, error in sorted(held.items()):
            if not self.bears(error):
                failed = True
                self.scheduler.fail(self, index, error)
                continue
            self.causes.append(error)
            if self.shape.on_error == "keep":
                self.results[index] = as_failed(error, f"{self.path}[{index}]")
        return not failed and not self._too_few()


def _same(one: object, other: object) -> bool:
    try:
        return one is other or alike(one, other)
    except Exception:  # noqa: BLE001  # values' own methods take part in comparing them
        return False
