"""What a graph was: its structure as a digest, and as rows that a person can compare.

A journal keeps the fingerprint of the graph that made a run, and a run is resumed with a graph of the same one. It has all by
which recorded steps are found and read again: paths, what stands there, types and their fields, where arguments come from,
bounds such as `rounds`, what models see of agents. It has nothing of function bodies, prompts and instructions, of options,
and of how many steps run at once: those may change before a run is resumed.

Nodes are walked with a stack, each once however many places it has, so the digest is quick where the rows would be many.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, cast, final
from weakref import WeakKeyDictionary

from swarmlet.graph.building import Broken
from swarmlet.graph.changes import changes
from swarmlet.graph.flat import Flattener, Wired
from swarmlet.graph.plan import GraphShape
from swarmlet.graph.rows import VERSION, Fields, Fingerprint, Piece, Row, Wire, dump, load
from swarmlet.graph.shape import Leaf
from swarmlet.graph.spell import Speller, clean, digest_of, origin_text

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode, Shape

__all__ = ["ROWS", "Fields", "Fingerprint", "Piece", "Row", "Wire", "changes", "dump", "fingerprint", "load"]

ROWS = 2_000
"""How many rows are kept for people. The digest is of everything."""
_CHARACTERS = 500_000
"""How long the paths of the rows may be together."""


_known: WeakKeyDictionary[AnyNode, Fingerprint] = WeakKeyDictionary()


def fingerprint(node: AnyNode) -> Fingerprint:
    """What `node` is made of. It is computed once for each node, which never changes."""
    found = _known.get(node)
    if found is None:
        found = _known[node] = _Reader(node).read()
    return found


@final
@dataclass(slots=True)
class _Known:
    """What was read of one node, which is held so that its id stays its own."""

    node: AnyNode
    inside: list[tuple[str, AnyNode]]
    piece: Piece
    digest: str = ""


class _Reader:
    """Reads one node and all that is in it."""

    def __init__(self, root: AnyNode) -> None:
        self._root = root
        self._speller = Speller()
        self._flattener = Flattener()
        self._known: dict[int, _Known] = {}

    def read(self) -> Fingerprint:
        """The fingerprint."""
        self._read_all()
        name = clean(self._root.name)
        types = tuple(sorted((Fields(*one) for one in self._speller.listed()), key=lambda one: one.name))
        facts = [[one.name, one.fields] for one in types]
        digest = digest_of(VERSION, name, self._known[id(self._root)].digest, facts)
        rows, rest = self._rows(name)
        return Fingerprint(digest, rows, types, rest)

    def _read_all(self) -> None:
        """Find the pieces and digests of all nodes, the innermost digests first."""
        stack = [self._root]
        while stack:
            node = stack[-1]
            known = self._known.get(id(node))
            if known is None:
                known = self._known[id(node)] = self._look(node)
                # In the order of their paths, as the order of lines in a graph means nothing.
                inner = sorted(known.inside, key=lambda one: one[0], reverse=True)
                stack += [one for _, one in inner if id(one) not in self._known]
                continue
            stack.pop()
            if not known.digest:
                inside = sorted((suffix, self._known[id(one)].digest) for suffix, one in known.inside)
                known.digest = digest_of(_told(known.piece), inside)

    def _rows(self, name: str) -> tuple[tuple[Row, ...], str]:
        rows: list[Row] = []
        characters = 0
        stack = [("", self._root)]
        while stack and len(rows) < ROWS and characters < _CHARACTERS:
            below, node = stack.pop()
            known = self._known[id(node)]
            rows.append(Row(name + below, known.piece))
            characters += len(below)
            stack += [(below + clean(suffix), inner) for suffix, inner in reversed(known.inside)]
        left = [(below, self._known[id(node)].digest) for below, node in stack]
        return tuple(rows), digest_of(left) if left else ""

    # One node

    def _look(self, node: AnyNode) -> _Known:
        shape = node.shape
        steps = self._flattener.flat(shape.plan) if isinstance(shape, GraphShape) else None
        inside = [(part.suffix, part.node) for part in shape.parts()] if steps is None else steps.nodes
        wiring = sorted(_wires(steps, self._speller)) if steps is not None else []
        signature, types = self._signature(node)
        facts = self._facts(shape, inside) if steps is None else ()
        piece = Piece(
            what=_what(shape),
            origin=origin_text(node.origin),
            signature=signature,
            types=types,
            facts=tuple(sorted((clean(name), clean(text)) for name, text in facts)),
            wiring=tuple(Wire(*one) for one in wiring[:ROWS]),
            rest=digest_of(wiring[ROWS:]) if len(wiring) > ROWS else "",
        )
        if isinstance(shape, Leaf):
            inside = [(f"/{tool.name}", tool) for tool in shape.tools]
        if node.options.fallback is not None:
            other = cast("AnyNode", node.options.fallback)
            inside = [*inside, (f"/~{other.name}", other)]
        return _Known(node, inside, piece)

    def _signature(self, node: AnyNode) -> tuple[str, tuple[str, ...]]:
        parameters: list[str] = []
        types: dict[str, None] = {}
        for one in node.signature.parameters:
            text, used = self._speller.spell(one.annotation)
            types |= dict.fromkeys(used)
            optional = "" if one.default is inspect.Parameter.empty else " = ..."
            parameters.append(f"{_STARS.get(one.kind, '')}{one.name}: {text}{optional}")
        returns, used = self._speller.spell(node.signature.returns)
        types |= dict.fromkeys(used)
        return f"({clean(', '.join(parameters))}) -> {returns}", tuple(types)

    def _facts(self, shape: Shape, inside: Sequence[tuple[str, AnyNode]]) -> Iterator[tuple[str, str]]:
        """What a combinator's fields say: bounds as they are, nodes by their place, functions by where they are defined."""
        if isinstance(shape, Leaf):
            yield from _schemas(shape)
            return
        places = {id(node): suffix.lstrip("/") for suffix, node in reversed(inside)}
        for one in fields(cast("Mapping[str, object]", shape)):  # type: ignore[arg-type]  # shapes are dataclasses
            value: object = getattr(shape, one.name)
            if one.name not in _FREE and (text := self._fact(value, places)):
                yield one.name, text

    def _fact(self, value: object, places: Mapping[int, str]) -> str:
        if id(value) in places:
            return "" if places[id(value)] == "[i]" else places[id(value)]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None or isinstance(value, (bool, int, float)):
            return "" if value is None else str(value)
        if isinstance(value, str):
            return value
        if isinstance(value, tuple):
            parts = cast("tuple[object, ...]", value)
            nodes = [one for one in parts if id(one) in places]  # else it is nodes with their names
            return ", ".join(filter(None, (self._fact(one, places) for one in nodes or parts)))
        if isinstance(value, Mapping):
            pairs = cast("Mapping[object, object]", value).items()
            return ", ".join(sorted(f"{self._key(key)}: {place}" for key, one in pairs if (place := self._fact(one, places))))
        if isinstance(value, type):
            return self._speller.spell(value)[0]
        if hasattr(value, "__dataclass_fields__"):
            inner = ((one.name, getattr(value, one.name)) for one in fields(cast("Wire", value)))
            return ", ".join(f"{name} {text}" for name, one in inner if (text := self._fact(one, places)))
        if callable(value):
            module = str(getattr(value, "__module__", "?"))
            name = getattr(value, "__qualname__", type(value).__qualname__)
            return "" if module.startswith("swarmlet.") else origin_text(f"{module}:{name}")
        return ""

    def _key(self, value: object) -> str:
        if isinstance(value, Enum):
            return f"{type(value).__name__}.{value.name}"
        return ascii(value) if isinstance(value, str) else self._speller.constant(value)


