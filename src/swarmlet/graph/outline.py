"""What a node may do, row by row, and how many model calls that is at most: all that is known before the run.

Walks with a stack of its own, as nodes may be nested deeper than Python calls. A node that stands in many places is counted
once, so totals are quick also where the rows would be many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast, final

from swarmlet.graph.bound import ITEMS, TOOL_CALLS, Bound
from swarmlet.graph.building import Broken
from swarmlet.graph.shape import Leaf
from swarmlet.policy.retry import Retry

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode, Shape
    from swarmlet.policy.options import Options


class Outlined(Protocol):
    """What can be walked: a node, or what a plan knows of one."""

    @property
    def name(self) -> str:
        """How its steps are called in paths."""
        ...

    @property
    def shape(self) -> Shape:
        """What it is made of."""
        ...

    @property
    def options(self) -> Options:
        """What was set on it."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One node where it stands in an outline. The numbers are for one execution of it, with everything under it."""

    depth: int
    path: str
    """The paths that its steps have in a run: `solve/attempt[i]/review`."""
    label: str
    """What the path has more than that of the row above it."""
    what: str
    """`agent`, `ask`, `node`, `graph`, a combinator such as `loop`, or `broken`: a graph that could not be built."""
    limits: str
    """What bounds it: `at most 5 rounds`."""
    options: str
    """The options that were set on it."""
    calls: Bound
    """The most model calls, each counted once however often it is tried again."""
    attempts: Bound
    """The most model calls, with all retries."""


@final
class Outline:
    """The rows of a node, the node itself first, and their worst case. Made by `Plan.outline`."""

    def __init__(self, root: Outlined) -> None:
        self._root = _Place(root, root.name, Retry().attempts)
        self._costs: dict[_Key, _Cost] = {}
        _count(self._root, self._costs)

    @property
    def calls(self) -> Bound:
        """The most model calls that one run makes, each counted once however often it is tried again."""
        return self._costs[self._root.key].calls

    @property
    def attempts(self) -> Bound:
        """The most model calls that one run makes, with all retries."""
        return self._costs[self._root.key].attempts

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The node and all that is in it, each below what it is in."""
        return tuple(self._walk())

    def __str__(self) -> str:
        rows = self.rows
        lines = list(_table(rows[:_SHOWN]))
        if len(rows) > _SHOWN:
            lines.append(f"and {len(rows) - _SHOWN:,} rows more")
        lines += ["", f"model calls: at most {self.calls}", f"with retries: at most {self.attempts}"]
        if any(cost.opaque for cost in self._costs.values()):
            lines.append("not counted: nodes that functions run themselves, with current().run(...)")
        return "\n".join(lines)

    def _walk(self) -> Iterator[Row]:
        root = self._root
        stack = [(0, root.node.name, root.node.name, "", root)]
        while stack:
            depth, path, label, when, place = stack.pop()
            cost = self._costs[place.key]
            shape = place.node.shape
            yield Row(
                depth,
                path,
                label,
                _what(shape),
                ", ".join([*filter(None, [when]), *_limits(shape)]),
                " ".join(_settings(place.node.options)),
                cost.calls,
                cost.attempts,
            )
            for inner in reversed(list(place.inside())):
                label = inner.suffix.removeprefix("/") if inner.suffix.startswith("/") else inner.place.label
                stack.append((depth + 1, path + inner.suffix, label, inner.when, inner.place))


# Counting

_Key: TypeAlias = tuple[int, str, int]


@final
@dataclass(frozen=True, slots=True)
class _Cost:
    calls: Bound
    attempts: Bound
    opaque: bool
    """Whether it is a function that can run nodes itself."""


@final
@dataclass(frozen=True, slots=True)
class _Place:
    """A node where it stands."""

    node: Outlined
    label: str
    """The last part of its path, by which its list is called."""
    around: int
    """How often the nodes around it let a model call be tried."""

    @property
    def key(self) -> _Key:
        """Where this is the same, the cost is. A label counts only where a list is called by it."""
        first = next(iter(self.node.shape.parts()), None)
        named = first is not None and first.suffix.startswith("[")
        return id(self.node), self.label if named else "", self.around

    @property
    def attempts(self) -> int:
        """How often a model call in it is tried."""
        retry = self.node.options.retry
        return self.around if retry is None else retry.attempts

    def inside(self) -> Iterator[_Inner]:
        """What may run under it."""
        node, attempts = self.node, self.attempts
        for part in node.shape.parts():
            last = part.suffix.rpartition("/")[2]
            label = last if part.suffix.startswith("/") else self.label + last
            times = Bound.symbol(ITEMS + self.label) if part.times is None else Bound.of(part.times)
            yield _Inner(part.suffix, _Place(part.node, label, attempts), times, part.either)
        if isinstance(node.shape, Leaf):
            # What a model asks for in its last turn is not run, as nobody would hear of it.
            asked = Bound.symbol(TOOL_CALLS + node.name) if node.shape.calls > 1 else Bound()
            for tool in node.shape.tools:
                yield _Inner(f"/{tool.name}", _Place(tool, tool.name, attempts), asked, either=True, when="a tool")
        if node.options.fallback is not None:
            other = cast("AnyNode", node.options.fallback)
            place = _Place(other, other.name, self.around)
            yield _Inner(f"/~{other.name}", place, Bound.of(1), either=False, when=f"if {node.name} fails")


@final
@dataclass(frozen=True, slots=True)
class _Inner:
    """A place in another, and how often it may run."""

    suffix: str
    place: _Place
    times: Bound
    either: bool
    when: str = ""


def _count(root: _Place, costs: dict[_Key, _Cost]) -> None:
    """Find the cost of `root` and of all places in it, the innermost first."""
    stack = [root]
    while stack:
        place = stack[-1]
        inside = [] if place.key in costs else list(place.inside())
        if todo := [inner.place for inner in inside if inner.place.key not in costs]:
            stack += todo
            continue
        stack.pop()
        if place.key not in costs:
            costs[place.key] = _cost(place, [(inner, costs[inner.place.key]) for inner in inside])


def _cost(place: _Place, inside: list[tuple[_Inner, _Cost]]) -> _Cost:
    shape = place.node.shape
    own = shape.calls if isinstance(shape, Leaf) else 0
    calls = [(inner.either, cost.calls * inner.times) for inner, cost in inside]
    attempts = [(inner.either, cost.attempts * inner.times) for inner, cost in inside]
    opaque = isinstance(shape, Leaf) and not shape.inline and not shape.retries_itself
    return _Cost(_sum(own, calls), _sum(own * place.attempts, attempts), opaque)


def _sum(own: int, inside: list[tuple[bool, Bound]]) -> Bound:
    one_of = Bound.either(bound for either, bound in inside if either)
    return Bound.total([Bound.of(own), one_of, *(bound for either, bound in inside if not either)])


# Words


def _what(shape: Shape) -> str:
    if isinstance(shape, Leaf):
        if isinstance(shape.call, Broken):
            return "broken"
        return "ask" if shape.asks else "agent" if shape.retries_itself else "node"
    return shape.word or "graph"


_LIMITS: Mapping[str, Sequence[tuple[str, str]]] = {
    "each": [("concurrency", "{} at once"), ("enough", "until {} succeed")],
    "loop": [("rounds", "at most {} rounds")],
    "vote": [("of", "of {}"), ("quorum", "quorum {}"), ("concurrency", "{} at once")],
    "best": [("of", "of {}"), ("enough", "until a score of {}"), ("concurrency", "{} at once")],
    "hedge": [("tries", "at most {} tries"), ("after", "again after {} seconds")],
    "race": [("runners", "the first of {}")],
    "cascade": [("rungs", "at most {} rungs")],
    "team": [("handoffs", "at most {} handoffs")],
}
"""By the combinator's word: the fields of its shape that bound it, and how they are said."""


