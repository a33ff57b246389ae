from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from ipaddress import IPv4Address
from typing import Annotated, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from swarmlet.testing import sample


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Tree(BaseModel):
    name: str
    left: Tree | None
    children: list[Tree]


class Everything(BaseModel):
    colour: Colour
    kind: Literal["one"]
    count: Annotated[int, Field(ge=10, lt=12)]
    share: Annotated[float, Field(gt=0.2, lt=0.9)]
    tens: Annotated[int, Field(multiple_of=10, gt=10)]
    few: Annotated[list[int], Field(min_length=2)]
    day: date
    moment: datetime
    key: UUID
    address: IPv4Address
    tree: Tree
    either: int | str
    long: Annotated[str, Field(min_length=8)]


def test_a_sample_of_a_model_is_a_valid_model() -> None:
    made = Everything.model_validate(sample(Everything.model_json_schema()))

    assert (made.colour, made.count, made.tens, len(made.few)) == (Colour.RED, 10, 20, 2)
    assert made.tree == Tree(name="text", left=None, children=[])


def test_a_sample_is_always_the_same() -> None:
    assert sample(Everything.model_json_schema()) == sample(Everything.model_json_schema())


def test_a_schema_without_finite_values_is_refused() -> None:
    endless = {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}},
    }
    with pytest.raises(ValueError, match="contains itself"):
        sample(endless)


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, []),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"type": ["boolean", "null"]}, True),
        ({"type": "integer", "maximum": -5}, -5),
        ({"type": "number", "minimum": 1.5, "maximum": 1.6}, 1.5),
    ],
)
def test_samples_of_small_schemas(schema: dict[str, object], made: object) -> None:
    assert sample(schema) == made


def test_an_unknown_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="does not have"):
        sample({"$ref": "#/$defs/Gone"})
