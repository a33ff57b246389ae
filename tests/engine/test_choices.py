"""Cascades and choices by type: which node runs, and what happens when it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import pytest

from swarmlet import GraphError, Run, StepFailed, cascade, each, graph, match, node, switch
from swarmlet.trace.events import Decided, StepStarted
from tests.engine.quickly import causes, quickly

pytestmark = pytest.mark.anyio


def paths(result: Run[Any]) -> list[str]:
    return [event.path for event in result.trace.events if isinstance(event, StepStarted)]


def decision(result: Run[Any]) -> tuple[str, str]:
    (found,) = [event for event in result.trace.events if isinstance(event, Decided)]
    return found.chosen, found.reason


@node
async def small(question: str) -> str:
    if question == "broken":
        raise ValueError("small broke")
    return question[:2]


@node
async def big(question: str) -> str:
    return question.upper()


# cascade


def long_enough(answer: str) -> bool:
    return len(answer) > 1


async def test_an_accepted_answer_asks_no_further_rung() -> None:
    result = await quickly(cascade(small, big, accept=long_enough), "ab")
    assert result.output == "ab"
    assert paths(result) == ["cascade/small", "cascade/long_enough[0]"]
    assert decision(result) == ("cascade/small", "accepted")


async def test_the_next_rung_is_asked_if_the_answer_is_not_accepted_and_the_last_is_taken_as_it_is() -> None:
    result = await quickly(cascade(small, small, big, accept=long_enough), "a")
    assert result.output == "A"
    assert paths(result) == [
        "cascade/small",
        "cascade/long_enough[0]",
        "cascade/small~2",
        "cascade/long_enough[1]",
        "cascade/big",
    ]
    assert decision(result) == ("cascade/big", "the last of 3 rungs")


async def test_a_judge_of_a_cascade_may_see_the_question() -> None:
    @node
    async def same_start(answer: str, question: str) -> bool:
        return answer == question

    assert (await quickly(cascade(small, big, accept=same_start), "ab")).output == "ab"
    assert (await quickly(cascade(small, big, accept=same_start), "abc")).output == "ABC"


async def test_a_rung_that_fails_gave_no_answer() -> None:
    result = await quickly(cascade(small, big, accept=long_enough), "broken")
    assert result.output == "BROKEN"
    with pytest.raises(StepFailed, match="no rung gave an answer that was accepted") as caught:
        await quickly(cascade(small, small, accept=long_enough), "broken")
    assert len(causes(caught.value)) == 2


async def test_a_judge_that_fails_fails_the_cascade() -> None:
    def broken(answer: str) -> bool:
        raise LookupError(answer)

    with pytest.raises(StepFailed) as caught:
        await quickly(cascade(small, big, accept=broken), "ab")
    assert caught.value.path == "cascade/broken[0]"


def test_a_cascade_refuses_what_cannot_be_one() -> None:
    with pytest.raises(GraphError, match="two rungs or more"):
        cast("Any", cascade)(small, accept=long_enough)

    def count(answer: str) -> int:
        return len(answer)

    with pytest.raises(GraphError, match="accept=count gives int, not bool"):
        cascade(small, big, accept=cast("Any", count))

    def pair(answer: str, other: str, third: str) -> bool:
        return True

    with pytest.raises(GraphError, match="take the result alone, or all of them"):
        cascade(small, big, accept=cast("Any", pair))


# match


@dataclass(frozen=True)
class Order:
    item: str


@dataclass(frozen=True)
class Rush(Order):
    pass


@dataclass(frozen=True)
class Complaint:
    text: str


@node
async def on_order(order: Order, shop: str) -> str:
    return f"{shop} sells {order.item}"


@node
async def on_complaint(complaint: Complaint, shop: str) -> str:
    return f"{shop} regrets {complaint.text}"


@node
async def on_rush(rush: Rush, shop: str) -> str:
    return f"{shop} hurries {rush.item}"


@node
def anything(value: object, shop: str) -> str:
    return f"{shop} wonders"


async def test_the_first_arm_that_takes_the_type_runs() -> None:
    route = match(on_rush, on_order, on_complaint)
    assert repr(route).startswith("<Node match(rush: Rush | Order | Complaint, shop: str) -> str")
    assert (await quickly(route, Order("tea"), "it")).output == "it sells tea"
    assert (await quickly(route, Rush("tea"), "it")).output == "it hurries tea"
    result = await quickly(route, Complaint("rust"), "it")
    assert (result.output, paths(result)) == ("it regrets rust", ["match/on_complaint"])


async def test_an_arm_for_object_is_the_default() -> None:
    assert (await quickly(match(on_order, anything), 3, "it")).output == "it wonders"


async def test_values_that_no_arm_takes_fail_the_step_where_no_checker_was_used() -> None:
    with pytest.raises(StepFailed, match="no arm takes a int; the arms are on_order, on_complaint"):
        await quickly(cast("Any", match(on_order, on_complaint)), 3, "it")


async def test_unions_literals_none_and_numbers_are_told_apart() -> None:
    @node
    def word(value: Literal["yes", "no"] | None) -> str:
        return "word"

    @node
    def number(value: float) -> str:
        return "number"

    @node
    def text(value: str | list[int]) -> str:
        return "text"

    route = match(word, number, text)
    given: list[Any] = ["yes", None, 1, 2.5, "maybe", [1]]
    assert (await quickly(each(route), given)).output == ["word", "word", "number", "number", "text", "text"]


def test_an_edge_of_a_type_without_an_arm_is_refused_when_the_graph_is_built() -> None:
    @node
    def make(text: str) -> Order | Complaint | int:
        return 3

    with pytest.raises(GraphError, match=r"match\(order=\) asks for Order \| Complaint"):

        @graph
        def whole(text: str) -> Any:  # Any: checkers flag the edge too
            return cast("Any", match(on_order, on_complaint))(make(text), text)


def test_arms_that_are_never_reached_or_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(GraphError, match="'on_rush' is never reached: the arms before it take every Rush"):
        match(on_order, on_rush)

    @node
    def listed(values: list[str], shop: str) -> str:
        return shop

    @node
    def counted(values: list[int], shop: str) -> str:
        return shop

    with pytest.raises(GraphError, match="'counted' is never reached"):
        match(listed, counted)
    with pytest.raises(GraphError, match=r"match\(arm, arm, \.\.\.\)"):
        switch(cast("Any", anything), {Order: on_order})
