"""Mistakes that newcomers make: each message says where, what, and what to write instead."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import pytest
from pydantic import BaseModel

from swarmlet import EdgeError, GraphError, Limits, OpenAIModel, Retry, Swarm, WiringError, each, graph, node


class Point(BaseModel):
    x: int


@dataclasses.dataclass
class Checked:
    x: int

    def __post_init__(self) -> None:
        if not isinstance(self.x, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError("no")


@node
def inc(x: int) -> int:
    return x + 1


def refused(body: Callable[..., object]) -> GraphError:
    with pytest.raises(GraphError) as caught:
        graph(body)
    assert "test_newcomers.py:" in str(caught.value)
    return caught.value


def test_a_pydantic_model_built_from_a_ref_is_told_to_be_a_node(capfd: pytest.CaptureFixture[str]) -> None:
    def body(x: int) -> Point:
        return Point(x=inc(x))

    assert "`build = node(Point)`" in str(refused(body))
    assert capfd.readouterr().err == ""


def test_a_class_that_checks_what_it_is_built_from_is_told_to_be_a_node() -> None:
    def body(x: int) -> Checked:
        return Checked(inc(x))

    assert "build = node(Class)" in str(refused(body))


def test_a_ref_is_not_copied() -> None:
    def body(x: int) -> int:
        return copy.deepcopy(inc(x))

    assert isinstance(refused(body), WiringError)


def test_a_forgotten_return_is_told_as_such() -> None:
    def body(x: int) -> int:  # type: ignore[return]
        inc(x)

    assert "the body returns nothing, but the graph declares int" in str(refused(body))


def test_an_edge_into_a_map_names_the_map() -> None:
    def body(xs: list[str]) -> list[int]:
        return each(inc)(xs)  # type: ignore[arg-type]

    error = refused(body)
    assert isinstance(error, EdgeError)
    assert "xs is list[str], but each(inc)(x=) asks for Sequence[int]" in str(error)


def test_any_other_error_in_a_body_keeps_its_type_and_gets_the_line_and_what_else_is_wrong() -> None:
    def body(x: int) -> str:
        inc("one")  # type: ignore[arg-type]
        return " ".join([inc(x)])  # type: ignore[list-item]

    with pytest.raises(TypeError, match="expected str instance, Ref found") as caught:
        graph(body)
    first, second = caught.value.__notes__
    assert "test_newcomers.py:" in first
    assert "refs stand for values that do not exist yet" in first
    assert "inc(x=)" in second


def test_a_method_is_refused_where_it_is_decorated_and_a_bound_one_is_taken() -> None:
    class Service:
        def step(self, x: int) -> int:
            return x

    with pytest.raises(GraphError, match=r"Service\.step is a method.*node\(thing\.method\)"):
        node(Service.step)
    assert node(Service().step).name == "step"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retry": 3}, "retry= is a Retry"),
        ({"model": OpenAIModel("mini")}, r"a model object goes to the swarm, Swarm\(models="),
        ({"model": ""}, "model= is the name of a model"),
        ({"timeout": "3"}, "timeout= is in seconds"),
        ({"timeout": True}, "timeout= is in seconds"),
    ],
)
def test_options_of_the_wrong_type_are_refused_when_they_are_set(options: dict[str, object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        inc.with_options(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": 3}, r"Swarm\(model=\) is the name of a model or a model object"),
        ({"models": ["gpt-4o-mini"]}, r"takes model objects, such as OpenAIModel\('gpt-4o-mini'\)"),
        ({"limits": 5}, r"takes Limits"),
    ],
)
def test_a_swarm_refuses_settings_of_the_wrong_type(settings: dict[str, object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        Swarm(**settings)  # type: ignore[arg-type]


def test_limits_are_whole_numbers() -> None:
    with pytest.raises(GraphError, match="whole number"):
        Limits(concurrency="3")  # type: ignore[arg-type]
    assert Retry().attempts > 1
