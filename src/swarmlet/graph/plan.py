"""`Plan`: a graph compiled to a frozen table of steps.

Sub-graphs without options of their own are inlined: their rows stand in the caller's table, with their path kept, so a step
starts when its own inputs are ready, whichever graph it was written in. A plan is data; the scheduler reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, final

from swarmlet.graph.expr import Expr, evaluate, slots

if TYPE_CHECKING:
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode


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

    def arguments(self, values: Sequence[object]) -> tuple[list[object], dict[str, object]]:
        """Its arguments, given the values in the slots."""
        args = [evaluate(expr, values) for expr in self.args]
        return args, {name: evaluate(expr, values) for name, expr in self.kwargs.items()}


@dataclass(frozen=True)
class Plan:
    """A graph as a table: slots 0 to n-1 are the inputs, slot n+i is the result of step i."""

    name: str
    inputs: tuple[str, ...]
    steps: tuple[PlannedStep, ...]
    output: Expr

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

    def __iter__(self) -> Iterator[PlannedStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


@final
@dataclass(frozen=True, slots=True)
class GraphShape:
    """A graph, for the engine: execute the plan's steps, each when its inputs are ready."""

    word: ClassVar[str] = ""
    plan: Plan

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
