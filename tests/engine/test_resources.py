"""Resources of a subtree: who finds which, what may be given, and that nobody else ever sees them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import anyio
import pytest

from swarmlet import (
    Again,
    Budget,
    Done,
    GraphError,
    Node,
    Retry,
    StepFailed,
    Swarm,
    best,
    cascade,
    current,
    each,
    graph,
    hedge,
    loop,
    node,
    race,
    switch,
    vote,
    within,
)
from swarmlet.graph.fingerprint import fingerprint
from swarmlet.trace import Journal
from swarmlet.trace.events import Decided, StepStarted
from tests.engine.quickly import quickly
from tests.swarm.prefixes import write_prefix

pytestmark = pytest.mark.anyio
SECRET = "sk-not-for-anybody"


@dataclass
class Customer:
    name: str


@dataclass
class Shop:
    name: str


ADA, GRACE = Customer("Ada"), Customer("Grace")


@node
async def who(text: str) -> str:
    await anyio.lowlevel.checkpoint()
    return f"{text} {current().get(Customer).name}"


@node
def who_at_once(text: str) -> str:
    return f"{text} {current().get(Customer).name}"


@node(thread=True)
def who_in_a_thread(text: str) -> str:
    return f"{text} {current().get(Customer).name}"


@node
async def where(text: str) -> str:
    return f"{text} {current().get(Customer).name} in {current().get(Shop).name}"


@node
async def child(text: str) -> str:
    return await current().run(who, text)


@node
async def fails(text: str) -> str:
    raise ValueError(text)


@graph
def inside(text: str) -> str:
    return who(who_at_once(text))


# Who finds which


@pytest.mark.parametrize("one", [who, who_at_once, who_in_a_thread, child, who.with_options(timeout=5)])
async def test_a_step_finds_what_its_node_was_given(one: Node[[str], str]) -> None:
    assert (await quickly(one.with_options(resources={Customer: ADA}), "hello")).output == "hello Ada"


@node
async def rounds(left: int) -> Again[int] | Done[str]:
    return Again(left - 1) if left else Done(current().get(Customer).name)


@node
async def is_ada(text: str) -> bool:
    return current().get(Customer) is ADA


@node
async def scored(answer: str, text: str) -> float:
    return 1.0 if current().get(Customer) is ADA else 0.0


@node
async def satisfied(answer: str, text: str) -> bool:
    return current().get(Customer) is ADA


@pytest.mark.parametrize(
    ("made", "given"),
    [
        (inside, "hello Ada Ada"),
        (race(who, who), "hello Ada"),
        (hedge(who, after=60), "hello Ada"),
        (vote(who, of=3), "hello Ada"),
        (best(who, of=2, score=scored), "hello Ada"),
        (cascade(who, who, accept=satisfied), "hello Ada"),
        (switch(is_ada, {True: who, False: fails}), "hello Ada"),
        (who.with_options(retry=Retry(attempts=2, on=ValueError), concurrency=1), "hello Ada"),
    ],
)
async def test_everything_under_a_node_finds_what_it_was_given(made: Node[[str], object], given: object) -> None:
    result = (await quickly(made.with_options(resources={Customer: ADA}), "hello")).output
    assert given == getattr(result, "output", result)


async def test_maps_loops_and_what_a_budget_bounds_find_it_too() -> None:
    ada: dict[type, object] = {Customer: ADA}
    assert (await quickly(each(inside).with_options(resources=ada), ["a", "b"])).output == ["a Ada Ada", "b Ada Ada"]
    skipping = each(who, on_error="skip", concurrency=1).with_options(resources=ada)
    assert (await quickly(skipping, ["a", "b"])).output == ["a Ada", "b Ada"]
    assert (await quickly(loop(rounds, rounds=5).with_options(resources=ada), 3)).output == "Ada"
    bounded = within(inside, Budget(tokens=100)).with_options(resources=ada)
    assert (await quickly(bounded, "a")).output == "a Ada Ada"


async def test_the_nearest_wins_for_each_type_and_then_the_swarm() -> None:
    near = where.with_options(resources={Customer: GRACE})

    @graph
    def both(text: str) -> tuple[str, str]:
        return where(text), near(text)

    around = both.with_options(resources={Customer: ADA})
    async with Swarm(resources={Shop: Shop("Rome"), Customer: Customer("nobody")}) as swarm:
        assert (await swarm.run(around, "x")).output == ("x Ada in Rome", "x Grace in Rome")
        elsewhere = around.with_options(resources={Shop: Shop("Oslo"), Customer: ADA})
        assert (await swarm.run(elsewhere, "x")).output == ("x Ada in Oslo", "x Grace in Oslo")
        assert (await swarm.run(both, "x")).output == ("x nobody in Rome", "x Grace in Rome")


async def test_runs_side_by_side_do_not_see_one_another_s() -> None:
    seen: dict[str, str] = {}
    async with Swarm() as swarm, anyio.create_task_group() as group:

        async def ask(customer: Customer) -> None:
            run = await swarm.run(each(inside).with_options(resources={Customer: customer}), ["a"] * 9)
            seen[customer.name] = " ".join(dict.fromkeys(run.output))

        group.start_soon(ask, ADA)
        group.start_soon(ask, GRACE)
    assert seen == {"Ada": "a Ada Ada", "Grace": "a Grace Grace"}


async def test_set_again_on_the_same_node_they_replace_the_earlier_ones_and_a_copy_is_taken() -> None:
    given: dict[type, object] = {Customer: ADA, Shop: Shop("Rome")}
    first = where.with_options(resources=given)
    given.clear()
    assert (await quickly(first, "x")).output == "x Ada in Rome"
    with pytest.raises(StepFailed, match="asks for a Shop"):
        await quickly(first.with_options(resources={Customer: ADA}), "x")
    with pytest.raises(StepFailed, match="asks for a Customer"):
        await quickly(first.with_options(resources={}), "x")
    assert (await quickly(first.with_options(timeout=5, name="other"), "x")).output == "x Ada in Rome"


async def test_a_fallback_runs_with_those_around_the_node_and_not_with_the_node_s_own() -> None:
    backed = fails.with_options(fallback=who, resources={Customer: ADA})
    with pytest.raises(StepFailed, match="asks for a Customer"):
        await quickly(backed, "x")

    @graph
    def whole(text: str) -> str:
        return backed(text)

    assert (await quickly(whole.with_options(resources={Customer: GRACE}), "x")).output == "x Grace"
    own = fails.with_options(fallback=who.with_options(resources={Customer: ADA}))
    assert (await quickly(own, "x")).output == "x Ada"


async def test_what_is_not_there_is_told_with_both_ways_to_give_it() -> None:
    said = (
        r"step 'who' asks for a Customer, which neither the nodes around it nor the swarm have \(they have: Path, Shop\); give "
        r"it to a run, node.with_options\(resources=\{Customer: \.\.\.\}\), or to all, Swarm\(resources=\{Customer: \.\.\.\}\)"
    )
    async with Swarm(resources={Path: Path()}) as swarm:
        with pytest.raises(StepFailed, match=said):
            await swarm.run(who.with_options(resources={Shop: Shop(SECRET)}), "x")


async def test_what_need_not_be_there_can_be_asked_for() -> None:
    @node
    async def perhaps(text: str) -> list[object]:
        return [current().find(Customer), current().find(Shop), current().find(Path)]

    async with Swarm(resources={Shop: Shop("Rome"), Customer: GRACE}) as swarm:
        assert (await swarm.run(perhaps, "")).output == [GRACE, Shop("Rome"), None]
        assert (await swarm.run(perhaps.with_options(resources={Customer: ADA}), "")).output == [ADA, Shop("Rome"), None]


async def test_a_value_that_is_false_or_equal_to_nothing_is_a_value() -> None:
    class Odd:
        def __bool__(self) -> bool:
            raise AssertionError("nobody asks")

        def __eq__(self, other: object) -> bool:
            raise AssertionError("nobody asks")

        __hash__ = None  # type: ignore[assignment]

    odd = Odd()

    @node
    async def found() -> bool:
        return current().get(Odd) is odd and current().find(Odd) is odd and current().get(int) == 0

    given = found.with_options(resources={Odd: odd, int: 0})
    assert (await quickly(given.with_options(timeout=5))).output
    assert given.options != given.with_options(resources={Odd: odd, int: 0}).options
    assert hash(given.options)


# What may be given


class Speaks(Protocol):
    def speak(self) -> str: ...


@asynccontextmanager
async def opened() -> AsyncGenerator[Customer, None]:
    yield ADA


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([Customer], r"^resources= is a mapping of types to values, such as \{Customer: customer\}, and no list$"),
        (ADA, "^resources= is a mapping .* and no Customer$"),
        ({"customer": ADA}, "^a key of resources= is a str, and no type$"),
        ({Customer: "Ada"}, r"^resources\[Customer\] is a str, and no Customer$"),
        ({Customer: None}, r"^resources\[Customer\] is a NoneType, and no Customer$"),
        ({Customer: Customer}, r"resources\[Customer\] is a type, and no Customer: a node takes values that are there"),
        ({Customer: opened}, r"is a function, .* what opens one goes to Swarm\(resources=\), which also closes it"),
        ({Customer: lambda: ADA}, r"is a function, .* what opens one goes to Swarm\(resources=\)"),
        ({Customer: opened()}, r"is a _AsyncGeneratorContextManager, .* what opens one goes to Swarm"),
        ({Speaks: opened}, r"resources\[Speaks\] is a function, "),
    ],
)
def test_only_values_of_their_types_are_taken_and_no_value_is_told(given: Any, problem: str) -> None:
    with pytest.raises(GraphError, match=problem):
        who.with_options(resources=given)


def test_all_that_is_wrong_is_told_at_once() -> None:
    given: Any = {Customer: SECRET, SECRET: ADA}
    with pytest.raises(GraphError) as caught:
        who.with_options(resources=given)
    assert len(caught.value.problems) == 2
    assert SECRET not in str(caught.value)


async def test_what_can_be_entered_or_called_is_a_value_if_it_is_of_the_type() -> None:
    class Client:
        async def __aenter__(self) -> Client:
            raise AssertionError("it is not ours to open")

        async def __aexit__(self, *_: object) -> None:
            raise AssertionError("nor to close")

        def __call__(self) -> str:
            return "called"

    class Parrot:
        def speak(self) -> str:
            return "hello"

    @node
    async def use() -> str:
        speaker = cast("Parrot", current().get(cast("type[object]", Speaks)))
        return f"{current().get(Client)()} {speaker.speak()} {current().get(Shop).name}"

    class Branch(Shop):
        pass

    given = use.with_options(resources={Client: Client(), Speaks: Parrot(), Shop: Branch("Oslo")})
    assert (await quickly(given)).output == "called hello Oslo"


# What is seen of them


async def test_they_change_no_fingerprint_and_stand_in_no_record(tmp_path: Path) -> None:
    bound = inside.with_options(resources={Customer: Customer(SECRET), Shop: Shop(SECRET)})
    assert fingerprint(bound).digest == fingerprint(inside).digest
    shown = f"{bound!r} {bound.options!r} {bound.options} {bound.plan.outline}"
    assert "resources=Customer,Shop" in str(bound.plan.outline)
    journal = tmp_path / "runs.sqlite"
    refused = fails.with_options(resources={Customer: Customer(SECRET)})
    async with Swarm(journal=journal) as swarm:
        hidden = (await swarm.run(each(bound, on_error="keep"), ["x"])).trace
        with pytest.raises(StepFailed) as caught:
            await swarm.run(refused, "x")
    assert SECRET not in shown + repr(caught.value) + str(caught.value)
    assert not [event for event in hidden.events if "Customer" in repr(event) or "Shop" in repr(event)]
    outputs = [event for event in hidden.events if isinstance(event, StepStarted) and event.path == "inside[0]"]
    assert len(outputs) == 1


@pytest.mark.parametrize("journaled", [True, False])
async def test_a_record_does_not_hold_what_a_run_was_given(journaled: bool, tmp_path: Path) -> None:
    async def traced() -> tuple[object, weakref.ref[Customer]]:
        customer = Customer("Ada")
        spare = who.with_options(resources={Customer: customer})
        bound = inside.with_options(resources={Customer: customer}, fallback=spare)
        async with Swarm(journal=tmp_path / "runs.sqlite" if journaled else None) as swarm:
            run = await swarm.run(bound, "x")
        assert run.output == "x Ada Ada"
        return run.trace, weakref.ref(customer)

    trace, gone = await traced()
    gc.collect()
    assert gone() is None
    assert trace


async def test_a_run_that_goes_on_takes_those_that_it_is_handed_then(tmp_path: Path) -> None:
    @graph
    def two(text: str) -> str:
        return where(who(text))

    journal = tmp_path / "runs.sqlite"
    async with Swarm(journal=journal) as swarm:
        with pytest.raises(StepFailed, match="asks for a Shop"):
            await swarm.run_as("r", two.with_options(resources={Customer: ADA}), "x")
    async with Swarm(journal=journal) as swarm:
        with pytest.raises(StepFailed, match="asks for a Customer"):
            await swarm.resume("r", two)
        again = two.with_options(resources={Customer: GRACE, Shop: Shop("Rome")})
        run = await swarm.run_as("r", again, "x")
        assert run.output == "x Ada Grace in Rome"
        fork = await swarm.fork("r", again, again=["two/who"])
    assert fork.output == "x Grace Grace in Rome"


async def test_a_fallback_that_was_recorded_is_run_with_what_is_around_the_node(tmp_path: Path) -> None:
    backed = fails.with_options(fallback=who)

    @graph
    def whole(text: str) -> str:
        return backed(text)

    path = tmp_path / "first.sqlite"
    async with Swarm(journal=path) as swarm:
        await swarm.run_as("r", whole.with_options(resources={Customer: ADA}), "x")
    trace = Journal(path).trace("r")
    chosen = next(number for number, event in enumerate(trace.events) if isinstance(event, Decided))
    await write_prefix(tmp_path / "again.sqlite", trace, chosen + 1)
    async with Swarm(journal=tmp_path / "again.sqlite") as swarm:
        assert (await swarm.resume("r", whole.with_options(resources={Customer: GRACE}))).output == "x Grace"


def test_values_are_taken_by_every_kind_of_node() -> None:
    makers: list[Callable[[], Any]] = [lambda: who_at_once, lambda: each(who_at_once), lambda: inside]
    for made in makers:
        assert not made().with_options(resources={Customer: ADA}).options.empty
        assert made().with_options(resources={Customer: ADA}, timeout=None).options.only_timeout is None
    assert who.with_options(timeout=1).options.only_timeout == 1
    assert who.with_options(timeout=1, resources={}).options.only_timeout is None
