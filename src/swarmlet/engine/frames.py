"""Where a run stands inside each shape of node: one frame class for each shape that has nodes inside.

A frame is told what has finished below it and says what to launch next, or that it is complete itself. It does nothing
else: no clock, no event loop, no record. That makes every interleaving testable by calling methods in that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast, final

from typing_extensions import override

from swarmlet.engine.frame import Frame, Place
from swarmlet.engine.step import as_failure
from swarmlet.errors import RoundsExhausted, RunError, StepFailed
from swarmlet.graph.each import EachShape, Failed
from swarmlet.graph.expr import evaluate
from swarmlet.graph.loop import Again, Done, LoopShape
from swarmlet.graph.plan import GraphShape
from swarmlet.graph.switch import SwitchShape
from swarmlet.trace.record import text_of

if TYPE_CHECKING:
    from swarmlet.engine.frame import Moment
    from swarmlet.graph.plan import Plan
    from swarmlet.graph.shape import AnyNode


@final
class GraphFrame(Frame):
    """A plan: each step starts when its own inputs are there."""

    __slots__ = ("left", "plan", "values", "waiting")

    def __init__(self, shape: GraphShape, node: AnyNode, place: Place) -> None:
        super().__init__(place)
        self.plan: Plan = shape.plan
        self.values: list[object] = _inputs(node, self.args, self.kwargs)
        self.values += [None] * len(shape.plan.steps)
        self.waiting: list[int] = list(shape.plan.waiting)
        self.left: int = len(shape.plan.steps)

    @override
    def begin(self) -> None:
        for index, count in enumerate(self.plan.waiting):
            if not count:
                self._launch(index)
        if not self.left:
            self._finish()

    @override
    def finished(self, key: int, value: object) -> None:
        self.values[len(self.plan.inputs) + key] = value
        self.left -= 1
        for dependent in self.plan.dependents[key]:
            self.waiting[dependent] -= 1
            if not self.waiting[dependent]:
                self._launch(dependent)
        if not self.left:
            self._finish()

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
class EachFrame(Frame):
    """A map: as many items at once as the bound allows, results in the order of the items."""

    __slots__ = ("items", "left", "results", "shape", "since", "started")

    def __init__(self, shape: EachShape, place: Place) -> None:
        super().__init__(place)
        self.shape: EachShape = shape
        self.since: Moment = place.scheduler.moment
        self.items: Sequence[object] = ()
        self.results: list[object] = []
        self.started: int = 0
        self.left: int = 0

    @override
    def begin(self) -> None:
        self.items = list(cast("Iterable[object]", self.args[0]))
        self.results = [None] * len(self.items)
        self.left = len(self.items)
        if not self.left:
            self.complete([])
        for _ in range(min(self.left, self.shape.concurrency or self.left)):
            self._next()

    @override
    def finished(self, key: int, value: object) -> None:
        self.results[key] = value
        self.left -= 1
        if self.started < len(self.items):
            self._next()
        elif not self.left:
            self.complete([value for value in self.results if value is not _SKIPPED])

    @override
    def failed(self, key: int, error: Exception) -> bool:
        if self.shape.on_error == "raise":
            return False
        self.finished(key, _SKIPPED if self.shape.on_error == "skip" else _as_failed(error, f"{self.path}[{key}]"))
        return True

    def _next(self) -> None:
        index = self.started
        self.started += 1
        args = [self.items[index], *self.args[1:]]
        self.scheduler.launch(
            self.shape.body,
            args,
            self.kwargs,
            f"{self.path}[{index}]",
            self.scope,
            self,
            index,
            apart=self.shape.on_error != "raise",
            since=self.since,
        )


_SKIPPED = object()


@final
class LoopFrame(Frame):
    """A loop: one round after the other."""

    __slots__ = ("round", "shape")

    def __init__(self, shape: LoopShape, place: Place) -> None:
        super().__init__(place)
        self.shape: LoopShape = shape
        self.round: int = 0

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
                self.round += 1
                self._again(cast("Again[object]", value).state)
            case _:
                reason = f"the loop's body returned {type(value).__name__}, not Again or Done"
                self.fail(StepFailed(f"{self.path}[{self.round}]", reason))

    def _again(self, state: object) -> None:
        if self.round < self.shape.rounds:
            self._start(state)
        elif self.shape.otherwise is None:
            self.fail(RoundsExhausted(self.path, self.shape.rounds, state))
        else:
            path = f"{self.path}/{self.shape.otherwise.name}"
            self._launch(self.shape.otherwise, state, path, _OTHERWISE)

    def _start(self, state: object) -> None:
        self._launch(self.shape.body, state, f"{self.path}[{self.round}]", self.round)

    def _launch(self, node: AnyNode, state: object, path: str, key: int) -> None:
        self.scheduler.launch(node, [state, *self.args[1:]], self.kwargs, path, self.scope, self, key)


_OTHERWISE = -1


@final
class SwitchFrame(Frame):
    """A choice: the key first, then its arm."""

    __slots__ = ("shape",)

    def __init__(self, shape: SwitchShape, place: Place) -> None:
        super().__init__(place)
        self.shape: SwitchShape = shape

    @override
    def begin(self) -> None:
        self._launch(self.shape.key, self.shape.key.name, 0)

    @override
    def finished(self, key: int, value: object) -> None:
        if key == 1:
            self.complete(value)
            return
        arms = (arm for known, arm in self.shape.arms.items() if isinstance(value, type(known)) and value == known)
        arm = next(arms, self.shape.default)
        if arm is None:
            given = text_of(value, repr) or f"a {type(value).__name__} without a repr"
            self.fail(StepFailed(self.path, f"the key gave {given}, which has no arm"))
        else:
            self._launch(arm, arm.name if arm.name != self.shape.key.name else f"{arm.name}~2", 1)

    def _launch(self, node: AnyNode, name: str, key: int) -> None:
        self.scheduler.launch(node, self.args, self.kwargs, f"{self.path}/{name}", self.scope, self, key)


def _inputs(node: AnyNode, args: Sequence[object], kwargs: Mapping[str, object]) -> list[object]:
    """The graph's inputs in the order of its parameters, defaults filled in."""
    if len(args) == len(node.signature.parameters):
        return list(args)
    bound = node.signature.bind(tuple(args), kwargs)
    bound.apply_defaults()
    return list(bound.arguments.values())


def _as_failed(error: Exception, path: str) -> Failed:
    cause = error.__cause__ if isinstance(error, StepFailed) and isinstance(error.__cause__, Exception) else error
    return Failed(error.path if isinstance(error, RunError) else path, type(cause).__name__, text_of(cause), error)


def open_frame(node: AnyNode, place: Place) -> Frame:
    """The frame for an execution of `node`."""
    match node.shape:
        case GraphShape() as shape:
            return GraphFrame(shape, node, place)
        case EachShape() as shape:
            return EachFrame(shape, place)
        case LoopShape() as shape:
            return LoopFrame(shape, place)
        case SwitchShape() as shape:
            return SwitchFrame(shape, place)
        case shape:
            raise AssertionError(f"this is a bug in swarmlet: no frame for {type(shape).__name__}")
