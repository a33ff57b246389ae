"""JSON Schema that the model API accepts, made from Python types.

An agent's output type and a tool's parameters both become a schema on the wire, and both come back as JSON
text. This room turns any type that pydantic understands into the subset of JSON Schema that OpenAI's
structured outputs and function tools take, and reads replies back. It refuses at build time what the API
would refuse at run time: one bad schema makes the server reject the whole request.

Below it is only pydantic. It knows nothing of agents, models or HTTP.

The rules are those of https://developers.openai.com/api/docs/guides/structured-outputs (as of November 2026):
the root is an object, every object is closed and lists every property as required, unions are `anyOf`, and
there is no `default`, `oneOf`, `allOf`, `prefixItems`, `uniqueItems` or regex look-around. What the API
cannot enforce is told to the model in the description, and pydantic checks every reply anyway.

    Python                                      on the wire
    a field with a default                      required: the model must state every field
    tuple[int, str], NamedTuple                 an array of 2, items int or string; pydantic checks the order
    set[T]                                      an array
    dict[str, T], extra="allow", NotRequired    as it is, and the whole schema is `strict=False`
    Any, object, JsonValue                      the empty schema, and the whole schema is `strict=False`
    anything but an object at the top           {"value": ...}
    Callable, bytes, complex, own classes       GraphError, with the path to the field
"""

from __future__ import annotations

import itertools
import json
import re
import types
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Literal, NamedTuple, TypeVar, Union
from typing import get_args as arguments_of
from typing import get_origin as origin_of

