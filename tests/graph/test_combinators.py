"""`each`, `loop` and `switch` are refused where they are written if they could not run."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Literal, cast

import pytest

from swarmlet import Again, Done, Failed, GraphError, each, graph, loop, node, run_sync, switch


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


@node
def inc(count: int) -> int:
    return count + 1


@node
def spell(count: int) -> str:
    return str(count)


@node
def nothing() -> int:
    return 0


@node
def step(state: int, by: int = 1) -> Again[int] | Done[str]:
    return Done(str(state)) if state > 3 else Again(state + by)


def untyped(target: object) -> Callable[..., Any]:  # Any: these tests wire what a checker would refuse
    return cast("Callable[..., Any]", target)


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(GraphError) as caught:
        make()
    assert all(problem.startswith("test_combinators.py:") for problem in caught.value.problems)
    return str(caught.value)


# each


def test_each_takes_a_list_and_gives_a_list() -> None:
    assert repr(each(inc)) == "<Node inc(count: Sequence[int] | AsyncIterable[int]) -> list[int]>"
    kept = each(inc, on_error="keep")
    assert repr(kept) == "<Node inc(count: Sequence[int] | AsyncIterable[int]) -> list[int | Failed]>"


def test_each_broadcasts_further_arguments_also_by_keyword() -> None:
    @node
    def power(base: int, exponent: int, *, plus: int = 0) -> int:
        return int(base**exponent) + plus

    @graph
    def whole(bases: list[int], exponent: int) -> list[int]:
        return each(power)(bases, exponent, plus=1)

    assert run_sync(whole, [1, 2, 3], 2).output == [2, 5, 10]
    assert run_sync(each(power), [1, 2], exponent=3).output == [1, 8]


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "2"])
def test_the_concurrency_of_each_is_a_count(concurrency: Any) -> None:  # Any: wrong on purpose
    message = refusal(lambda: each(inc, concurrency=concurrency))
    assert message.endswith(f"each(inc): concurrency= must be a whole number of at least 1, not {concurrency!r}")


def test_each_needs_a_parameter_for_the_item() -> None:
    assert "takes no positional parameter that an item could go to" in refusal(lambda: each(untyped(nothing)))
    assert "each(body=) must be a node or a function, not 3" in refusal(lambda: each(untyped(3)))
    assert "on_error= is 'raise', 'keep' or 'skip', not 'drop'" in refusal(lambda: untyped(each)(inc, on_error="drop"))


def test_a_failed_item_is_no_result_to_the_checks() -> None:
    @node
    def total(counts: list[int]) -> int:
        return sum(counts)

    def wrong(counts: list[int]) -> Any:  # Any: a wrong call
        return untyped(total)(each(inc, on_error="keep")(counts))

    with pytest.raises(GraphError, match=r"list\[int \| Failed\], but total\(counts=\) asks for list\[int\]"):
        graph(wrong)
    assert Failed("a", "ValueError", "no").error is None


# loop


@pytest.mark.parametrize("rounds", [0, -3, True, 2.0, "4", None])
def test_the_rounds_of_a_loop_are_a_count(rounds: Any) -> None:  # Any: wrong on purpose
    assert f"rounds=) must be a whole number of at least 1, not {rounds!r}" in refusal(lambda: loop(step, rounds=rounds))


def test_a_loop_gives_what_done_holds() -> None:
    assert repr(loop(step, rounds=2)) == "<Node step(state: int, by: int) -> str>"


def test_the_body_of_a_loop_must_say_again_or_done_and_may_be_done() -> None:
    @node
    def forever(state: int) -> Again[int]:
        return Again(state)

    @node
    def other(state: int) -> Done[int] | None:
        return Done(state)

    @node
    def changes(state: int) -> Again[str] | Done[int]:
        return Again(str(state))

    assert "the body gives Again[int] and so is never Done" in refusal(lambda: loop(untyped(forever), rounds=3))
    assert "gives Done[int] | None, but a loop's body gives" in refusal(lambda: loop(untyped(other), rounds=3))
    assert "gives int, but a loop's body gives" in refusal(lambda: loop(untyped(inc), rounds=3))
    assert "the body says Again with str, but takes int" in refusal(lambda: loop(untyped(changes), rounds=3))
    assert "takes no positional parameter for the state" in refusal(lambda: loop(untyped(nothing), rounds=3))


def test_otherwise_must_take_and_give_what_the_loop_does() -> None:
    @node
    def wrong_result(state: int, by: int) -> int:
        return state + by

    @node
    def wrong_state(state: str, by: int) -> str:
        return state * by

    @node
    def too_few(state: int) -> str:
        return str(state)

    def message(otherwise: object) -> str:
        return refusal(lambda: loop(step, rounds=2, otherwise=untyped(otherwise)))

    assert "otherwise=wrong_result gives int, but the loop gives str" in message(wrong_result)
    assert "wrong_state(state=) takes str, but step(state=) takes int" in message(wrong_state)
    assert "'too_few' takes 1 arguments, 'step' takes 2" in message(too_few)


def test_an_argument_that_otherwise_names_differently_goes_by_position() -> None:
    @node
    def last(state: int, amount: int = 0) -> str:
        return f"{state} by {amount}"

    bounded = untyped(loop)(step, rounds=1, otherwise=last)
    assert untyped(run_sync)(bounded, 0, 2).output == "2 by 2"
    assert untyped(run_sync)(bounded, 0).output == "1 by 0"
    with pytest.raises(GraphError, match=r"positional.only"):
        untyped(run_sync)(bounded, 0, by=2)


# switch


def colour(count: int) -> Colour:
    return Colour.RED if count else Colour.BLUE


def word(count: int) -> Literal["a", "b"]:
    return "a" if count else "b"


def yes(count: int) -> bool:
    return bool(count)


def number(count: int) -> int:
    return count


def test_every_value_of_a_literal_an_enum_or_a_bool_needs_an_arm() -> None:
    assert "no arm for 'b': add one, or give a default=" in refusal(lambda: switch(word, {"a": inc}))
    assert "no arm for <Colour.BLUE: 'b'>" in refusal(lambda: switch(colour, {Colour.RED: inc}))
    assert "no arm for False" in refusal(lambda: switch(yes, {True: inc}))
    assert "int, whose values cannot all be listed: give a default=" in refusal(lambda: switch(number, {1: inc}))
    assert "it has no arms" in refusal(lambda: untyped(switch)(word, {}))
    assert "it has no arms" in refusal(lambda: untyped(switch)(word, {}, default=inc))


def test_an_arm_for_a_value_that_never_comes_is_refused() -> None:
    arms: dict[Any, Any] = {"a": inc, "b": inc, "c": inc}  # Any: wrong on purpose
    assert "the key never gives 'c'; it gives Literal['a', 'b']" in refusal(lambda: switch(word, arms))
    assert "the key never gives 1; it gives bool" in refusal(lambda: untyped(switch)(yes, {1: inc}, default=inc))
    assert "the key never gives 'r'; it gives Colour" in refusal(lambda: untyped(switch)(colour, {"r": inc}, default=inc))


def test_all_arms_and_the_key_take_the_same_arguments() -> None:
    @node
    def text(of: str) -> int:
        return len(of)

    @node
    def two(count: int, other: int) -> int:
        return count + other

    @node
    def by_name(*, count: int) -> int:
        return count

    def message(arm: object) -> str:
        return refusal(lambda: untyped(switch)(word, {"a": inc, "b": arm}))

    assert "text(of=) takes str, but inc(count=) takes int" in message(text)
    assert "'two' takes 2 arguments, 'inc' takes 1" in message(two)
    assert "by_name(count=) is keyword-only, but inc(count=) is positional or keyword" in message(by_name)
    assert "word(count=) takes int, but text(of=) takes str" in refusal(
        lambda: untyped(switch)(word, {"a": text}, default=text)
    )


def test_all_that_is_wrong_with_a_switch_is_told_at_once() -> None:
    @node
    def text(of: str) -> int:
        return len(of)

    with pytest.raises(GraphError) as caught:
        untyped(switch)(word, {"a": inc, "c": text})
    assert [problem.split("switch(word): ")[1] for problem in caught.value.problems] == [
        "the key never gives 'c'; it gives Literal['a', 'b']",
        "no arm for 'b': add one, or give a default=",
        "text(of=) takes str, but inc(count=) takes int",
    ]


def test_the_result_of_a_switch_is_the_union_of_its_arms() -> None:
    route = untyped(switch)(word, {"a": inc, "b": spell})
    assert repr(route) == "<Node switch(count: int) -> int | str>"


def test_arguments_that_arms_name_differently_go_by_position() -> None:
    @node
    def twice(amount: int) -> int:
        return amount * 2

    route = untyped(switch)(yes, {True: inc, False: twice})
    assert untyped(run_sync)(route, 0).output == 0
    with pytest.raises(GraphError, match=r"positional.only"):
        untyped(run_sync)(route, count=0)
    assert run_sync(switch(yes, {True: inc, False: inc}), count=4).output == 5


def test_an_argument_may_be_left_out_only_where_every_arm_has_a_default() -> None:
    @node
    def given(count: int, by: int = 2) -> int:
        return count * by

    @node
    def asked(count: int, by: int) -> int:
        return count - by

    def sign(count: int, by: int = 0) -> bool:
        return count > by

    with pytest.raises(GraphError, match="missing a required argument: 'by'"):
        untyped(run_sync)(untyped(switch)(sign, {True: given, False: asked}), 3)
    assert run_sync(switch(sign, {True: given, False: given}), 3).output == 6


@pytest.mark.parametrize(("count", "expected"), [(0, "other"), (1, "one"), (True, "one"), (2, "other")])
def test_values_without_an_arm_go_to_the_default(count: int, expected: str) -> None:
    route = untyped(switch)(number, {1: lambda _: "one"}, default=lambda _: "other")  # pyright: ignore[reportUnknownLambdaType]
    assert untyped(run_sync)(route, count).output == expected
