"""`Plan`: a graph compiled to a frozen table of steps.

Sub-graphs without options of their own are inlined: their rows stand in the caller's table, with their path kept, so a step
starts when its own inputs are ready, whichever graph it was written in. A plan is data; the scheduler reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from inspect import Parameter
from typing import TYPE_CHECKING, ClassVar, final

from swarmlet.graph.expr import Expr, Field, Item, Slot, evaluate, slots
from swarmlet.graph.shape import Composite, Leaf, Part
from swarmlet.policy.options import Options

if TYPE_CHECKING:
    from swarmlet.graph.bound import Bound
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.outline import Outline
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.taker import ItemPath


@dataclass(frozen=True)
class PlannedStep:
    """One row of a plan: a node, and where its arguments come from."""

    path: str
    """Where it stands below the graph: `review`, or `attempt/review` for a step of an inlined sub-graph."""
    node: AnyNode
    args: tuple[Expr, ...]
    kwargs: Mapping[str, Expr]
    line: str
    """The source line that wired it."""

    @cached_property
    def needs(self) -> frozenset[int]:
        """The slots that must be filled before it can start."""
        return frozenset(slot for expr in (*self.args, *self.kwargs.values()) for slot in slots(expr))

    @cached_property
    def plain(self) -> tuple[int, ...] | None:
        """The slots of its arguments, if they are nothing but slots: most are, and that is quicker."""
        plain = tuple(expr.index for expr in self.args if isinstance(expr, Slot))
        return plain if len(plain) == len(self.args) and not self.kwargs else None

    def arguments(self, values: Sequence[object]) -> tuple[list[object], dict[str, object]]:
        """Its arguments, given the values in the slots."""
        if self.plain is not None:
            return [values[index] for index in self.plain], {}
        args = [evaluate(expr, values) for expr in self.args]
        return args, {name: evaluate(expr, values) for name, expr in self.kwargs.items()}


@dataclass(frozen=True)
class Plan:
    """A graph as a table: slots 0 to n-1 are the inputs, slot n+i is the result of step i.

    `print(plan)` shows all that may run, with what bounds it, and the worst-case number of model calls.
    """

    name: str
    inputs: tuple[str, ...]
    steps: tuple[PlannedStep, ...]
    output: Expr
    of: AnyNode | None = field(default=None, repr=False, compare=False)
    """The node that was asked for its plan, whose options count for everything in it."""

    @cached_property
    def waiting(self) -> tuple[int, ...]:
        """For each step, how many results of other steps it waits for."""
        return tuple(sum(slot >= len(self.inputs) for slot in step.needs) for step in self.steps)

    @cached_property
    def dependents(self) -> tuple[tuple[int, ...], ...]:
        """For each step, the steps that wait for its result."""
        table: list[list[int]] = [[] for _ in self.steps]
        for index, step in enumerate(self.steps):
            for slot in step.needs:
                if slot >= len(self.inputs):
                    table[slot - len(self.inputs)].append(index)
        return tuple(tuple(sorted(row)) for row in table)

    @cached_property
    def offers(self) -> Mapping[int, Mapping[int, ItemPath]]:
        """For each step that tells items before it has ended, the maps that may begin with them, and which list is theirs."""
        table: dict[int, dict[int, ItemPath]] = {}
        first = len(self.inputs)
        telling = {index for index, step in enumerate(self.steps) if _offers(step.node)}
        for index, step in enumerate(self.steps) if telling else ():
            if step.args and (found := _list_at(step.args[0])) is not None and found[0] - first in telling:
                others = {slot for expr in (*step.args[1:], *step.kwargs.values()) for slot in slots(expr)}
                if step.node.shape.grows and step.node.options.empty and not self._reads(others, found[0]):
                    table.setdefault(found[0] - first, {})[index] = found[1]
        return table

    def _reads(self, slots: set[int], wanted: int) -> bool:
        """Whether something that goes into these slots comes from that one."""
        first, seen, stack = len(self.inputs), set(slots), list(slots)
        while stack:
            slot = stack.pop()
            new = self.steps[slot - first].needs - seen if slot >= first else frozenset[int]()
            seen |= new
            stack += new
        return wanted in seen

    @cached_property
    def outline(self) -> Outline:
        """All that may run, also inside the steps, row by row."""
        from swarmlet.graph.outline import Outline  # only for who asks

        return Outline(self.of or _Graph(self.name, GraphShape(self)))

    @property
    def calls(self) -> Bound:
        """The most model calls that a run makes, each counted once however often it is tried again."""
        return self.outline.calls

    @property
    def attempts(self) -> Bound:
        """The most model calls that a run makes, with all retries."""
        return self.outline.attempts

    def __str__(self) -> str:
        return str(self.outline)

    def __iter__(self) -> Iterator[PlannedStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


@final
@dataclass(frozen=True, slots=True)
class GraphShape(Composite):
    """A graph, for the engine: execute the plan's steps, each when its inputs are ready."""

    word: ClassVar[str] = ""
    plan: Plan

    def parts(self) -> Iterator[Part]:
        """Its steps, each of which runs once."""
        return (Part(f"/{step.path}", step.node) for step in self.plan)

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the steps, with an arrow for each value that flows."""
        first = len(self.plan.inputs)
        begins: list[str] = []
        with canvas.frame(label) as frame:
            ends = [step.node.shape.draw(canvas, step.path) for step in self.plan]
            for step, (begin, _) in zip(self.plan, ends, strict=True):
                sources = [slot - first for slot in sorted(step.needs) if slot >= first]
                for source in sources:
                    canvas.edges(ends[source][1], begin)
                begins += [] if sources else begin
        results = [box for slot in sorted(set(slots(self.plan.output))) if slot >= first for box in ends[slot - first][1]]
        return begins or [frame], results or [frame]


def plan_of(node: AnyNode) -> Plan:
    """The plan of any node: a graph's own, and for any other node one of a single step, to be read and not to be run."""
    if isinstance(node.shape, GraphShape):
        return replace(node.shape.plan, of=node)
    parameters = node.signature.parameters
    args = tuple(Slot(index) for index, one in enumerate(parameters) if one.kind not in _BY_NAME)
    kwargs = {one.name: Slot(index) for index, one in enumerate(parameters) if one.kind in _BY_NAME}
    step = PlannedStep(node.name, node, args, kwargs, line="")
    return Plan(node.name, tuple(one.name for one in parameters), (step,), Slot(len(parameters)), of=node)


def _offers(node: AnyNode) -> bool:
    """Whether what a node says beforehand is about the result of its step: that of a fallback, say, would be another."""
    shape, options = node.shape, node.options
    return isinstance(shape, Leaf) and shape.offers and options.fallback is None and options.queue is None


def _list_at(expr: Expr) -> tuple[int, ItemPath] | None:
    """The slot that an argument reads, and the fields or keys that lead from there to it; `None` if it is more than that."""
    names: list[str] = []
    while not isinstance(expr, Slot):
        if isinstance(expr, Field):
            names.append(expr.name)
        elif isinstance(expr, Item) and isinstance(expr.key, str):
            names.append(expr.key)
        else:
            return None
        expr = expr.of
    return expr.index, tuple(reversed(names))


_BY_NAME = (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD)


@final
@dataclass(frozen=True, slots=True)
class _Graph:
    """A graph of which only the plan is known."""

    name: str
    shape: GraphShape
    options: Options = field(default_factory=Options)
