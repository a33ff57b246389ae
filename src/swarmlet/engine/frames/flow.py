"""Where a run stands inside a graph and inside a loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast, final

from typing_extensions import override

from swarmlet.engine.frame import Frame, Place
from swarmlet.engine.step import as_failure
from swarmlet.errors import RoundsExhausted, StepFailed
from swarmlet.graph.expr import evaluate
from swarmlet.graph.loop import Again, Done, LoopShape
from swarmlet.graph.plan import GraphShape

if TYPE_CHECKING:
    from swarmlet.graph.plan import Plan
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope


class GraphFrame(Frame):
    """A plan: each step starts when its own inputs are there."""

    __slots__ = ("left", "plan", "rest", "values", "waiting")

    def __init__(self, shape: GraphShape, node: AnyNode, place: Place) -> None:
        super().__init__(place)
        self.plan: Plan = shape.plan
        self.values: list[object] = _inputs(node, self.args, self.kwargs)
        self.values += [None] * len(shape.plan.steps)
        self.waiting: list[int] = list(shape.plan.waiting)
        self.left: int = len(shape.plan.steps)
        self.rest: deque[int] = deque()
        """Steps whose inputs are there, which come with the next helpings."""

    @override
    def begin(self) -> None:
        self._start([index for index, count in enumerate(self.plan.waiting) if not count])
        if not self.left:
            self._finish()

    @override
    def finished(self, key: int, value: object) -> None:
        self.values[len(self.plan.inputs) + key] = value
        self.left -= 1
        dependents, waiting = self.plan.dependents[key], self.waiting
        if len(dependents) == 1:  # a chain, a join
            dependent = dependents[0]
            waiting[dependent] -= 1
            if not waiting[dependent]:
                self._launch(dependent)
        elif dependents:
            for dependent in dependents:
                waiting[dependent] -= 1
            self._start([dependent for dependent in dependents if not waiting[dependent]])
        if not self.left:
            self._finish()

    @override
    def more(self) -> None:
        rest = self.rest
        for _ in range(min(self.scheduler.helping, len(rest))):
            self._launch(rest.popleft())
        if rest:
            self.scheduler.later(self)

    @override
    def not_started(self) -> Iterator[tuple[str, AnyNode]]:
        steps = self.plan.steps
        for index in (*self.rest, *(index for index, waits in enumerate(self.waiting) if waits)):
            yield f"{self.path}/{steps[index].path}", steps[index].node

    def _start(self, indexes: Sequence[int]) -> None:
        """Launch steps whose inputs are there: a helping of them now, the rest behind what is ready already."""
        helping = self.scheduler.helping
        for index in indexes[:helping]:
            self._launch(index)
        if len(indexes) > helping:
            if not self.rest:
                self.scheduler.later(self)
            self.rest += indexes[helping:]

    def _launch(self, index: int) -> None:
        row = self.plan.steps[index]
        path = f"{self.path}/{row.path}"
        try:
            args, kwargs = row.arguments(self.values)
        except Exception as error:  # noqa: BLE001  # a field that is missing at run time: it becomes the step's failure
            self.scheduler.fail(self, index, as_failure(path, error))
        else:
            self.scheduler.launch(row.node, args, kwargs, path, self.scope, self, index)

    def _finish(self) -> None:
        self.complete(evaluate(self.plan.output, self.values))


@final
class LoopFrame(Frame):
    """A loop: one round after the other."""

    __slots__ = ("inner", "shape", "states")

    def __init__(self, shape: LoopShape, place: Place) -> None:
        super().__init__(place)
        self.shape: LoopShape = shape
        self.states: list[object] = []
        self.inner: Scope = self.scope.in_loop(self.states)

    @override
    def begin(self) -> None:
        self._start(self.args[0])

    @override
    def finished(self, key: int, value: object) -> None:
        if key == _OTHERWISE:
            self.complete(value)
            return
        match value:
            case Done():
                self.complete(cast("Done[object]", value).value)
            case Again():
                self._again(cast("Again[object]", value).state)
            case _:
                reason = f"the loop's body returned {type(value).__name__}, not Again or Done"
                self.fail(StepFailed(f"{self.path}[{key}]", reason))

    def _again(self, state: object) -> None:
        if len(self.states) < self.shape.rounds:
            self._start(state)
        elif self.shape.otherwise is None:
            self.fail(RoundsExhausted(self.path, self.shape.rounds, state, self.states))
        else:
            path = f"{self.path}/{self.shape.otherwise.name}"
            self._launch(self.shape.otherwise, state, path, _OTHERWISE)

    def _start(self, state: object) -> None:
        self.states.append(state)
        number = len(self.states) - 1
        self._launch(self.shape.body, state, f"{self.path}[{number}]", number)

    def _launch(self, node: AnyNode, state: object, path: str, key: int) -> None:
        self.scheduler.launch(node, [state, *self.args[1:]], self.kwargs, path, self.inner, self, key)


_OTHERWISE = -1


def _inputs(node: AnyNode, args: Sequence[object], kwargs: Mapping[str, object]) -> list[object]:
    """The graph's inputs in the order of its parameters, defaults filled in."""
    if len(args) == len(node.signature.parameters):
        return list(args)
    bound = node.signature.bind(tuple(args), kwargs)
    bound.apply_defaults()
    return list(bound.arguments.values())
