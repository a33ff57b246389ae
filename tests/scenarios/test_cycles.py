"""The topologies of Haystack's pipeline tests, as graphs: cycles, which are loops here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Again, Done, Node, RoundsExhausted, StepFailed, graph, loop, node, switch
from tests.engine.quickly import quickly
from tests.scenarios.reading import ended, given, ran
from tests.scenarios.steps import add, joined, subtract, total

pytestmark = pytest.mark.anyio


# Cycles are loops


def by_remainder(steps: dict[int, Callable[[int], int]]) -> Node[[int], int]:
    """Goes round until the value is a multiple of three; what a round does depends on the remainder."""

    def none(value: int) -> bool:
        return value % 3 == 0

    @node
    def done(value: int) -> Again[int] | Done[int]:
        return Done(value)

    @node
    def again(value: int) -> Again[int] | Done[int]:
        return Again(value)

    @graph
    def one(value: int) -> Again[int] | Done[int]:
        return again(steps[1](value))

    @graph
    def two(value: int) -> Again[int] | Done[int]:
        return again(steps[2](value))

    def is_one(value: int) -> bool:
        return value % 3 == 1

    @graph
    def not_done(value: int) -> Again[int] | Done[int]:
        return switch(is_one, {True: one, False: two})(value)

    @graph
    def body(value: int) -> Again[int] | Done[int]:
        return switch(none, {True: done, False: not_done})(value)

    return loop(body, rounds=2)


@pytest.mark.parametrize("lengths", ["identical", "different"])
@pytest.mark.parametrize(("value", "output"), [(0, 0), (3, 3), (4, 6), (5, 6), (6, 6)])
async def test_two_cycles_through_one_place_are_one_loop_with_two_branches(lengths: str, value: int, output: int) -> None:
    @graph
    def two_in_one(value: int) -> int:
        return add(value, 2)

    @graph
    def two_in_two(value: int) -> int:
        return add(add(value))

    @graph
    def once(value: int) -> int:
        return add(value)

    cycles = by_remainder({1: two_in_one if lengths == "identical" else two_in_two, 2: once})
    run = await quickly(cycles, value)
    assert run.output == output
    adds = [path for path in ran(run) if "/add" in path]
    assert len(adds) == (0 if value % 3 == 0 else 2 if value % 3 == 1 and lengths == "different" else 1)


@dataclass(frozen=True)
class Sum:
    value: int
    so_far: int = 0


@node
def small(state: Sum) -> Literal["below 5", "below 10", "done"]:
    if state.value >= 10:
        return "done"
    return "below 5" if state.value + state.so_far < 5 else "below 10"


async def test_a_loop_with_two_branches_keeps_its_state_in_what_it_goes_round_with() -> None:
    def accumulated(state: Sum) -> Sum:
        return Sum(state.so_far + state.value, state.so_far + state.value)

    @node
    def plain(state: Sum) -> Again[Sum] | Done[int]:
        return Again(accumulated(state))

    @node
    def plus_three(state: Sum) -> Again[Sum] | Done[int]:
        return Again(replace(accumulated(state), value=accumulated(state).value + 3))

    @node
    def finish(state: Sum) -> Again[Sum] | Done[int]:
        return Done(state.value)

    body = switch(small, {"below 5": plain, "below 10": plus_three, "done": finish})

    @graph
    def whole(value: int) -> int:
        return add(loop(body, rounds=4)(Sum(add(value))), 2)

    run = await quickly(whole, 3)
    assert run.output == 13
    rounds = [path for path in ran(run) if "/switch[" in path and not path.endswith("small")]
    assert rounds == ["whole/switch[0]/plain", "whole/switch[1]/plus_three", "whole/switch[2]/finish"]
    assert [given(run, path)["state"] for path in rounds] == [
        {"value": 4, "so_far": 0},
        {"value": 4, "so_far": 4},
        {"value": 11, "so_far": 8},
    ]


async def test_what_a_round_gave_can_be_read_by_its_number() -> None:
    @node
    def grow(value: int) -> Again[int] | Done[int]:
        return Done(value) if value >= 10 else Again(value + 3)

    @graph
    def whole(value: int) -> int:
        return add(loop(grow, rounds=5)(value), 2)

    run = await quickly(whole, 3)
    assert run.output == 14
    assert [run.trace.output(f"whole/grow[{index}]") for index in range(4)] == [
        {"state": 6},
        {"state": 9},
        {"state": 12},
        {"value": 12},
    ]


async def test_a_branch_that_loops_back_ends_in_the_other_which_joins_the_rest() -> None:
    @node
    def below(value: int) -> Again[int] | Done[int]:
        return Again(value + 1) if value < 10 else Done(value)

    @graph
    def whole(value: int, others: list[int]) -> int:
        return total([total(others), add(loop(below, rounds=10)(value), 2)])

    run = await quickly(whole, 7, [2, 3])
    assert run.output == 17
    assert [path for path in ran(run) if "below" in path] == [f"whole/below[{index}]" for index in range(4)]


async def test_forks_joins_branches_and_a_loop_in_one_graph() -> None:
    @node
    async def grow(value: int) -> Again[int] | Done[int]:
        await checkpoint()
        return Again(value * 2) if value < 10 else Done(value)

    @graph
    def odd(value: int, listed: list[int]) -> int:
        return subtract(total(listed), loop(grow, rounds=3)(add(value)))

    @graph
    def even(value: int, listed: list[int]) -> int:
        return total([value, total(listed)])

    def kind(value: int, listed: list[int]) -> Literal["even", "odd"]:
        return "odd" if value % 2 else "even"

    @graph
    def whole(value: int, count: int) -> tuple[int, int]:
        last = switch(kind, {"even": even, "odd": odd})(add(value, 2), [add(count, 3), count])
        return add(last, 4), add(last, 5)

    run = await quickly(whole, 1, 1)
    assert run.output == (-7, -6)
    assert [path for path in ran(run) if "grow" in path] == [f"whole/switch/odd/grow[{index}]" for index in range(3)]
    assert len(ran(run)) == len(set(ran(run))) == 11
    assert (await quickly(whole, 2, 1)).output == (13, 14)


@dataclass(frozen=True)
class Draft:
    task: str
    feedback: str = ""
    tried: int = 0


@node
def write(draft: Draft) -> str:
    return f"code {draft.tried}"


@node
def judge(code: str) -> str:
    return "PASS" if code == "code 2" else f"FAIL, not {code}"


@node
def prompt_of(draft: Draft) -> str:
    return f"{draft.task} {draft.feedback}".strip()


@node
def decide(draft: Draft, code: str, verdict: str, prompt: str) -> Again[Draft] | Done[tuple[str, str]]:
    if verdict == "PASS":
        return Done((code, prompt))
    return Again(Draft(draft.task, verdict, draft.tried + 1))


async def test_feedback_goes_round_and_what_the_cycle_used_is_given_out_with_the_result() -> None:
    @graph
    def attempt(draft: Draft) -> Again[Draft] | Done[tuple[str, str]]:
        code = write(draft)
        return decide(draft, code, judge(code), prompt_of(draft))

    run = await quickly(loop(attempt, rounds=3), Draft("sort"))
    assert run.output == ("code 2", "sort FAIL, not code 1")
    for index in range(3):
        mine = [path for path in ran(run) if path.startswith(f"attempt[{index}]/")]
        assert sorted(mine) == [f"attempt[{index}]/{name}" for name in ("decide", "judge", "prompt_of", "write")]
        assert mine[-1].endswith("decide")


async def test_the_order_of_the_lines_does_not_change_a_feedback_loop() -> None:
    @graph
    def attempt(draft: Draft) -> Again[Draft] | Done[tuple[str, str]]:
        prompt = prompt_of(draft)
        code = write(draft)
        verdict = judge(code)
        return decide(draft, code, verdict, prompt)

    assert (await quickly(loop(attempt, rounds=3), Draft("sort"))).output == ("code 2", "sort FAIL, not code 1")


async def test_a_loop_in_a_loop_starts_anew_in_each_round_of_the_outer() -> None:
    """An agent edits until its task is done; a reviewer sends it back to work."""

    @dataclass(frozen=True)
    class Files:
        edits: tuple[str, ...] = ()
        review: int = 0

    @node
    def edit(files: Files) -> Again[Files] | Done[Files]:
        edits = (*files.edits, f"edit {len(files.edits)}")
        return Done(replace(files, edits=edits)) if len(edits) % 2 == 0 else Again(replace(files, edits=edits))

    @node
    def review(files: Files) -> Again[Files] | Done[tuple[str, ...]]:
        return Done(files.edits) if files.review == 1 else Again(replace(files, review=files.review + 1))

    @graph
    def work(files: Files) -> Again[Files] | Done[tuple[str, ...]]:
        return review(loop(edit, rounds=2)(files))

    run = await quickly(loop(work, rounds=2), Files())
    assert run.output == ("edit 0", "edit 1", "edit 2", "edit 3")
    assert ran(run) == [f"work[{outer}]/{step}" for outer in (0, 1) for step in ("edit[0]", "edit[1]", "review")]


async def test_a_loop_in_the_middle_of_a_chain_with_the_callers_values_in_each_round() -> None:
    @dataclass(frozen=True)
    class Try:
        replies: tuple[str, ...] = ()

    @node
    def clean(prompt: str) -> str:
        return prompt.strip()

    @node
    def generate(state: Try, prompt: str, comment: str) -> str:
        return f"{prompt} {comment} {len(state.replies)}" if state.replies else "No answer"

    @node
    def validate(state: Try, reply: str) -> Again[Try] | Done[str]:
        return Again(Try((*state.replies, reply))) if reply == "No answer" else Done(reply)

    @graph
    def attempt(state: Try, prompt: str, comment: str) -> Again[Try] | Done[str]:
        return validate(state, generate(state, prompt, comment))

    @graph
    def answer(prompt: str, comment: str = "nice") -> str:
        return joined([loop(attempt, rounds=2)(Try(), clean(prompt), comment=comment)])

    run = await quickly(answer, "  Sort ")
    assert run.output == "Sort nice 1"
    assert ran(run) == [
        "answer/clean",
        *(f"answer/attempt[{index}]/{step}" for index in (0, 1) for step in ("generate", "validate")),
        "answer/joined",
    ]


async def test_a_value_that_one_round_makes_for_a_step_outside_the_loop_is_carried_to_the_end() -> None:
    @dataclass(frozen=True)
    class State:
        query: str
        seen: str = ""

    @node
    def go_on(state: State) -> Again[State] | Done[State]:
        query = state.query * 2
        seen = query if query == "abab" else state.seen
        return Done(State(query, seen)) if len(query) == 8 else Again(State(query, seen))

    @node
    def outside(delayed: str, early: str) -> str:
        return f"{early}|{delayed}"

    @graph
    def whole(query: str) -> str:
        last = loop(go_on, rounds=2)(State(query))
        return outside(last.query, last.seen)

    run = await quickly(whole, "ab")
    assert run.output == "abab|abababab"
    assert ran(run) == ["whole/go_on[0]", "whole/go_on[1]", "whole/outside"]


# Loops that cannot end well


@pytest.mark.parametrize("rounds", [1, 3])
async def test_a_cycle_without_an_end_is_stopped_after_its_rounds(rounds: int) -> None:
    @node
    def forever(value: int) -> Again[int] | Done[int]:
        return Again(value + 1)

    with pytest.raises(RoundsExhausted) as caught:
        await quickly(loop(forever, rounds=rounds), 3)
    error = caught.value
    assert (error.rounds, error.state, error.history) == (rounds, 3 + rounds, tuple(range(3, 3 + rounds)))
    assert error.run is not None
    assert ended(error.run) == [f"forever[{index}]" for index in range(rounds)]


async def test_a_body_that_gives_neither_again_nor_done_fails_by_name() -> None:
    def broken(value: int) -> Any:  # Any: wrong on purpose
        return value

    with pytest.raises(StepFailed, match=r"broken\[0\].*Again") as caught:
        await quickly(loop(broken, rounds=2), 1)
    assert caught.value.run is not None
    assert ran(caught.value.run) == ["broken[0]"]
