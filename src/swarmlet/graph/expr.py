"""Where a step's argument comes from.

A plan numbers its values: the graph's inputs first, then the results of its steps. An expression reads from these slots
when the step is about to start. There are five kinds and no more: the data flow that a graph body may write down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Slot:
    """The value in one slot."""

    index: int


@dataclass(frozen=True, slots=True)
class Const:
    """A value that was known when the graph was built."""

    value: object


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a value: `state.code`."""

    of: Expr
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """An element of a value by a constant key: `pair[0]`, `row["name"]`."""

    of: Expr
    key: object


@dataclass(frozen=True, slots=True)
class Build:
    """A container (list, tuple, dict, dataclass) that is put together from parts."""

    make: Callable[[Sequence[object]], object]
    parts: tuple[Expr, ...]
    places: Mapping[object, int]
    """Where the part that is read under a name, key or index stands among `parts`."""


Expr: TypeAlias = Slot | Const | Field | Item | Build


def field_of(of: Expr, name: str) -> Expr:
    """A field of `of`: of a container that is yet to be built, the part itself, so that nothing waits for the other parts."""
    return of.parts[of.places[name]] if isinstance(of, Build) and name in of.places else Field(of, name)


def item_of(of: Expr, key: object) -> Expr:
    """An element of `of`, with the same care."""
    if isinstance(of, Build) and isinstance(key, (int, str)) and key in of.places:
        return of.parts[of.places[key]]
    return Item(of, key)


def evaluate(expr: Expr, values: Sequence[object]) -> object:
    """The value of `expr`, given the values in the slots."""
    match expr:
        case Slot(index):
            return values[index]
        case Const(value):
            return value
        case Field(of, name):
            return getattr(evaluate(of, values), name)
        case Item(of, key):
            return evaluate(of, values)[key]  # type: ignore[index]  # checked when the graph was built
        case Build(make, parts):
            return make([evaluate(part, values) for part in parts])


def slots(expr: Expr) -> Iterator[int]:
    """The slots that `expr` reads."""
    match expr:
        case Slot(index):
            yield index
        case Const():
            pass
        case Field(of) | Item(of):
            yield from slots(of)
        case Build(_, parts):
            for part in parts:
                yield from slots(part)


def substitute(expr: Expr, replacements: Sequence[Expr]) -> Expr:
    """`expr` with each slot replaced: how a sub-graph's table becomes part of its caller's."""
    match expr:
        case Slot(index):
            return replacements[index]
        case Const():
            return expr
        case Field(of, name):
            return field_of(substitute(of, replacements), name)
        case Item(of, key):
            return item_of(substitute(of, replacements), key)
        case Build(make, parts, places):
            return Build(make, tuple(substitute(part, replacements) for part in parts), places)
