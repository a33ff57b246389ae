"""Where a step's argument comes from.

A plan numbers its values: the graph's inputs first, then the results of its steps. An expression reads from these slots
when the step is about to start. There are five kinds and no more: the data flow that a graph body may write down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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


Expr: TypeAlias = Slot | Const | Field | Item | Build


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
            return Field(substitute(of, replacements), name)
        case Item(of, key):
            return Item(substitute(of, replacements), key)
        case Build(make, parts):
            return Build(make, tuple(substitute(part, replacements) for part in parts))
