"""The steps of a graph and where their arguments come from, as if all graphs in it were inlined.

A graph with options of its own is no row less of a plan: it has a scope. But options may change before a run is resumed, so a
fingerprint sees through it, to the same steps that the plan would have without them; up to `SEEN_THROUGH` steps, as graphs
that use one another twice have more of them than anybody could list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast, final

from swarmlet.graph.expr import Build, Const, Expr, Field, Item, Slot, substitute
from swarmlet.graph.plan import GraphShape
from swarmlet.graph.spell import digest_of

if TYPE_CHECKING:
    from swarmlet.graph.plan import Plan, PlannedStep
    from swarmlet.graph.shape import AnyNode
    from swarmlet.graph.spell import Speller

SEEN_THROUGH = 2_000
_LONG = 200


@final
@dataclass(frozen=True, slots=True)
class Step:
    """A step below the graph, and its arguments."""

    path: str
    node: AnyNode
    args: Sequence[Expr]
    kwargs: Mapping[str, Expr]


@final
@dataclass(frozen=True, slots=True)
class Wired:
    """The steps of a graph: slots 0 to n-1 are its inputs, slot n+i is the result of step i."""

    inputs: tuple[str, ...]
    steps: Sequence[Step]
    output: Expr

    @property
    def nodes(self) -> list[tuple[str, AnyNode]]:
        """The nodes, each with what the path has more than the graph's."""
        return [(f"/{step.path}", step.node) for step in self.steps]

    def sources(self, speller: Speller) -> Iterator[tuple[str, str, str]]:
        """For each argument the step's path, the parameter and what it comes from; the graph's result has no step."""
        words = _Words([*self.inputs, *(f"{step.path}()" for step in self.steps)], speller)
        for step in self.steps:
            for name, value in _bound(step.node, step.args, step.kwargs).items():
                if isinstance(value, tuple):
                    for index, one in enumerate(cast("tuple[Expr, ...]", value)):
                        yield step.path, f"{name}[{index}]", words.of(one)
                elif isinstance(value, dict):
                    for key, one in cast("dict[str, Expr]", value).items():
                        yield step.path, f"{name}[{key}]", words.of(one)
                else:
                    yield step.path, name, words.of(cast("Expr", value))
        yield "", "result", words.of(self.output)


@final
class Flattener:
    """Makes the flat steps of graphs."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}

    def flat(self, plan: Plan) -> Wired:
        """The steps of `plan`, with those of the graphs in it, unless that are too many."""
        inner = [step for step in plan.steps if _inner(step) is not None]
        if not inner or self._size(plan) > SEEN_THROUGH:
            return Wired(plan.inputs, [Step(one.path, one.node, one.args, one.kwargs) for one in plan.steps], plan.output)
        return _flattened(plan)

    def _size(self, plan: Plan) -> int:
        stack = [plan]
        while stack:
            one = stack[-1]
            inner = [found for step in one.steps if (found := _inner(step)) is not None]
            if todo := [found for found in inner if id(found) not in self._sizes]:
                stack += todo
                continue
            stack.pop()
            self._sizes[id(one)] = 1 + len(one.steps) - len(inner) + sum(self._sizes[id(found)] for found in inner)
        return self._sizes[id(plan)]


def _inner(step: PlannedStep) -> Plan | None:
    """The plan that is seen through. A fallback stands in for the whole of a graph, so that one is a step."""
    node = step.node
    return node.shape.plan if isinstance(node.shape, GraphShape) and node.options.fallback is None else None


@final
@dataclass(slots=True)
class _Frame:
    """A plan whose steps are being listed."""

    plan: Plan
    prefix: str
    values: list[Expr]
    """What is in its slots, up to now, as expressions over the outermost plan's."""
    at: int = 0


def _flattened(plan: Plan) -> Wired:
    first = len(plan.inputs)
    rows: list[Step] = []
    stack = [_Frame(plan, "", [Slot(index) for index in range(first)])]
    while True:
        frame = stack[-1]
        if frame.at == len(frame.plan.steps):
            output = substitute(frame.plan.output, frame.values)
            stack.pop()
            if not stack:
                return Wired(plan.inputs, rows, output)
            stack[-1].values.append(output)
            continue
        step = frame.plan.steps[frame.at]
        frame.at += 1
        args = [substitute(one, frame.values) for one in step.args]
        kwargs = {name: substitute(one, frame.values) for name, one in step.kwargs.items()}
        inner = _inner(step)
        if inner is not None:
            stack.append(_Frame(inner, f"{frame.prefix}{step.path}/", _inputs(step.node, inner, args, kwargs)))
            continue
        frame.values.append(Slot(first + len(rows)))
        rows.append(Step(frame.prefix + step.path, step.node, args, kwargs))


def _bound(node: AnyNode, args: Sequence[Expr], kwargs: Mapping[str, Expr]) -> Mapping[str, object]:
    return node.signature.bind(tuple(args), kwargs).arguments


def _inputs(node: AnyNode, plan: Plan, args: Sequence[Expr], kwargs: Mapping[str, Expr]) -> list[Expr]:
    given = _bound(node, args, kwargs)
    defaults = node.signature.parameters_by_name
    return [cast("Expr", given[name]) if name in given else Const(defaults[name].default) for name in plan.inputs]


@final
@dataclass(slots=True)
class _Words:
    """Says where values come from. Parts that stand in several expressions are looked at once."""

    slots: Sequence[str]
    speller: Speller
    _known: dict[int, tuple[Expr, str]] = field(default_factory=dict[int, tuple[Expr, str]])

    def of(self, expr: Expr) -> str:
        """The source of a value: `task`, `write().code`, `[write(), review()]`."""
        stack = [expr]
        while stack:
            one = stack[-1]
            inner = one.parts if isinstance(one, Build) else (one.of,) if isinstance(one, (Field, Item)) else ()
            if todo := [part for part in inner if id(part) not in self._known]:
                stack += todo
                continue
            stack.pop()
            if id(one) not in self._known:
                text = self._said(one, [self._known[id(part)][1] for part in inner])
                short = text if len(text) <= _LONG else f"{text[: _LONG // 2]}... #{digest_of(text)[:12]}"
                self._known[id(one)] = one, short
        return self._known[id(expr)][1]

    def _said(self, expr: Expr, parts: Sequence[str]) -> str:
        match expr:
            case Slot(index):
                return self.slots[index]
            case Const(value):
                return self.speller.constant(value)
            case Field(_, name):
                return f"{parts[0]}.{name}"
            case Item(_, key):
                plain = isinstance(key, (int, str)) or type(key) is slice
                return f"{parts[0]}[{ascii(key) if plain else self.speller.constant(key)}]"
            case Build(make):
                keys: Sequence[object] | None = getattr(make, "keys", None)
                named = parts if keys is None else [f"{self._key(key)}={part}" for key, part in zip(keys, parts, strict=True)]
                return f"{self.speller.spell(getattr(make, 'kind', object))[0]}({', '.join(named)})"

    def _key(self, key: object) -> str:
        return key if isinstance(key, str) else self.speller.constant(key)