def _limits(shape: Shape) -> Iterator[str]:
    """What bounds a node."""
    if isinstance(shape, Leaf):
        if shape.calls:
            yield _counted("at most {} turns", shape.calls)
        return
    said = _LIMITS.get(shape.word, ())
    parts = list(shape.parts()) if shape.word else []
    if any(part.times is None for part in parts):
        yield "each item"
    if not said and (arms := sum(part.either for part in parts)):
        yield f"one of {arms}"
    for name, text in said:
        value: object = getattr(shape, name)
        if value is not None:
            yield _counted(text, len(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value)


def _counted(text: str, count: object) -> str:
    return text.format(_short(count)).removesuffix("s" if count == 1 else "")


def _settings(options: Options) -> Iterator[str]:
    """The options that are set, as `name=value`."""
    for one in fields(options):
        value: object = getattr(options, one.name)
        if value is not None:
            yield f"{one.name}={_short(value)}"


def _short(value: object) -> str:
    if isinstance(value, Retry):
        return str(value.attempts)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return f"{value:g}" if isinstance(value, float) else str(getattr(value, "name", value))


def _brief(bound: Bound) -> str:
    """A bound that fits a column."""
    return str(bound) if len(bound.terms) <= _TERMS else f"{Bound(bound.terms[:_TERMS])} + ..."


_TERMS = 3
_SHOWN = 1000
"""Rows of a table. A graph that uses another twice, which uses another twice, has more than anybody reads."""
_HEADINGS = ("step", "what", "bound", "options", "calls", "with retries")


def _table(rows: tuple[Row, ...]) -> Iterator[str]:
    """Aligned lines. Columns with nothing in them are left out."""
    cells = [
        ("  " * row.depth + row.label, row.what, row.limits, row.options, _brief(row.calls), _brief(row.attempts))
        for row in rows
    ]
    columns = [(heading, *column) for heading, *column in zip(_HEADINGS, *cells, strict=True) if any(column)]
    widths = [max(map(len, column)) for column in columns]
    for line in zip(*columns, strict=True):
        first, counts = line[:-2], line[-2:]
        left = [cell.ljust(width) for cell, width in zip(first, widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(counts, widths[-2:], strict=True)]
        yield "  ".join([*left, *right])