_FREE = frozenset({"concurrency", "warm", "budget", "on"})
"""Fields of shapes that are options, say only how many steps run at once, or which failures an item may have."""
_STARS: Mapping[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
_WORDS = frozenset({"description", "title", "examples"})
_MAPS = frozenset({"properties", "$defs", "patternProperties", "dependentSchemas"})


def _told(piece: Piece) -> list[object]:
    wiring = [[one.step, one.parameter, one.source] for one in piece.wiring]
    return [piece.what, piece.origin, piece.signature, piece.facts, wiring, piece.rest]


def _what(shape: Shape) -> str:
    if isinstance(shape, Leaf):
        if isinstance(shape.call, Broken):
            return "broken"
        return "ask" if shape.asks else "agent" if shape.retries_itself else "node"
    return shape.word or "graph"


def _schemas(leaf: Leaf) -> Iterator[tuple[str, str]]:
    if leaf.facts is not None:
        yield from ((name, digest_of(_without_words(schema))) for name, schema in leaf.facts().items() if schema is not None)


def _without_words(schema: object) -> object:
    """A JSON schema without what only explains it, as instructions do."""
    if isinstance(schema, Mapping):
        pairs = cast("Mapping[str, object]", schema).items()
        return {
            key: {name: _without_words(one) for name, one in cast("Mapping[str, object]", value).items()}
            if key in _MAPS and isinstance(value, Mapping)
            else value
            if key in ("enum", "const", "default")
            else _without_words(value)
            for key, value in pairs
            if key not in _WORDS
        }
    if isinstance(schema, (list, tuple)):
        return [_without_words(one) for one in cast("Sequence[object]", schema)]
    return schema


def _wires(steps: Wired, speller: Speller) -> Iterator[tuple[str, str, str]]:
    """Step, parameter and source of each argument, and the graph's result."""
    for step, parameter, source in steps.sources(speller):
        yield clean(step), clean(parameter), clean(source)
