"""Which lists an output type has, and how their items are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from swarmlet.agents.lists import Lists
from swarmlet.engine.context import Current
from swarmlet.policy.options import Scope
from swarmlet.policy.taker import Taker

T = TypeVar("T")


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    numbers: list[int]


class Lax(BaseModel):
    numbers: Sequence[int]


class Aliased(BaseModel):
    numbers: tuple[int, ...] = Field(validation_alias=AliasChoices("figures", "numbers"))


class Page(BaseModel, Generic[T]):
    items: list[T]


@dataclass
class Box(Generic[T]):
    items: list[T]


class Nothing(BaseModel):
    pair: tuple[int, str]
    maybe: list[int] | None
    names: set[str]


class Tree(BaseModel):
    below: Tree | None


def handed_on(type_: object, said: str, *path: str) -> list[Any] | None:
    """The items that are handed on of a reply; `None` if nobody could listen to it."""
    taken: list[Any] = []
    taker = Taker("step", frozenset({path}), lambda _, __, value: taken.append(value))
    step = Current(cast("Any", None), "step", Scope(taker=taker))  # Any: it asks for nothing of the run
    drafts = Lists(type_, wrapped=False).drafts(step)
    if drafts is None:
        return None
    drafts()(said)
    return taken


@pytest.mark.parametrize(
    ("type_", "said", "path", "items"),
    [
        (Lax, '{"numbers": [1, "2", 3]}', "numbers", [1, 2, 3]),
        (Strict, '{"numbers": [1, "2", 3]}', "numbers", [1]),
        (Aliased, '{"figures": [1, 2]}', "numbers", [1, 2]),
        (Page[int], '{"items": [1, "x", 3]}', "items", [1]),
        (Box[int], '{"items": [1, 2]}', "items", [1, 2]),
        (Nothing, "{}", "pair", None),
        (Nothing, "{}", "maybe", None),
        (Nothing, "{}", "names", None),
        (Nothing, "{}", "other", None),
    ],
)
def test_items_are_read_as_their_type_says_until_one_does_not_fit(type_: object, said: str, path: str, items: Any) -> None:
    assert handed_on(type_, said, path) == items


def test_a_step_listens_only_for_its_own_taker() -> None:
    taker = Taker("another", frozenset({("numbers",)}), lambda _, __, ___: None)
    assert Lists(Lax, wrapped=False).drafts(Current(cast("Any", None), "step", Scope(taker=taker))) is None
    assert Lists(Lax, wrapped=False).drafts(Current(cast("Any", None), "step", Scope())) is None


def test_whether_a_type_has_a_list() -> None:
    assert Lists(dict[str, int], wrapped=True).any is False
    assert Lists(Nothing, wrapped=False).any is False
    assert Lists(Tree, wrapped=False).any is False
    assert Lists(Page[Lax], wrapped=False).any
    assert Lists(list[Tree], wrapped=True).any
