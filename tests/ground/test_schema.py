"""Schemas for the model API: what goes over the wire, and that a reply finds its way back."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    Never,
    NewType,
    NotRequired,
    Self,
    TypeVar,
    Union,
    cast,
)
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    RootModel,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    computed_field,
    create_model,
)
from typing_extensions import TypeAliasType, TypedDict

from swarmlet.errors import GraphError
from swarmlet.schema import OutputSchema, output_schema, schema_name

# An independent reading of the guide: keyword by keyword, what the API takes at a node of each type.

ANY = {"type", "description", "enum", "const"}
TAKEN = {
    "object": {"type", "description", "properties", "required", "additionalProperties", "$defs"},
    "array": {"type", "description", "items", "minItems", "maxItems"},
    "string": ANY | {"pattern", "format", "minLength", "maxLength"},
    "number": ANY | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "integer": ANY | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "boolean": ANY,
    "null": ANY,
}
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


def faults(node: dict[str, Any], root: dict[str, Any], at: str = "#") -> Iterator[str]:
    """Every breach of the strict rules at or under a node."""
    for name, definition in node.get("$defs", {}).items():
        if node is not root:
            yield f"{at}: $defs below the root"
        yield from faults(definition, root, f"{at}/$defs/{name}")
    if "$ref" in node:
        if set(node) - {"$ref", "$defs"}:
            yield f"{at}: something beside a $ref"
        if node["$ref"].removeprefix("#/$defs/") not in root["$defs"]:
            yield f"{at}: dangling {node['$ref']}"
    elif "anyOf" in node:
        if set(node) - {"anyOf", "description", "$defs"}:
            yield f"{at}: something beside an anyOf"
        if not node["anyOf"]:
            yield f"{at}: empty anyOf"
        for index, option in enumerate(node["anyOf"]):
            yield from faults(option, root, f"{at}/anyOf/{index}")
    elif "type" not in node:
        yield f"{at}: no type"
    else:
        yield from faults_of_typed(node, root, at)


def faults_of_typed(node: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    kinds: list[str] = [node["type"]] if isinstance(node["type"], str) else node["type"]
    if extra := set(node) - set[str]().union(*(TAKEN[kind] for kind in kinds)):
        yield f"{at}: {extra}"
    if node.get("format", "date") not in FORMATS:
        yield f"{at}: format {node['format']}"
    if node["type"] == "object":
        if node["additionalProperties"] is not False:
            yield f"{at}: open"
        if sorted(node["required"]) != sorted(node["properties"]):
            yield f"{at}: not all required"
        for key, value in node["properties"].items():
            yield from faults(value, root, f"{at}/{key}")
    if node["type"] == "array":
        yield from faults(node["items"], root, f"{at}/items")


def assert_strict(output: OutputSchema[Any]) -> None:
    assert output.strict
    assert output.schema["type"] == "object"
    assert list(faults(output.schema, output.schema)) == []
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", output.name)
    json.dumps(output.schema)


def round_trip(type_: Any, output: OutputSchema[Any], value: Any) -> Any:
    """Parse what a perfect model would reply for the value: JSON by alias, wrapped if asked."""
    dumped = TypeAdapter(type_).dump_python(value, mode="json", by_alias=True)
    return output.parse(json.dumps({"value": dumped} if output.wrapped else dumped))


def inner(output: OutputSchema[Any]) -> dict[str, Any]:
    assert output.wrapped
    assert output.schema["required"] == ["value"]
    return cast("dict[str, dict[str, Any]]", output.schema["properties"])["value"]


# Types


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    WORD = "w"
    NUMBER = 1


class Shape(enum.Enum):
    SQUARE = (1, 1)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(default=9, ge=1, le=9, description="How many are left.")


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str | None = None


class Owner(BaseModel):
    """A person with a pet."""

    pet: Cat | Dog = Field(discriminator="kind", description="The pet.")
    second: Cat = Field(description="Another one.")
    code: str = Field(pattern="^[A-Z]+$", min_length=2)
    since: date = date(2026, 1, 1)
    colours: set[Colour] = set()

    @computed_field
    def loud(self) -> bool:
        return self.pet.kind == "dog"


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Camel(BaseModel):
    first_name: str = Field(alias="firstName")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


@dataclass
class Point:
    """A point."""

    x: int
    y: int = 0
    tags: Sequence[str] = ()


class Film(TypedDict):
    title: str
    year: int


class Loose(TypedDict):
    title: str
    year: NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str = "r"


class NoModel:
    pass


X = TypeVar("X")


class Box(BaseModel, Generic[X]):
    content: X


Ids = RootModel[list[int]]
UserId = NewType("UserId", int)
Tree = TypeAliasType("Tree", "dict[str, Tree] | int")
Nested = TypeAliasType("Nested", "list[Nested] | int")

OWNER = Owner(pet=Dog(kind="dog"), second=Cat(kind="cat"), code="AB", colours={Colour.RED})

STRICT: list[tuple[Any, Any]] = [
    (str, "plain text"),
    (int, 1),
    (float, 1.5),
    (bool, True),
    (None, None),
    (Owner, OWNER),
    (Node, Node(value=1, children=[Node(value=2)])),
    (Camel, Camel(firstName="Ada")),
    (Closed, Closed(a=1)),
    (Point, Point(1, 2, ["a"])),
    (Film, Film(title="M", year=1931)),
    (Pair, Pair(1, "b")),
    (Box[int], Box[int](content=1)),
    (Ids, Ids([1, 2])),
    (list[Owner], [OWNER]),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (tuple[()], ()),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (Literal["a", "b"], "b"),
    (Literal["a", 1, None, True], None),
    (Colour, Colour.RED),
    (Level, Level.HIGH),
    (Mixed, Mixed.NUMBER),
    (int | None, None),
    (Cat | Dog, Dog(kind="dog", name="Rex")),
    (Annotated[Cat | Dog, Field(discriminator="kind")], Cat(kind="cat", lives=3)),
    (Annotated[int, Field(gt=0, multiple_of=2)], 4),
    (Annotated[int, Field(description="A number.")], 4),
    (Annotated[list[int], Field(min_length=1, max_length=3)], [1]),
    (UserId, 7),
    (Nested, [1, [2, [3]]]),
    (datetime, datetime(2026, 11, 22, tzinfo=UTC)),
    (date, date(2026, 11, 22)),
    (time, time(12, 30)),
    (timedelta, timedelta(hours=1)),
    (UUID, UUID(int=1)),
    (Decimal, Decimal("1.50")),
    (Path, Path("/tmp/x")),
    (Base64Bytes, b"raw"),
]


@pytest.mark.parametrize(("type_", "value"), STRICT, ids=[schema_name(type_) for type_, _ in STRICT])
def test_a_type_gets_a_strict_schema_and_its_value_comes_back(type_: Any, value: Any) -> None:
    output = output_schema(type_)
    assert_strict(output)
    assert round_trip(type_, output, value) == value


@pytest.mark.parametrize(
    ("digits", "places", "fits", "too_long"),
    [
        (5, 2, ["0", "-123.45", "999.9", "0.01"], ["1234", "1.234", "1.", ".5", "--1", "1e2"]),
        (4, 0, ["1234", "-1"], ["12345", "1.0"]),
        (3, None, ["123", "1.23"], ["1234", "1.2345"]),
        (2, 2, ["0.12"], ["12.1"]),
    ],
)
def test_the_text_of_a_decimal_with_so_many_digits_is_bounded_by_a_pattern_that_the_api_takes(
    digits: int, places: int | None, fits: list[str], too_long: list[str]
) -> None:
    output = output_schema(Annotated[Decimal, Field(max_digits=digits, decimal_places=places)])
    assert_strict(output)
    _, text = cast("dict[str, Any]", output.schema)["properties"]["value"]["anyOf"]
    assert [one for one in [*fits, *too_long] if re.search(text["pattern"], one) and len(one) <= text["maxLength"]] == fits


OPEN: list[tuple[Any, Any]] = [
    (dict[str, int], {"a": 1}),
    (dict[int, str], {1: "a"}),
    (list[dict[str, Cat]], [{"a": Cat(kind="cat")}]),
    (dict[str, Any], {"a": [1]}),
    (Open, Open(a=1)),
    (Loose, {"title": "M"}),
    (Any, {"a": 1}),
    (object, [1, "a"]),
    (JsonValue, {"a": [None]}),
    (list[Any], [1, "a"]),
    (list, [1]),
    (Tree, {"a": {"b": 1}}),
]


@pytest.mark.parametrize(("type_", "value"), OPEN, ids=[schema_name(type_) for type_, _ in OPEN])
def test_what_strict_mode_cannot_express_is_sent_without_it(type_: Any, value: Any) -> None:
    output = output_schema(type_)
    assert not output.strict
    assert output.schema["type"] == "object"
    assert {fault.partition(": ")[2] for fault in faults(output.schema, output.schema)} <= {
        "open",
        "no type",
        "not all required",
    }
    assert round_trip(type_, output, value) == value


def test_a_default_is_not_told_and_its_field_is_required() -> None:
    schema = output_schema(Cat).schema
    assert schema == {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "const": "cat"},
            "lives": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many are left."},
        },
        "required": ["kind", "lives"],
        "additionalProperties": False,
    }


def test_a_discriminated_union_becomes_an_any_of_with_its_description() -> None:
    schema = cast("dict[str, Any]", output_schema(Owner).schema)
    assert schema["description"] == "A person with a pet."
    assert schema["properties"]["pet"] == {
        "anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
        "description": "The pet.",
    }
    assert "loud" not in schema["properties"]


def test_a_reference_with_a_description_keeps_it_beside_an_any_of() -> None:
    schema = cast("dict[str, Any]", output_schema(Owner).schema)
    assert schema["properties"]["second"] == {
        "anyOf": [{"$ref": "#/$defs/Cat"}],
        "description": "Another one.",
    }


def test_a_recursive_root_is_wrapped() -> None:
    output = output_schema(Node)
    assert inner(output) == {"$ref": "#/$defs/Node"}
    with pytest.raises(ValidationError, match="value"):
        output.parse('{"value": {"value": "x", "children": []}}')


def test_a_fixed_tuple_is_an_array_of_its_length_and_pydantic_checks_the_order() -> None:
    output = output_schema(tuple[int, str, int])
    assert inner(output) == {
        "type": "array",
        "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "minItems": 3,
        "maxItems": 3,
    }
    assert output.parse('{"value": [1, "a", 2]}') == (1, "a", 2)
    with pytest.raises(ValidationError):
        output.parse('{"value": ["a", "b", 2]}')


def test_a_tuple_of_one_type_has_plain_items() -> None:
    assert inner(output_schema(tuple[int, int]))["items"] == {"type": "integer"}


def test_a_named_tuple_states_all_its_fields() -> None:
    assert inner(output_schema(Pair))["minItems"] == 2


def test_constraints_the_api_does_not_take_are_told_in_words() -> None:
    class Told(BaseModel):
        tags: set[str] = Field(description="Topics.")
        code: Annotated[str, Field(json_schema_extra={"pattern": "^(?!x)", "examples": ["a"]})]
        where: Path

    schema = cast("dict[str, Any]", output_schema(Told).schema)["properties"]
    assert schema["tags"] == {
        "type": "array",
        "items": {"type": "string"},
        "description": "Topics. (uniqueItems: true)",
    }
    assert schema["code"] == {"type": "string", "description": '(pattern: "^(?!x)")'}
    assert schema["where"] == {"type": "string", "description": '(format: "path")'}


def test_values_of_several_types_have_all_their_types() -> None:
    assert inner(output_schema(Mixed)) == {"type": ["integer", "string"], "enum": ["w", 1]}


def test_an_all_of_one_is_flattened_and_of_two_is_refused() -> None:
    one = Annotated[int, WithJsonSchema({"allOf": [{"type": "integer"}], "description": "d"})]
    assert inner(output_schema(one)) == {"type": "integer", "description": "d"}
    two = Annotated[int, WithJsonSchema({"allOf": [{"type": "integer"}, {"minimum": 1}]})]
    with pytest.raises(GraphError, match="allOf"):
        output_schema(two)


def test_a_reply_that_does_not_fit_or_is_no_json_is_a_validation_error() -> None:
    for text in ("", "{", "[]", "null", '{"kind": "dog"}', '{"kind": "cat", "lives": 10}'):
        with pytest.raises(ValidationError):
            output_schema(Cat).parse(text)
    for text in ("1", "{}", '{"value": "x"}'):
        with pytest.raises(ValidationError):
            output_schema(int).parse(text)


@dataclass
class Deep:
    hooks: list[Callable[[], int]]


class Callback(TypedDict):
    point: Point
    deep: Deep


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    things: dict[str, NoModel]
    raw: bytes


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        (NoModel, "'NoModel': 'NoModel' has no JSON form"),
        (list[NoModel], r"'list_NoModel\[\]': 'NoModel' has no JSON form"),
        (tuple[int, NoModel], r"'tuple_int_NoModel\[\]': 'NoModel' has no JSON form"),
        (int | NoModel, "'int_or_NoModel': 'NoModel' has no JSON form"),
        (Callable[[], int], "a callable has no JSON form"),
        (type[int], "a class has no JSON form"),
        (complex, "'complex' has no JSON form"),
        (bytes, "use str, or pydantic.Base64Bytes"),
        (Shape, "values of an enum"),
        (5, "no schema for '5'"),
        (Never, "no schema for 'Never'"),
        (Self, "no schema for 'Self'"),
        (Annotated[str, Field(pattern="(?=a)")], "look-around"),
        (Deep, r"'Deep.hooks\[\]': a callable"),
        (Callback, r"'Callback > Deep.hooks\[\]': a callable"),
        (Holder, r"'Holder.things\[\]': 'NoModel' has no JSON form"),
        (list["Missing"], "Missing"),  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_path(type_: Any, told: str) -> None:
    with pytest.raises(GraphError, match=told):
        output_schema(type_)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(GraphError) as caught:
        output_schema(Holder)
    assert len(caught.value.problems) == 2


def test_a_dataclass_in_a_container_with_an_own_class_tells_the_path() -> None:
    @dataclass
    class Parcel:
        content: NoModel

    with pytest.raises(GraphError, match=r"'Parcel\.content|> Parcel\.content"):
        output_schema(list[Parcel])


def levels(count: int) -> Any:
    type_: Any = int
    for _ in range(count):
        type_ = list[type_]
    return type_


def literal(*values: Any) -> Any:
    return Literal[values]


def test_the_limits_of_the_api_are_checked() -> None:
    assert_strict(output_schema(levels(9)))  # and the wrapper
    with pytest.raises(GraphError, match="11 levels of nesting, the API takes 10"):
        output_schema(levels(10))

    def enumeration(count: int) -> Any:
        return enum.Enum("Many", [f"m{index}" for index in range(count)])

    assert_strict(output_schema(enumeration(1_000)))
    with pytest.raises(GraphError, match="1001 enum values, the API takes 1000"):
        output_schema(enumeration(1_001))

    def wide(count: int) -> Any:
        fields: dict[str, Any] = {f"f{index}": int for index in range(count)}
        return create_model("Wide", **fields)

    assert_strict(output_schema(wide(5_000)))
    with pytest.raises(GraphError, match="5001 properties, the API takes 5000"):
        output_schema(wide(5_001))
    with pytest.raises(GraphError, match=r"characters in names and enum values"):
        output_schema(literal("x" * 60_000, "y" * 60_000))


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        (Cat, "Cat"),
        (list[Cat], "list_Cat"),
        (dict[str, list[Cat]], "dict_str_list_Cat"),
        (Cat | None, "Cat_or_None"),
        (Literal["a", "b c"], "Literal_a_b_c"),
        (Annotated[list[Annotated[int, Field(gt=0)]], "x"], "list_int"),
        (Box[int], "Box_int"),
        (UserId, "UserId"),
        (Nested, "Nested"),
        (None, "None"),
        (Literal["é"], "Literal"),
        (literal("x" * 100), "Literal_" + "x" * 56),
    ],
)
def test_a_schema_is_named_after_its_type(type_: Any, name: str) -> None:
    assert schema_name(type_) == name
    assert output_schema(type_).name == name


def test_all_kinds_of_dataclass_fields_are_stated() -> None:
    @dataclass(kw_only=True)
    class Order:
        number: int
        total: InitVar[int]
        items: list[str] = field(default_factory=list[str])
        seen: bool = field(default=True, init=False)

    output = output_schema(Order)
    assert_strict(output)
    assert output.schema["required"] == ["number", "total", "items"]
    assert output.parse('{"number": 1, "total": 2, "items": ["a"]}') == Order(number=1, total=2, items=["a"])


def test_fields_named_like_keywords_are_fields() -> None:
    fields: dict[str, Any] = {"items": Cat, "anyOf": list[Cat], "properties": int, "enum": str, "allOf": int}
    output = output_schema(create_model("Odd", **fields))
    assert_strict(output)
    assert output.schema["required"] == list(fields)


def test_a_reference_to_itself_with_a_description_ends() -> None:
    class Part(BaseModel):
        whole: Part | None = Field(description="The whole.")
        parts: list[Annotated[Part, Field(description="A part.")]]

    output = output_schema(Part)
    assert_strict(output)
    part = cast("dict[str, Any]", output.schema["$defs"])["Part"]["properties"]
    assert part["parts"]["items"] == {"anyOf": [{"$ref": "#/$defs/Part"}], "description": "A part."}


def test_a_schema_is_the_same_each_time() -> None:
    assert json.dumps(output_schema(Owner).schema) == json.dumps(output_schema(Owner).schema)
    assert output_schema(Owner) == output_schema(Owner)


def test_it_fits_the_request_types_of_the_sdk() -> None:
    from openai.types.shared_params import ResponseFormatJSONSchema

    output = output_schema(Owner)
    TypeAdapter(ResponseFormatJSONSchema).validate_python(
        {
            "type": "json_schema",
            "json_schema": {"name": output.name, "schema": output.schema, "strict": output.strict},
        },
        strict=True,
    )


# Any type


def model_of(parts: list[tuple[str, Any, bool]]) -> Any:
    definitions: dict[str, Any] = {
        name: (type_, Field(alias=f"{name}-x", description="d") if aliased else ...) for name, type_, aliased in parts
    }
    return create_model("Made", **definitions)


def composed(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = inside.filter(lambda type_: type_ is not None)  # None | None is no type
    parts = st.tuples(st.sampled_from(["alpha", "beta", "type", "items"]), inside, st.booleans())
    return st.one_of(
        inside.map(list.__class_getitem__),
        inside.map(lambda item: tuple.__class_getitem__((item, ...))),
        st.tuples(inside, inside).map(tuple.__class_getitem__),
        some.map(lambda type_: type_ | None),
        st.tuples(some, some).map(lambda options: Union[options]),  # noqa: UP007
        st.lists(parts, max_size=4, unique_by=lambda part: part[0]).map(model_of),
    )


PLAIN: list[Any] = [
    int,
    str,
    bool,
    float,
    None,
    date,
    datetime,
    UUID,
    Decimal,
    Colour,
    Level,
    Mixed,
    Cat,
    Point,
]
MORE: list[Any] = [Film, Pair, Node, Literal["a", 1], UserId, Annotated[int, Field(ge=0, lt=10)]]
TYPES: st.SearchStrategy[Any] = st.recursive(st.sampled_from(PLAIN + MORE), composed, max_leaves=6)


def reply(draw: Callable[[st.SearchStrategy[Any]], Any], root: dict[str, Any]) -> Any:
    """A JSON value that fits pydantic's own schema of a type."""

    def of(node: dict[str, Any], depth: int) -> Any:
        if "$ref" in node:
            return of(root["$defs"][node["$ref"].removeprefix("#/$defs/")], depth + 1)
        if "const" in node or "enum" in node:
            return draw(st.sampled_from(node.get("enum", [node.get("const")])))
        if "anyOf" in node:
            return of(draw(st.sampled_from(node["anyOf"])), depth)
        if node["type"] == "object":
            return {key: of(value, depth) for key, value in node["properties"].items()}
        if "prefixItems" in node:
            return [of(item, depth) for item in node["prefixItems"]]
        if node["type"] == "array":
            return [of(node["items"], depth) for _ in range(draw(st.integers(0, 2)) if depth < 3 else 0)]
        return draw(SCALARS[node.get("format", node["type"])])

    return of(root, 0)


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(1, 9),
    "number": st.floats(-1e6, 1e6),
    "string": st.from_regex(r"[0-9]{1,5}", fullmatch=True),
    "boolean": st.booleans(),
    "null": st.none(),
    "date": st.dates().map(str),
    "date-time": st.datetimes().map(datetime.isoformat),
    "uuid": st.uuids().map(str),
}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_type_obeys_the_strict_rules_and_its_values_come_back(data: st.DataObject) -> None:
    type_ = data.draw(TYPES)
    output = output_schema(type_)
    assert_strict(output)
    adapter: TypeAdapter[Any] = TypeAdapter(type_)
    value = adapter.validate_json(json.dumps(reply(data.draw, adapter.json_schema())))
    # Not always the value itself: in `str | Decimal` what was a Decimal comes back as a str.
    dumped = adapter.dump_python(value, mode="json", by_alias=True)
    assert round_trip(type_, output, value) == adapter.validate_json(json.dumps(dumped))
