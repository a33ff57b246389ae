"""JSON schemas: what strict mode refuses, and the smallest value that fits one.

The rules are those of OpenAI's structured outputs (`strict: true`); a schema they refuse makes the API
refuse the whole request.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

from swarmlet.testing.requests import JsonObject

_REFUSED = frozenset(
    [
        "oneOf",
        "allOf",
        "not",
        "if",
        "then",
        "else",
        "default",
        "prefixItems",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "unevaluatedItems",
        "unevaluatedProperties",
        "dependentRequired",
        "dependentSchemas",
    ]
)
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"])
_SHAPES = ("type", "anyOf", "$ref", "enum", "const")
_MOST_LEVELS = 10
_MOST_PROPERTIES = 5000


def strict_schema_complaint(schema: JsonObject) -> str | None:
    """Return why the API would refuse `schema` in strict mode, or `None`."""
    if "anyOf" in schema or schema.get("type") != "object":
        return "the root of a schema must be an object, and not 'anyOf'."
    parts = list(_parts(schema, ""))
    if sum(len(part.get("properties", ())) for _, part in parts) > _MOST_PROPERTIES:
        return f"a schema may have {_MOST_PROPERTIES} object properties in total."
    if _levels(schema, 0) > _MOST_LEVELS:
        return f"a schema may be nested {_MOST_LEVELS} levels deep."
    return next((found for where, part in parts for found in _refusals(where, part, schema)), None)


def _parts(schema: JsonObject, where: str) -> Iterator[tuple[str, JsonObject]]:
    """Every schema within `schema`, itself first, with its place such as `properties.city`."""
    yield where or "root", schema
    for place, part in _children(schema):
        yield from _parts(part, f"{where}.{place}" if where else place)


def _children(schema: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for group in ("properties", "$defs", "definitions"):
        for name, part in schema.get(group, {}).items():
            yield f"{group}.{name}", part
    for position, part in enumerate(schema.get("anyOf", ())):
        yield f"anyOf[{position}]", part
    if isinstance(schema.get("items"), dict):
        yield "items", schema["items"]


def _levels(schema: JsonObject, level: int) -> int:
    deeper = level + ("properties" in schema)
    return max((_levels(part, deeper) for _, part in _children(schema)), default=deeper)


def _refusals(where: str, part: JsonObject, root: JsonObject) -> Iterator[str]:
    for keyword in sorted(_REFUSED.intersection(part)):
        yield f"in {where}, '{keyword}' is not permitted."
    if not any(shape in part for shape in _SHAPES):
        yield f"in {where}, schema must have a 'type' key."
    if "$ref" in part:
        yield from _reference_refusals(where, part, root)
    if "properties" in part or _is(part, "object"):
        yield from _object_refusals(where, part)
    if _is(part, "array") and "items" not in part:
        yield f"in {where}, array schema missing items."
    if part.get("format", "date") not in _FORMATS:
        yield f"in {where}, '{part['format']}' is not a valid format."


def _reference_refusals(where: str, part: JsonObject, root: JsonObject) -> Iterator[str]:
    beside = sorted(set(part) - {"$ref", "$defs", "definitions"})
    if beside:
        yield f"in {where}, $ref cannot have keywords {beside}."
    if _resolve(part["$ref"], root) is None:
        yield f"in {where}, reference {part['$ref']!r} cannot be resolved."


def _object_refusals(where: str, part: JsonObject) -> Iterator[str]:
    if part.get("additionalProperties") is not False:
        yield f"in {where}, 'additionalProperties' is required to be supplied and to be false."
    properties, required = set(part.get("properties", ())), set(part.get("required", ()))
    if properties - required:
        yield (
            f"in {where}, 'required' is required to be supplied and to be an array including every key in "
            f"properties. Missing {', '.join(map(repr, sorted(properties - required)))}."
        )
    if required - properties:
        yield f"in {where}, extra required keys {sorted(required - properties)} supplied."


def _is(part: JsonObject, kind: str) -> bool:
    declared = part.get("type")
    return kind in cast("list[str]", declared) if isinstance(declared, list) else declared == kind


def _resolve(reference: str, root: JsonObject) -> JsonObject | None:
    found = root
    for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        below = found.get(step)
        if not isinstance(below, dict):
            return None
        found = cast(JsonObject, below)
    return found


# --- samples


class _EndlessError(ValueError):
    """A schema contains itself on a way that has to be taken."""


_TEXTS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: JsonObject) -> object:
    """Return a small valid instance of `schema`, always the same one.

    The first of an enum or an anyOf, one item in an array (or `minItems`), `"text"`, `1`, `True`. What
    contains itself ends as early as it may. Patterns are not looked at.

    Raises:
        ValueError: no finite value fits the schema.
    """
    return _sample(schema, schema, frozenset())


def _sample(part: JsonObject, root: JsonObject, inside: frozenset[str]) -> object:
    if "$ref" in part:
        return _sample_reference(part["$ref"], root, inside)
    if "const" in part:
        return part["const"]
    if "enum" in part:
        return part["enum"][0]
    for arms in ("anyOf", "oneOf"):
        if arms in part:
            return _sample_first(part[arms], root, inside)
    match _kind(part):
        case "object":
            properties = part.get("properties", {}).items()
            return {name: _sample(value, root, inside) for name, value in properties}
        case "array":
            return _sample_array(part, root, inside)
        case "integer" | "number":
            return _sample_number(part)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            text = _TEXTS.get(part.get("format", ""), "text")
            return text.ljust(part.get("minLength", 0), "x")[: part.get("maxLength")]


def _kind(part: JsonObject) -> str:
    declared = part.get("type", "object" if "properties" in part else "string")
    return str(cast("list[object]", declared)[0] if isinstance(declared, list) else declared)


def _sample_reference(reference: str, root: JsonObject, inside: frozenset[str]) -> object:
    target = _resolve(reference, root)
    if target is None:
        raise ValueError(f"the schema refers to {reference!r}, which it does not have")
    if reference in inside:
        raise _EndlessError(f"no finite value fits {reference!r}: it always contains itself")
    return _sample(target, root, inside | {reference})


def _sample_first(arms: list[JsonObject], root: JsonObject, inside: frozenset[str]) -> object:
    for arm in arms[:-1]:
        try:
            return _sample(arm, root, inside)
        except _EndlessError:
            continue
    return _sample(arms[-1], root, inside)


def _sample_array(part: JsonObject, root: JsonObject, inside: frozenset[str]) -> list[object]:
    least = int(part.get("minItems", 0))
    if part.get("maxItems") == 0:
        return []
    try:
        return [_sample(part.get("items", {}), root, inside) for _ in range(max(1, least))]
    except _EndlessError:
        if least:
            raise
        return []


def _sample_number(part: JsonObject) -> float:
    whole = part.get("type") == "integer"
    step: float = part.get("multipleOf", 1)
    lows: list[float] = [part[key] for key in ("minimum", "exclusiveMinimum") if key in part]
    highs: list[float] = [part[key] for key in ("maximum", "exclusiveMaximum") if key in part]
    ends = [*lows, *highs, *((low + high) / 2 for low, high in zip(lows, highs, strict=False))]
    above = [-(-end // step) * step for end in ends]
    stepped = [start + shift for start in above for shift in (0, step, -step)]
    tries = [1, step, *stepped, *(() if whole or "multipleOf" in part else ends)]
    found = next((number for number in tries if _fits(number, part)), 1)
    return int(found) if whole else found


def _fits(number: float, part: JsonObject) -> bool:
    low: float = part.get("minimum", -math.inf)
    high: float = part.get("maximum", math.inf)
    above: float = part.get("exclusiveMinimum", -math.inf)
    below: float = part.get("exclusiveMaximum", math.inf)
    step: float = part.get("multipleOf", 1 if part.get("type") == "integer" else number or 1)
    return low <= number <= high and above < number < below and number % step == 0
