"""The lines in which the API shows the parameters of a tool to the model, as far as that is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

_NESTED = ("items", "additionalProperties")
_CHOICES = ("anyOf", "oneOf", "allOf")


def lines(schema: Mapping[str, JsonValue]) -> Iterator[tuple[int, str]]:
    """Each line that is shown, after the tokens that stand around it.

    The published rule knows one level of parameters. It is taken to hold for those inside of them too, and for `$defs`.
    """
    properties = _mapping(schema.get("properties"))
    if properties:
        yield 3, ""
    for name, value in properties.items():
        yield from _parameter(name, _mapping(value))
    for definition in _mapping(schema.get("$defs")).values():
        yield from _inside(_mapping(definition))


def _parameter(name: str, schema: Mapping[str, JsonValue]) -> Iterator[tuple[int, str]]:
    described = str(schema.get("description", "")).removesuffix(".")
    yield 3, f"{name}:{_type(schema)}:{described}"
    yield from _inside(schema)


def _inside(schema: Mapping[str, JsonValue]) -> Iterator[tuple[int, str]]:
    if not schema:
        return
    if "enum" in schema:
        yield -3, ""
        yield from ((3, str(value)) for value in _sequence(schema["enum"]))
    yield from lines(schema)
    for key in _NESTED:
        if inner := _mapping(schema.get(key)):
            yield from _inside(inner)
    for key in _CHOICES:
        for choice in _sequence(schema.get(key)):
            yield from _inside(_mapping(choice))


def _type(schema: Mapping[str, JsonValue]) -> str:
    kind = schema.get("type")
    if kind is None:
        choices = [*_sequence(schema.get("anyOf")), *_sequence(schema.get("oneOf"))]
        return "|".join(_type(_mapping(choice)) for choice in choices) or str(schema.get("$ref", "any"))
    return "|".join(map(str, kind)) if isinstance(kind, list) else str(kind)


def _mapping(value: JsonValue | Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: JsonValue) -> Sequence[JsonValue]:
    return value if isinstance(value, list) else ()
