"""What a fingerprint is made of, and how it is written as JSON and read back.

`fingerprint` makes one of a graph, `changes` compares two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Literal, TypeAlias, cast, final

from pydantic import StringConstraints, TypeAdapter

VERSION: Literal[1] = 1
"""Stands in each digest and in the JSON, and changes where the same graph would get another digest."""


@final
@dataclass(frozen=True, slots=True)
class Wire:
    """Where one argument of a step comes from."""

    step: str
    """The step's path below the graph; empty for the graph's result."""
    parameter: str
    source: str
    """`task` is an input of the graph, `write()` the result of a step."""


@final
@dataclass(frozen=True, slots=True)
class Piece:
    """A node, without what is in it."""

    what: str
    """`agent`, `ask`, `node`, `graph`, a combinator such as `loop`, or `broken`."""
    origin: str
    """Where it is defined: `module:qualified.name`."""
    signature: str
    types: tuple[str, ...]
    """The classes in the signature whose fields are known."""
    facts: tuple[tuple[str, str], ...]
    """What shapes it: `rounds`, `arms`, ..., and the digests of the schemas that a model sees."""
    wiring: tuple[Wire, ...]
    """Of a graph: where the arguments of its steps come from."""
    rest: str
    """The digest of what would make the wiring too long."""


@final
@dataclass(frozen=True, slots=True)
class Row:
    """A place in a graph, and what stands there."""

    path: str
    """As in a run: `solve/attempt[i]/review`."""
    piece: Piece


@final
@dataclass(frozen=True, slots=True)
class Fields:
    """What the values of a class are made of."""

    name: str
    """The class: `module:qualified.name`."""
    fields: tuple[tuple[str, str], ...]
    """Its fields and their types."""
    types: tuple[str, ...]
    """The classes that these name, whose fields are known."""


@final
@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A graph's structure. Graphs are the same where the digests are."""

    digest: str
    """32 hex digits, the same in every process and on every machine."""
    rows: tuple[Row, ...]
    """The places in the graph, the graph itself first, `ROWS` at most."""
    types: tuple[Fields, ...]
    rest: str
    """The digest of the places that have no row; empty if all have one."""


def dump(fingerprint: Fingerprint) -> bytes:
    """The fingerprint as JSON. What stands in many places is written once."""
    pieces: dict[int, int] = {}
    for row in fingerprint.rows:
        pieces.setdefault(id(row.piece), len(pieces))
    by_id = {id(row.piece): row.piece for row in fingerprint.rows}
    stored = _Stored(
        version=VERSION,
        digest=fingerprint.digest,
        rows=tuple((row.path, pieces[id(row.piece)]) for row in fingerprint.rows),
        pieces=tuple(by_id[one] for one in pieces),
        types=fingerprint.types,
        rest=fingerprint.rest,
    )
    return _adapter().dump_json(stored)


def load(content: bytes) -> Fingerprint:
    """What `dump` has written. Raises `ValueError` for anything else."""
    stored = _adapter().validate_json(content)
    if not stored.rows or any(not 0 <= index < len(stored.pieces) for _, index in stored.rows):
        raise ValueError("a fingerprint has rows, and each has a piece")
    rows = tuple(Row(path, stored.pieces[index]) for path, index in stored.rows)
    for text in _texts((stored.rows, stored.pieces, stored.types)):
        if not text.isprintable():
            raise ValueError(f"a fingerprint has text that can be printed, not {text[:80]!r}")
    return Fingerprint(stored.digest, rows, stored.types, stored.rest)


_Hex: TypeAlias = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{32}\z")]
_Rest: TypeAlias = Annotated[str, StringConstraints(pattern=r"\A([0-9a-f]{32})?\z")]


@final
@dataclass(frozen=True, slots=True)
class _Stored:
    version: Literal[1]
    digest: _Hex
    rows: tuple[tuple[str, int], ...]
    pieces: tuple[Piece, ...]
    types: tuple[Fields, ...]
    rest: _Rest


@cache
def _adapter() -> TypeAdapter[_Stored]:
    return TypeAdapter(_Stored)


def _texts(value: object) -> Iterator[str]:
    """All texts in what was read, which is only a few floors deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for one in cast("tuple[object, ...]", value):
            yield from _texts(one)
    elif isinstance(value, (Wire, Piece, Fields)):
        for one in fields(value):
            yield from _texts(getattr(value, one.name))
