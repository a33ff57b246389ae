"""Maps that begin before their list is whole, without an event loop: whatever was told before, and in whatever order things
happen, the result is that of the list."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from swarmlet import Failed, StepFailed, agent, each, graph, node, tool
from swarmlet.engine.errands import Drop, Early
from swarmlet.engine.frame import Left
from swarmlet.engine.scheduler import Scheduler
from swarmlet.engine.step import Step
from swarmlet.graph.node import Node
from swarmlet.policy.options import Scope
from tests.engine.test_scheduler import call

many = settings(deadline=None, max_examples=300)
BAD = 7


class Numbers(BaseModel):
    name: str = ""
    numbers: list[int]


@agent(list[int], early=True)
def numbers(count: int) -> str:
    return str(count)


@agent(Numbers, early=True)
def named(count: int) -> str:
    return str(count)


@node
def tenfold(number: int) -> int:
    if number == BAD:
        raise ValueError(f"{number} is bad")
    return number * 10


@node
def add(number: int, to: int) -> int:
    return number + to


class World:
    """Executes what a scheduler wants, one thing at a time, in an order that `choose` says."""

    def __init__(self, of: Node[..., Any], *args: object) -> None:
        self.scheduler = Scheduler(of, args, {}, of.name, Scope())
        self.scheduler.hear = self.hear
        self.telling: Step | None = None
        self.running: list[Step] = []
        self.ghosts: list[Step] = []
        self.begun: list[tuple[str, object]] = []
        self.most = 0
        self.take()

    def hear(self, frame: Any, news: object) -> None:
        self.scheduler.errand_done(frame, news)
        self.take()

    def take(self) -> None:
        """Begin all that may begin."""
        scheduler = self.scheduler
        while scheduler.errands and not scheduler.over:
            _, errand = scheduler.errands.popleft()
            if isinstance(errand, Early):
                self.begin(errand.step)
            elif isinstance(errand, Drop) and errand.early.step in self.running:
                self.running.remove(errand.early.step)
                self.ghosts.append(errand.early.step)
        while scheduler.ready and not scheduler.over:
            self.begin(scheduler.ready.popleft())
        self.most = max(self.most, len(self.running) + len(self.ghosts))

    def begin(self, step: Step) -> None:
        if step.node is numbers or step.node is named:
            self.telling = step
            return
        assert step.path not in {one.path for one in (*self.running, *self.ghosts)}, "two at once at one path"
        self.running.append(step)
        self.begun.append((step.path, step.args[0]))

    def say(self, index: int, value: int, *path: str) -> None:
        assert self.telling is not None
        assert self.telling.scope.taker is not None
        self.telling.scope.taker.take(path, index, value)

    def end(self, value: object) -> None:
        """The step that has told something ends."""
        assert self.telling is not None
        self.scheduler.step_finished(self.telling, value)
        self.telling = None
        self.take()

    def go_on(self, number: int) -> None:
        """One of the running steps ends."""
        waiting = [*self.running, *self.ghosts]
        if not waiting or self.scheduler.over:
            return
        step = waiting[number % len(waiting)]
        if step in self.ghosts:
            self.ghosts.remove(step)
            assert step.frame is not None
            self.hear(step.frame, Left(step.key))
            return
        self.running.remove(step)
        try:
            value = call(step)
        except ValueError as error:
            failed = StepFailed(step.path, str(error))
            failed.__cause__ = error
            self.scheduler.step_failed(step, failed)
        else:
            self.scheduler.step_finished(step, value)
        self.take()

    def finish(self) -> Any:
        while not self.scheduler.over:
            assert self.running or self.ghosts, "nothing runs, and it is not done"
            self.go_on(0)
        return self.scheduler.output


few = st.lists(st.integers(0, 8), max_size=5)


@many
@given(
    guesses=st.lists(few, max_size=3),
    final=few,
    order=st.lists(st.integers(0, 9), max_size=30),
    on_error=st.sampled_from(["raise", "keep", "skip"]),
    concurrency=st.sampled_from([None, 1, 2]),
    warm=st.booleans(),
    at_least=st.sampled_from([None, 1, 3]),
)
def test_the_result_is_that_of_the_list_whatever_was_told_before(
    guesses: list[list[int]],
    final: list[int],
    order: list[int],
    on_error: Literal["raise", "keep", "skip"],
    concurrency: int | None,
    warm: bool,
    at_least: int | None,
) -> None:
    options: dict[str, Any] = {"on_error": on_error, "concurrency": concurrency, "warm": warm}
    if on_error != "raise":
        options["at_least"] = at_least
    map_over: Any = each
    mapped: Node[[list[int]], list[Any]] = map_over(tenfold, **options)

    @graph
    def whole(count: int) -> list[Any]:
        return mapped(numbers(count))

    world = World(whole, 1)
    told = [(index, value) for guess in guesses for index, value in enumerate(guess)]
    for choice in order:
        if choice < 5 and told:
            world.say(*told.pop(0))
        else:
            world.go_on(choice)
    world.end(list(final))
    output = world.finish()

    failed, good = final.count(BAD), len(final) - final.count(BAD)
    if (on_error == "raise" and failed) or (on_error != "raise" and at_least is not None and good < at_least):
        assert world.scheduler.failures
        return
    assert not world.scheduler.failures
    if on_error == "keep":
        output = [BAD * 10 if isinstance(one, Failed) else one for one in output]
    kept = [value for value in final if on_error != "skip" or value != BAD]
    assert output == [value * 10 for value in kept]
    assert concurrency is None or world.most <= concurrency


@many
@given(guess=few, final=few)
def test_what_was_told_right_is_run_once(guess: list[int], final: list[int]) -> None:
    guess, final = [one for one in guess if one != BAD], [one for one in final if one != BAD]

    @graph
    def whole(count: int) -> list[int]:
        return each(tenfold)(numbers(count))

    world = World(whole, 1)
    for index, value in enumerate(guess):
        world.say(index, value)
        world.go_on(0)
    world.end(final)
    world.finish()

    begun = [path for path, _ in world.begun]
    for index, value in enumerate(final):
        right = index >= len(guess) or guess[index] == value
        assert begun.count(f"whole/tenfold[{index}]") == (1 if right else 2)


def test_a_list_in_a_model_and_further_arguments() -> None:
    @node
    def slow(count: int) -> int:
        return count * 100

    @graph
    def whole(count: int) -> list[int]:
        return each(add)(named(count).numbers, slow(count))

    world = World(whole, 1)
    world.say(0, 5, "numbers")
    assert [path for path, _ in world.begun] == ["whole/slow"], "another argument is not there yet"
    world.go_on(0)
    assert [path for path, _ in world.begun] == ["whole/slow", "whole/add[0]"]
    world.say(1, 6, "numbers")
    world.end(Numbers(numbers=[5, 6]))
    assert world.finish() == [105, 106]


def test_a_list_in_a_graph_that_is_used_and_two_maps_over_it() -> None:
    @graph
    def inner(items: list[int]) -> list[int]:
        return each(tenfold)(items)

    @graph
    def whole(count: int) -> tuple[list[int], list[int]]:
        items = numbers(count)
        return inner(items), each(add)(items, count)

    world = World(whole, 1)
    world.say(0, 2)
    assert [path for path, _ in world.begun] == ["whole/inner/tenfold[0]", "whole/add[0]"]
    world.end([2])
    assert world.finish() == ([20], [3])


def test_a_failure_of_what_is_not_in_the_list_is_none() -> None:
    @graph
    def whole(count: int) -> list[int]:
        return each(tenfold)(numbers(count))

    world = World(whole, 1)
    world.say(0, BAD)
    world.go_on(0)
    assert not world.scheduler.failures, "it is held back"
    world.say(1, 2)
    assert len(world.begun) == 1, "nothing more is spent on what may be in vain"
    world.say(0, 1)
    assert [value for _, value in world.begun] == [BAD, 1]
    world.end([1, 2])
    assert world.finish() == [10, 20]


def test_failures_of_several_that_are_in_the_list_are_all_told() -> None:
    @graph
    def whole(count: int) -> list[int]:
        return each(tenfold)(numbers(count))

    world = World(whole, 1)
    for index in range(2):
        world.say(index, BAD)
    for _ in range(2):
        world.go_on(0)
    world.end([BAD, BAD])
    assert [str(error) for error in world.scheduler.failures] == [
        f"step 'whole/tenfold[{index}]' failed: 7 is bad" for index in range(2)
    ]


@pytest.mark.parametrize("on_error", ["keep", "skip"])
def test_a_failure_that_a_map_does_not_name_is_held_back_until_it_is_sure_that_it_counts(on_error: Any) -> None:
    mapped: Any = each
    rest: Node[[list[int]], list[Any]] = mapped(tenfold, on_error=on_error, on=LookupError)

    @graph
    def whole(count: int) -> list[Any]:
        return rest(numbers(count))

    for final, output in (([1, 2], [10, 20]), ([BAD, 2], None)):
        world = World(whole, 1)
        world.say(0, BAD)
        world.go_on(0)
        world.say(1, 2)
        assert len(world.begun) == 1, "nothing more is spent on what may be in vain"
        world.end(final)
        assert world.finish() == output
        assert [str(error) for error in world.scheduler.failures] == (
            [] if output else ["step 'whole/tenfold[0]' failed: 7 is bad"]
        )


@pytest.mark.parametrize(("on_error", "output"), [("keep", ["ValueError", 20]), ("skip", [20])])
def test_a_failure_that_a_map_names_is_kept_or_skipped_and_others_go_on_meanwhile(on_error: Any, output: list[Any]) -> None:
    mapped: Any = each
    rest: Node[[list[int]], list[Any]] = mapped(tenfold, on_error=on_error, on=ValueError)

    @graph
    def whole(count: int) -> list[Any]:
        return rest(numbers(count))

    world = World(whole, 1)
    world.say(0, BAD)
    world.go_on(0)
    world.say(1, 2)
    assert len(world.begun) == 2
    world.end([BAD, 2])
    assert [one.type if isinstance(one, Failed) else one for one in world.finish()] == output


def test_what_was_told_before_is_not_begun_when_the_list_is_told_anew() -> None:
    @graph
    def whole(count: int) -> list[int]:
        return each(tenfold, concurrency=1)(numbers(count))

    world = World(whole, 1)
    for index, value in enumerate((1, 2, 3)):
        world.say(index, value)
    world.say(0, 1)
    world.go_on(0)
    assert world.begun == [("whole/tenfold[0]", 1)]
    world.say(1, 5)
    world.end([1, 5])
    assert world.finish() == [10, 50]
    assert [value for _, value in world.begun] == [1, 5]


def test_what_is_told_with_a_gap_is_not_heard() -> None:
    @graph
    def whole(count: int) -> list[int]:
        return each(tenfold)(numbers(count))

    world = World(whole, 1)
    world.say(1, 1)
    assert not world.begun
    world.end([0, 1])
    assert world.finish() == [0, 10]


def test_what_has_not_started_is_told_without_what_has() -> None:
    @graph
    def whole(count: int) -> list[int]:
        return each(tenfold, concurrency=1)(numbers(count))

    world = World(whole, 1)
    assert [path for path, _ in world.scheduler.not_started()] == ["whole/tenfold"]
    for index in range(3):
        world.say(index, index)
    assert [path for path, _ in world.scheduler.not_started()] == ["whole/tenfold[1]", "whole/tenfold[2]"]


def delete(name: str) -> str:
    return name


@agent(str, tools=[tool(delete, effects=True)])
def cleaner(number: int) -> str:
    return str(number)


@pytest.mark.parametrize(
    "mapped",
    [each(cleaner), each(tenfold, enough=1), each(tenfold).with_options(timeout=5)],
    ids=["acts on the world", "ends early", "has options of its own"],
)
def test_maps_that_must_not_or_cannot_begin_early_wait_for_the_list(mapped: Node[[list[int]], list[Any]]) -> None:
    @graph
    def whole(count: int) -> list[Any]:
        return mapped(numbers(count))

    assert not whole.plan.offers


def test_steps_whose_result_may_come_from_elsewhere_tell_nothing() -> None:
    @graph
    def guarded(count: int) -> list[int]:
        return each(tenfold)(numbers.with_options(fallback=numbers)(count))

    @graph
    def reread(count: int) -> list[int]:
        made = named(count)
        return each(add)(made.numbers, count_of(made))

    @graph
    def rebuilt(count: int) -> list[list[int]]:
        return each(total)([numbers(count)])

    assert not guarded.plan.offers
    assert not reread.plan.offers
    assert not rebuilt.plan.offers


@node
def count_of(made: Numbers) -> int:
    return len(made.numbers)


@node
def total(some: list[int]) -> list[int]:
    return [sum(some)]
