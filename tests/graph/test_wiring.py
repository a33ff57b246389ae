"""What a graph body is compiled to, and everything that is told about one that is wired wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import pytest

from swarmlet import Again, Done, EdgeError, GraphError, cascade, each, graph, loop, node, race, run_sync, switch
from swarmlet.errors import WiringError
from swarmlet.graph.node import Node
from tests.graph.lines import marked, refused


@node
def one() -> int:
    return 1


@node
def inc(count: int) -> int:
    return count + 1


@node
def add(left: int, right: int) -> int:
    return left + right


@node
def total(counts: list[int]) -> int:
    return sum(counts)


@node
def shout(text: str, *, mark: str = "!") -> str:
    return text.upper() + mark


@node
def log(text: object) -> None:
    del text


# Any: these tests wire what a checker would refuse
def untyped(target: object) -> Callable[..., Any]:
    return cast("Callable[..., Any]", target)


def paths(of: Node[..., Any]) -> list[str]:
    return [step.path for step in of.plan]


# Wrong edges


def test_a_wrong_edge_names_both_sides_both_types_and_the_source_line() -> None:
    def whole() -> Any:  # Any: a wrong call
        return untyped(shout)(one())  # here

    message = refused(whole, EdgeError)
    assert message == f"{marked(whole)}`return untyped(shout)(one())  # here`: one is int, but shout(text=) asks for str"


def test_a_call_over_several_lines_is_named_by_its_first() -> None:
    def whole() -> Any:  # Any: a wrong call
        return untyped(add)(  # here
            one(),
            right="2",
        )

    assert refused(whole, EdgeError).startswith(marked(whole))


def test_constants_are_checked_too() -> None:
    def whole() -> int:
        return add(one(), cast("int", "two"))

    assert refused(whole, EdgeError).endswith("the constant 'two' is Literal['two'], but add(right=) asks for int")


def test_elements_of_lists_are_checked_one_by_one() -> None:
    def whole() -> int:
        return total([one(), cast("int", shout("a"))])

    assert refused(whole, EdgeError).endswith("shout is str, but total(counts=) asks for int")


def test_the_result_of_the_body_must_fit_what_the_graph_declares() -> None:
    def whole(count: int) -> str:  # here
        return cast("str", inc(count))

    message = refused(whole, EdgeError)
    assert message.startswith(marked(whole))
    assert message.endswith("inc is int, but the graph's declared result asks for str")


def test_arguments_of_star_parameters_are_checked_each() -> None:
    @node
    def join(first: str, *others: str, **named: int) -> str:
        return first

    def right() -> str:
        return join("a", "b", shout("c"), x=1, y=one())

    def wrong() -> Any:  # Any: a wrong call
        return untyped(join)("a", "b", one(), x=shout("y"))

    graph(right)
    with pytest.raises(EdgeError) as caught:
        graph(wrong)
    assert [problem.split("`: ")[1] for problem in caught.value.problems] == [
        "one is int, but join(others=) asks for str",
        "shout is str, but join(named=) asks for int",
    ]


# Wrong calls


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: untyped(add)(one()), "missing a required argument: 'right'"),
        (lambda: untyped(add)(one(), 2, 3), "too many positional arguments"),
        (lambda: untyped(add)(one(), left=2, right=3), "multiple values for argument 'left'"),
        (lambda: untyped(add)(one(), 2, extra=3), "got an unexpected keyword argument 'extra'"),
        (lambda: untyped(shout)("a", "b"), "too many positional arguments"),
    ],
    ids=["missing", "too many", "doubled", "unknown", "keyword only"],
)
def test_a_wrong_call_is_told_in_pythons_words_with_the_nodes_signature(call: Callable[[], Any], words: str) -> None:
    def whole() -> Any:  # Any: whatever is called
        return call()

    message = refused(whole, WiringError)
    assert "test_wiring.py:" in message
    assert f"is called wrongly: {words}; it is <Node " in message


def test_what_a_wrong_call_was_given_is_not_called_unused_as_well() -> None:
    def whole() -> Any:  # Any: a wrong call
        return untyped(add)([inc(1)], 2, bogus=one())

    assert "bogus" in refused(whole, WiringError)


def test_an_unused_result_is_refused() -> None:
    def whole() -> int:
        inc(1)  # here
        return inc(2)

    message = refused(whole, WiringError)
    assert message.startswith(marked(whole))
    assert message.endswith("nothing uses the result of 'inc'; return it, pass it on, or drop the call")


def test_a_node_that_returns_nothing_may_stand_alone_also_when_it_is_mapped() -> None:
    @graph
    def whole(texts: list[str]) -> int:
        log(one())
        each(log)(texts)
        return one()

    result = run_sync(whole, ["a", "b"])
    assert result.output == 1
    assert {step.path for step in result.trace.steps()} == {"whole/log", "whole/log~2[0]", "whole/log~2[1]"} | {
        "whole/one",
        "whole/one~2",
    }


def test_a_step_of_an_inlined_graph_counts_as_used_with_its_graph() -> None:
    @graph
    def twice(count: int) -> int:
        return inc(inc(count))

    def whole() -> int:
        twice(1)  # here
        return twice(2)

    message = refused(whole, WiringError)
    assert message.startswith(marked(whole))
    assert "nothing uses the result of 'twice'" in message


def test_two_nodes_with_the_same_explicit_name_are_refused() -> None:
    @node(name="step")
    def first() -> int:
        return 1

    @node(name="step")
    def second() -> int:
        return 2

    def decorated() -> int:
        return add(first(), second())

    def by_option() -> int:
        return add(inc.with_options(name="count")(1), one.with_options(name="count")())

    def the_same_twice() -> int:
        return add(first(), first())

    assert refused(decorated, WiringError).endswith("two nodes of this graph are both named 'step'")
    assert refused(by_option, WiringError).endswith("two nodes of this graph are both named 'count'")
    assert paths(graph(the_same_twice)) == ["step", "step~2", "add"]


def test_all_that_is_wrong_is_listed_at_once_in_the_order_of_the_source() -> None:
    def whole() -> str:
        inc(3)
        untyped(shout)(one())
        untyped(add)(1)
        return cast("str", one())

    with pytest.raises(GraphError) as caught:
        graph(whole)
    assert type(caught.value) is GraphError
    assert [problem.split("`: ")[1].split(";")[0] for problem in caught.value.problems] == [
        "one is int, but shout(text=) asks for str",
        "'add' is called wrongly: missing a required argument: 'right'",
        "one~2 is int, but the graph's declared result asks for str",
        "nothing uses the result of 'inc'",
        "nothing uses the result of 'shout'",
    ]
    assert str(caught.value).startswith("5 things are wrong:\n1. ")


def test_a_wrong_combinator_in_a_body_is_named_by_its_line() -> None:
    def whole(count: int) -> int:
        return total(each(inc, concurrency=0)([count]))  # here

    message = refused(whole)
    assert message.startswith(marked(whole))
    assert "each(inc): concurrency= must be a whole number of at least 1, not 0" in message


def test_an_error_of_the_body_itself_comes_out_as_it_is() -> None:
    def whole() -> int:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        graph(whole)


@pytest.mark.parametrize("kind", ["star", "keywords", "async", "generator"])
def test_a_graph_is_a_plain_function_of_fixed_inputs(kind: str) -> None:
    def star(*counts: int) -> int:
        return total(list(counts))

    def keywords(**counts: int) -> int:
        return total(list(counts.values()))

    async def asynchronous() -> int:
        return one()

    def generator() -> Iterator[int]:
        yield one()

    body = {"star": star, "keywords": keywords, "async": asynchronous, "generator": generator}[kind]
    message = refused(cast("Callable[..., Any]", body))
    assert "test_wiring.py:" in message


# Plans


def test_steps_of_one_name_are_numbered_in_the_order_of_the_source() -> None:
    def whole() -> int:
        return total([inc(1), inc(2), inc(3), one()])

    assert paths(graph(whole)) == ["inc", "inc~2", "inc~3", "one", "total"]


def test_a_sub_graph_is_inlined_with_its_path() -> None:
    @graph
    def improve(count: int) -> int:
        return add(inc(count), 1)

    @graph
    def attempt(count: int) -> int:
        return inc(improve(improve(count)))

    @graph
    def solve(count: int) -> int:
        return add(attempt(count), attempt(one()))

    assert paths(solve) == [
        "attempt/improve/inc",
        "attempt/improve/add",
        "attempt/improve~2/inc",
        "attempt/improve~2/add",
        "attempt/inc",
        "one",
        "attempt~2/improve/inc",
        "attempt~2/improve/add",
        "attempt~2/improve~2/inc",
        "attempt~2/improve~2/add",
        "attempt~2/inc",
        "add",
    ]
    assert run_sync(solve, 1).output == 12


def test_a_sub_graph_with_options_of_its_own_stays_one_step() -> None:
    @graph
    def improve(count: int) -> int:
        return inc(inc(count))

    @graph
    def whole(count: int) -> int:
        return add(improve.with_options(timeout=5)(count), improve.with_options(name="again")(count))

    assert paths(whole) == ["improve", "again/inc", "again/inc~2", "add"]
    assert [step.path for step in run_sync(whole, 1).trace.steps()] == [
        "whole/improve",
        "whole/improve/inc",
        "whole/improve/inc~2",
        "whole/again/inc",
        "whole/again/inc~2",
        "whole/add",
    ]


def test_a_graph_that_passes_its_input_on_has_no_steps() -> None:
    @graph
    def same(count: int) -> int:
        return count

    @graph
    def fixed() -> list[int]:
        return [1, 2]

    assert len(same.plan) == 0
    assert run_sync(same, 4).output == 4
    assert run_sync(fixed).output == [1, 2]


def test_rows_know_what_they_need_and_what_needs_them() -> None:
    @graph
    def whole(count: int) -> int:
        first = inc(count)
        second = inc(first)
        return total([first, second, count])

    assert [sorted(step.needs) for step in whole.plan] == [[0], [1], [0, 1, 2]]
    assert whole.plan.waiting == (0, 1, 2)
    assert whole.plan.dependents == ((1, 2), (2,), ())
    assert "test_wiring.py:" in whole.plan.steps[0].line


def test_defaults_of_a_graph_hold_when_it_runs_and_when_it_is_inlined() -> None:
    @graph
    def scale(count: int, by: int = 10, *, plus: int = 1) -> int:
        return add(add(count, by), plus)

    @graph
    def whole(count: int) -> int:
        return add(scale(count), scale(count, plus=one(), by=2))

    assert run_sync(scale, 1).output == 12
    assert run_sync(scale, 1, plus=5, by=0).output == 6
    assert run_sync(whole, 0).output == 14


def test_positional_only_and_keyword_only_parameters_keep_their_kind() -> None:
    @graph
    def mixed(left: int, /, middle: int, *, right: int) -> int:
        return total([left, middle, right])

    @graph
    def whole() -> int:
        return mixed(1, right=2, middle=one())

    assert run_sync(whole).output == 4
    with pytest.raises(GraphError, match=r"positional.only"):
        untyped(run_sync)(mixed, left=1, middle=2, right=3)


def test_a_node_that_is_no_graph_has_a_plan_of_one_step() -> None:
    assert [step.path for step in inc.plan] == ["inc"]


def test_a_big_plan_is_built_row_by_row() -> None:
    @graph
    def wide(count: int) -> int:
        for _ in range(3000):
            count = inc(count)
        return total([inc(count) for _ in range(3000)])

    assert len(wide.plan) == 6001
    assert run_sync(wide, 0).output == 3001 * 3000


# Options


async def inc_later(count: int) -> int:
    return count + 1


def test_options_give_a_new_node_and_leave_the_old_one_alone() -> None:
    slow = node(inc_later)
    quick = slow.with_options(timeout=1)
    quicker = quick.with_options(timeout=0.5, name="quicker")
    assert (slow.options.timeout, quick.options.timeout, quicker.options.timeout) == (None, 1, 0.5)
    assert (slow.name, quick.name, quicker.name) == ("inc_later", "inc_later", "quicker")
    assert slow.options.empty
    assert not quick.options.empty


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a[0]", "a~2", "tab\t", "line\n"])
def test_names_that_paths_cannot_carry_are_refused(name: str) -> None:
    with pytest.raises(GraphError, match="names go into paths"):
        inc.with_options(name=name)
    with pytest.raises(GraphError, match="names go into paths"):
        node(name=name)(lambda: 1)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_must_be_above_zero(timeout: float) -> None:
    with pytest.raises(GraphError, match="timeout= is in seconds and must be above 0"):
        inc.with_options(timeout=timeout)


# Everything at once


def test_combinators_nest_in_graphs() -> None:
    def parity(count: int) -> Literal["odd", "even"]:
        return "odd" if count % 2 else "even"

    @node
    def halve(count: int) -> int:
        return count // 2

    route = switch(parity, {"odd": inc, "even": halve})

    @node
    def judge(count: int) -> Again[int] | Done[int]:
        return Done(count) if count < 3 else Again(count)

    @graph
    def shrink(count: int) -> Again[int] | Done[int]:
        return judge(route(count))

    @graph
    def whole(counts: list[int]) -> int:
        return total(each(loop(shrink, rounds=50))(counts))

    result = run_sync(whole, [7, 2])
    assert result.output == 3
    assert [step.path for step in result.trace.steps()][:3] == [
        "whole/shrink[0][0]/switch/parity",
        "whole/shrink[0][0]/switch/inc",
        "whole/shrink[0][0]/judge",
    ]


def test_a_field_whose_type_cannot_be_resolved_fits_anything() -> None:
    @dataclass
    class Priced:
        count: int
        price: Unknown | None = None  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownVariableType]

    @graph
    def whole(count: int) -> Priced:
        return Priced(inc(count))

    assert run_sync(whole, 1).output.count == 2


def test_an_arm_may_have_further_parameters_that_can_be_left_out() -> None:
    @node
    async def plain(count: int) -> int:
        return count

    @node
    async def more(count: int, by: int = 1) -> int:
        return count + by

    assert run_sync(cascade(plain, more, accept=lambda _: False), 1).output == 2
    assert run_sync(plain.with_options(fallback=more), 1).output == 1
    with pytest.raises(GraphError, match="'plain' takes 1 arguments, 'more' takes 2"):
        cast("Any", race)(more, plain)