from pydantic import (
    ConfigDict,
    Field,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    TypeAdapter,
    create_model,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic.warnings import ArbitraryTypeWarning
from pydantic_core import SchemaError

from swarmlet.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydantic import JsonValue
    from pydantic_core import core_schema
    from typing_extensions import TypeForm

T = TypeVar("T")

MAX_DEPTH: Final = 10
MAX_PROPERTIES: Final = 5_000
MAX_ENUM_VALUES: Final = 1_000
MAX_NAME_CHARACTERS: Final = 120_000

_FORMATS: Final = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
# minLength and maxLength are not in the guide, but the API takes them (pydantic-ai #7400 tried it live).
_KEPT: Final = frozenset(
    {"type", "pattern", "format", "minLength", "maxLength", "minItems", "maxItems"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
)
# Constraints the API does not take. The model is told of them in words, so that it can still keep them.
_TOLD: Final = frozenset({"uniqueItems", "minProperties", "maxProperties", "propertyNames", "contentMediaType"})
_LOOK_AROUND: Final = re.compile(r"\(\?<?[=!]")
_JSON_TYPES: Final[dict[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
_REFUSED: Final = "x-swarmlet-refused"
_PYDANTIC_ERRORS: Final = (PydanticUserError, PydanticUndefinedAnnotation, SchemaError)


@dataclass(frozen=True, slots=True)
class OutputSchema(Generic[T]):
    """A type as the model API sees it, and the way back from a reply to a value of the type."""

    name: str
    """Names the schema on the wire: letters, digits, `_` and `-`, 1 to 64 of them."""
    schema: dict[str, JsonValue]
    """The JSON Schema. Its root is always an object."""
    strict: bool
    """Whether the API can enforce the schema. False if a part of it is open: unknown keys, or any type."""
    wrapped: bool
    """Whether the value travels as `{"value": ...}`, because on its own it is not an object."""
    _read: Callable[[str], T] = field(repr=False, compare=False)

    def parse(self, text: str) -> T:
        """Read a reply. Raises `pydantic.ValidationError` if it is no JSON or does not fit the type."""
        return self._read(text)


def output_schema(type_: TypeForm[T]) -> OutputSchema[T]:
    """Make the wire schema of a type: a model, dataclass, TypedDict, union, list, enum, `str`, ...

    Raises GraphError, naming the type and the path to each field that is at fault, if JSON or the API cannot
    express the type or if it is larger than the API takes.
    """
    name = schema_name(type_)
    try:
        adapter = TypeAdapter(type_)
        raw = adapter.json_schema(schema_generator=_Generator)
        wrapped = raw.get("type") != "object"
        read: Callable[[str], T] = _unwrapping(type_, name) if wrapped else adapter.validate_json
    except _PYDANTIC_ERRORS as error:
        _explain(type_, name)
        raise GraphError(f"no schema for {name!r}: {error}") from error
    _check_expressible(raw, name)
    schema = _wire_schema(raw, wrapped=wrapped)
    strict = not any(_is_open(place.node) for place in _places(schema, name))
    if strict:
        _check_limits(schema, name)
    return OutputSchema(name=name, schema=schema, strict=strict, wrapped=wrapped, _read=read)


def schema_name(type_: object) -> str:
    """Name a type in letters the API takes: `list_Ticket` for `list[Ticket]`, `A_or_None` for `A | None`."""
    return re.sub(r"[^a-zA-Z0-9-]+", "_", _words(type_)).strip("_")[:64] or "reply"


def _words(type_: object) -> str:
    origin, arguments = origin_of(type_), arguments_of(type_)
    if origin is Annotated:
        return _words(arguments[0])
    if origin in {Union, types.UnionType}:
        return " or ".join(map(_words, arguments))
    if origin is Literal:
        return " ".join(["Literal", *map(str, arguments)])
    own = str(getattr(origin or type_, "__name__", type_))
    return " ".join(["None" if own == "NoneType" else own, *map(_words, arguments)])


# From the type to pydantic's schema


def _explain(type_: TypeForm[object], name: str) -> None:
    """Raise with the path to what pydantic refused: its own error has the class, but not where it stands."""
    try:
        with warnings.catch_warnings(action="ignore", category=ArbitraryTypeWarning):
            raw = TypeAdapter(_wrapper(type_, name, lenient=True)).json_schema(schema_generator=_Generator)
    except _PYDANTIC_ERRORS:
        return
    value = raw.get("properties", {}).get("value", {})
    _check_expressible({**value, "$defs": raw.get("$defs", {})}, name)


def _wrapper(type_: TypeForm[object], name: str, *, lenient: bool = False) -> type[Any]:
    # Any: the model is made here, no checker can know its field. The type may bring an alias of its own.
    value = Field(..., alias="value", validation_alias="value")
    return create_model(name, __config__=ConfigDict(arbitrary_types_allowed=lenient), value=(type_, value))


def _unwrapping(type_: TypeForm[T], name: str) -> Callable[[str], T]:
    wrapper = _wrapper(type_, name)

    def read(text: str) -> T:
        value: T = wrapper.model_validate_json(text).value
        return value

    return read


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, with a mark where it would raise: only the finished schema knows the path."""

    # Any: pydantic names the type of the argument only in private.
    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {_REFUSED: f"pydantic has no JSON form for {error_info}"}

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        return {_REFUSED: f"{_words(schema['cls'])!r} has no JSON form"}

    def is_subclass_schema(self, schema: core_schema.IsSubclassSchema) -> JsonSchemaValue:
        return {_REFUSED: "a class has no JSON form"}

    def callable_schema(self, schema: core_schema.CallableSchema) -> JsonSchemaValue:
        return {_REFUSED: "a callable has no JSON form"}

    def complex_schema(self, schema: core_schema.ComplexSchema) -> JsonSchemaValue:
        return {_REFUSED: "'complex' has no JSON form"}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Pydantic's pattern looks around, which the API refuses, and without one a model may write digits for ever."""
        numbers, digits = super().decimal_schema(schema), schema.get("max_digits")
        options: list[JsonSchemaValue] = numbers.get("anyOf", []) if digits is not None else []
        for text in (option for option in options if option.get("type") == "string"):
            text.update(_digits(digits or 0, schema.get("decimal_places")))
        return numbers

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    # Any: as above. A dataclass field with init=False is not for the model to state.
    def field_is_present(self, field: Any) -> bool:
        return field.get("init", True) is not False

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        return field["type"] != "typed-dict-field" or field.get("required", total)


def _digits(most: int, places: int | None) -> JsonSchemaValue:
    """The text of a Decimal with at most so many digits, of which so many stand behind the point."""
    behind = most if places is None else places
    before = max(1, most - (places or 0))
    fraction = rf"(\.[0-9]{{1,{behind}}})?" if behind else ""
    return {"pattern": rf"^-?[0-9]{{1,{before}}}{fraction}$", "maxLength": before + behind + 2}


# What a schema has, and where


class _Place(NamedTuple):
    node: JsonSchemaValue
    path: str
    """As a person would write it: `Reply.lines[].price`, `Reply > Ticket.price` for a type in the type."""
    depth: int
    """How many objects and arrays deep it stands, as written: behind a `$ref` the count starts anew."""


def _places(node: JsonSchemaValue, path: str, depth: int = 1) -> Iterator[_Place]:
    yield _Place(node, path, depth)
    for key, definition in node.get("$defs", {}).items():
        yield from _places(definition, path if key == path else f"{path} > {key}")
    for option in itertools.chain.from_iterable(node.get(key, ()) for key in ("anyOf", "oneOf", "allOf")):
        yield from _places(option, path, depth)
    for key, value in node.get("properties", {}).items():
        yield from _places(value, f"{path}.{key}", depth + 1)
    inside: list[JsonSchemaValue | bool | None] = [*node.get("prefixItems", ()), node.get("items")]
    inside.append(node.get("additionalProperties"))
    for item in inside:
        if isinstance(item, dict):
            yield from _places(item, f"{path}[]", depth + 1)


def _check_expressible(raw: JsonSchemaValue, name: str) -> None:
    told = ((place.path, _why_not(place.node)) for place in _places(raw, name))
    if problems := [f"no schema for {path!r}: {why}" for path, why in told if why]:
        raise GraphError(problems)


def _why_not(node: JsonSchemaValue) -> str | None:
    if what := node.get(_REFUSED):
        return f"{what}; use a type that has one, or give it one with pydantic.WithJsonSchema and a validator"
    if node.get("format") == "binary":
        return "bytes have no JSON form; use str, or pydantic.Base64Bytes"
    if len(node.get("allOf", ())) > 1:
        return "the API takes no allOf; write the combined schema"
    if any(type(value) not in _JSON_TYPES for value in _values(node)):
        return "the values of an enum must be strings, numbers, booleans or None"
    return None


def _is_open(node: JsonSchemaValue) -> bool:
    """Whether strict mode cannot express the node: unknown keys, keys that may be missing, or any type."""
    if node.get("type") == "object":
        return node["additionalProperties"] is not False or set(node["required"]) != set(node["properties"])
    return not node.keys() & {"type", "anyOf", "$ref"}


def _check_limits(schema: JsonSchemaValue, name: str) -> None:
    places = list(_places(schema, name))
    nodes = [place.node for place in places]
    containers = [place for place in places if place.node.keys() & {"items", "properties"}]
    names = [key for node in nodes for part in ("properties", "$defs") for key in node.get(part, ())]
    values = [value for node in nodes for value in node.get("enum", ())]
    texts = [*names, *values, *(node["const"] for node in nodes if "const" in node)]
    sizes = {
        "levels of nesting": (max(depth for _, _, depth in containers), MAX_DEPTH),
        "properties": (sum(len(node.get("properties", ())) for node in nodes), MAX_PROPERTIES),
        "enum values": (len(values), MAX_ENUM_VALUES),
        "characters in names and enum values": (sum(len(str(text)) for text in texts), MAX_NAME_CHARACTERS),
    }
    problems = [
        f"the schema of {name!r} has {size} {what}, the API takes {limit}: split the type over several calls"
        for what, (size, limit) in sizes.items()
        if size > limit
    ]
    if problems:
        raise GraphError(problems)


# From pydantic's schema to the API's


def _wire_schema(raw: JsonSchemaValue, *, wrapped: bool) -> JsonSchemaValue:
    root = {"type": "object", "properties": {"value": raw}, "required": ["value"]} if wrapped else raw
    schema = _clean(root)
    if definitions := raw.get("$defs"):
        schema["$defs"] = {key: _clean(node) for key, node in definitions.items()}
    return schema


def _clean(node: JsonSchemaValue) -> JsonSchemaValue:
    if "allOf" in node:
        (only,) = node["allOf"]
        return _clean({**only, **{key: value for key, value in node.items() if key != "allOf"}})
    untold = _untakable(node)
    kept = {key: value for key, value in node.items() if key in _KEPT - untold}
    told = _description(node, untold)
    if "$ref" in node:
        # The API refuses anything beside a $ref, but takes a description beside an anyOf.
        return {"anyOf": [{"$ref": node["$ref"]}], **told} if told else {"$ref": node["$ref"]}
    if options := node.get("anyOf") or node.get("oneOf"):
        return {"anyOf": _distinct(options), **told}
    if "enum" in node or "const" in node:
        return _typed_values(node) | told
    if node.get("type") == "object":
        kept |= _object(node)
    elif node.get("type") == "array":
        kept |= _array(node)
    return kept | told


def _untakable(node: JsonSchemaValue) -> set[str]:
    untakable: set[str] = {key for key in _TOLD if key in node}
    if node.get("format", "date") not in _FORMATS:
        untakable.add("format")
    if _LOOK_AROUND.search(node.get("pattern", "")):
        untakable.add("pattern")
    return untakable


def _description(node: JsonSchemaValue, untakable: set[str]) -> JsonSchemaValue:
    constraints = ", ".join(f"{key}: {json.dumps(node[key])}" for key in sorted(untakable))
    own: str = node.get("description", "")
    text = f"{own} ({constraints})".strip() if constraints else own
    return {"description": text} if text else {}


def _values(node: JsonSchemaValue) -> list[object]:
    return node["enum"] if "enum" in node else [node["const"]] if "const" in node else []


def _typed_values(node: JsonSchemaValue) -> JsonSchemaValue:
    """An enum or a const. The API asks for a type at every node; pydantic gives none where types differ."""
    kinds = sorted({_JSON_TYPES[type(value)] for value in _values(node)})
    values = {key: value for key, value in node.items() if key in {"enum", "const"}}
    return {"type": kinds[0] if len(kinds) == 1 else kinds, **values}


def _object(node: JsonSchemaValue) -> JsonSchemaValue:
    others = node.get("additionalProperties", False)
    return {
        "properties": {key: _clean(value) for key, value in node.get("properties", {}).items()},
        "required": node.get("required", []),
        "additionalProperties": others if isinstance(others, bool) else _clean(others),
    }


def _array(node: JsonSchemaValue) -> JsonSchemaValue:
    first: list[JsonSchemaValue] = node.get("prefixItems", [])
    rest: list[JsonSchemaValue] = [node["items"]] if "items" in node else []
    # A node must have a type, also the items of the empty tuple.
    nothing: JsonSchemaValue = {"type": "null"} if node.get("maxItems") == 0 else {}
    options = _distinct([*first, *rest] or [nothing])
    items = options[0] if len(options) == 1 else {"anyOf": options}
    return {"items": items, "minItems": len(first)} if first else {"items": items}


def _distinct(options: Iterable[JsonSchemaValue]) -> list[JsonSchemaValue]:
    return list({json.dumps(option, sort_keys=True): option for option in map(_clean, options)}.values())
