"""Tools with effects are never replayed: not by hedges and samples, not by retries, not by fallbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tenacity import wait_none

from swarmlet import (
    Agent,
    GraphError,
    Node,
    PartialRun,
    Retry,
    StepFailed,
    agent,
    best,
    current,
    each,
    graph,
    hedge,
    loop,
    node,
    race,
    team,
    tool,
    vote,
)
from swarmlet.agents.tools import AnyTool
from swarmlet.graph.effects import effects_in
from swarmlet.graph.loop import Again, Done
from swarmlet.models.base import Message
from swarmlet.testing import Fail, ScriptedServer, call
from swarmlet.trace.events import Noted, StepRetried

from .helpers import errors_of, failure, outcome, partial, say

pytestmark = pytest.mark.anyio

AGAIN = Retry(attempts=4, on=Exception, wait=wait_none())


class World:
    """What was done to it."""

    def __init__(self) -> None:
        self.charges: list[int] = []

    def charge(self, cents: int) -> str:
        self.charges.append(cents)
        return "charged"


@pytest.fixture
def world() -> World:
    return World()


def shop(*tools: AnyTool) -> Agent[[str], str]:
    @agent(str, tools=tools)
    def buy(text: str) -> str:
        return text

    return buy


def charge(cents: int) -> str:
    return f"{cents} charged"


ACTS = tool(charge, effects=True)


def notes(run: PartialRun) -> list[tuple[str, str]]:
    return [(event.path, event.message) for event in run.trace.events if isinstance(event, Noted)]


def retries(run: PartialRun) -> list[str]:
    return [event.path for event in run.trace.events if isinstance(event, StepRetried)]


# Before the run


def nested() -> list[tuple[str, Node[[str], Any]]]:
    buy = shop(ACTS)

    @graph
    def order(text: str) -> str:
        return say(buy(text))

    @agent(str, tools=[order])
    def boss(text: str) -> str:
        return text

    @graph
    def whole(text: str) -> str:
        return boss(say(text))

    @node
    def items(text: str) -> list[str]:
        return [text]

    @node
    async def ask(text: str) -> str:
        return text

    @graph
    def many(text: str) -> list[str]:
        return each(buy)(items(text))

    return [
        ("buy/charge", buy),
        ("order/buy/charge", order),
        ("boss/order/buy/charge", boss),
        ("whole/boss/order/buy/charge", whole),
        ("many/buy[i]/charge", many),
        ("race/buy/charge", race(say, buy)),
        ("ask/~buy/charge", ask.with_options(fallback=buy)),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ]


@pytest.mark.parametrize(("path", "acting"), nested(), ids=lambda one: one if isinstance(one, str) else "")
def test_what_acts_anywhere_inside_is_neither_hedged_nor_sampled(path: str, acting: Node[[str], Any]) -> None:
    assert [str(one) for one in effects_in(acting)] == [path]
    builds: list[Callable[[], object]] = [
        lambda: hedge(acting, after=1),
        lambda: vote(acting, of=3),
        lambda: best(acting, of=3, score=lambda _: 1.0),
    ]
    for build in builds:
        with pytest.raises(GraphError) as caught:
            build()
        assert f"{path} is a tool with effects" in str(caught.value)


def test_a_team_that_acts_is_not_hedged() -> None:
    @agent(str, tools=[ACTS])
    def till(chat: Sequence[Message]) -> Sequence[Message]:
        return chat

    @agent(str)
    def desk(chat: Sequence[Message]) -> Sequence[Message]:
        return chat

    with pytest.raises(GraphError, match="team/till/charge is a tool with effects"):
        hedge(team(desk, till), after=1)


def test_races_and_tools_without_effects_are_free_and_a_shared_part_is_looked_at_once() -> None:
    buy = shop(ACTS)
    race(buy, say)
    harmless = hedge(shop(charge), after=1)
    for _ in range(60):  # in each of them the one before stands twice
        harmless = race(harmless, harmless)
    assert list(effects_in(harmless)) == []


def test_what_could_never_apply_is_refused() -> None:
    @node
    async def pay(cents: int) -> int:
        return cents

    with pytest.raises(GraphError, match="retry= never applies"):
        tool(pay.with_options(retry=Retry(on=OSError)), effects=True)
    tool(pay.with_options(retry=Retry(on=OSError)))
    tool(say.with_options(retry=Retry(on=OSError)), effects=True)
    with pytest.raises(GraphError, match="True or False"):
        tool(charge, effects=charge)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# While it runs


@pytest.mark.parametrize("effects", [True, False])
async def test_a_step_around_is_not_tried_again_once_a_tool_has_acted(
    scripted_server: ScriptedServer, world: World, effects: bool
) -> None:
    buy = shop(tool(world.charge, name="charge", effects=effects))

    @node
    async def step(text: str) -> str:
        await current().run(buy, text)
        raise ConnectionError(f"attempt {current().attempt}")

    scripted_server.script(*[call("charge", cents=5), "bought"] * (1 if effects else 4))

    error = await failure(step.with_options(retry=AGAIN), "go")

    run = partial(error)
    if effects:
        assert world.charges == [5]
        assert str(error.__cause__) == "attempt 1", "the original error"
        assert notes(run) == [("step", "it is not tried again, as it has acted on the world: charge")]
        assert retries(run) == []
    else:
        assert world.charges == [5] * 4
        assert notes(run) == []


async def test_it_is_tried_again_as_long_as_nothing_has_acted(scripted_server: ScriptedServer, world: World) -> None:
    buy = shop(tool(world.charge, name="charge", effects=True))

    @node
    async def step(text: str) -> str:
        if current().attempt < 3:
            raise ConnectionError(text)
        await current().run(buy, text)
        raise LookupError(text)

    scripted_server.script(call("charge", cents=5), "bought")

    error = await failure(step.with_options(retry=AGAIN), "go")

    assert isinstance(error.__cause__, LookupError)
    assert retries(partial(error)) == ["step", "step"]
    assert world.charges == [5]


async def test_a_tool_that_fails_has_acted_and_one_that_was_called_wrongly_has_not(scripted_server: ScriptedServer) -> None:
    begun: list[int] = []

    def pay(cents: int) -> str:
        begun.append(cents)
        raise OSError("the line broke; who knows")

    buy = shop(tool(pay, effects=True, on_error="raise"))

    @node
    async def step(text: str) -> str:
        return await current().run(buy, text)

    scripted_server.script(call("pay", cents="many"), call("pay", cents=5))

    error = await failure(step.with_options(retry=AGAIN), "go")

    assert begun == [5]
    assert retries(partial(error)) == ["step"], (
        "after the first call, whose arguments could not be read, and not after the second"
    )


async def test_steps_beside_it_are_tried_again(scripted_server: ScriptedServer, world: World) -> None:
    buy = shop(tool(world.charge, name="charge", effects=True))

    @node
    async def flaky(text: str) -> str:
        if current().attempt == 1:
            raise ConnectionError(text)
        return text

    @graph
    def both(text: str) -> str:
        return flaky(buy(text))

    scripted_server.script(call("charge", cents=5), "bought")

    run = await outcome(both.with_options(retry=AGAIN), "go")

    assert run.output == "bought"
    assert retries(run) == ["both/flaky"]


async def test_the_agents_own_calls_are_tried_again_and_replay_nothing(scripted_server: ScriptedServer, world: World) -> None:
    buy = shop(tool(world.charge, name="charge", effects=True))
    scripted_server.script(Fail(500), call("charge", cents=5), Fail(500), Fail(500), "bought")

    run = await outcome(buy.with_options(retry=Retry(wait=wait_none())), "go")

    assert run.output == "bought"
    assert world.charges == [5]
    assert errors_of(run) == ["ModelUnavailable", None, "ModelUnavailable", "ModelUnavailable", None]


async def test_a_policy_from_outside_repeats_nothing_in_a_tool_with_effects(scripted_server: ScriptedServer) -> None:
    tried: list[str] = []

    @node
    async def inherits(cents: int) -> int:
        tried.append("inherits")
        if len(tried) < 3:
            raise ConnectionError("once")
        return cents

    @graph
    def pay(cents: int) -> int:
        return inherits(cents)

    @node
    async def alone(cents: int) -> int:
        tried.append("alone")
        raise ConnectionError(str(cents))

    for one, effects, expected in ((pay, True, 1), (pay, False, 3), (alone, True, 1), (alone, False, 4)):
        tried.clear()
        scripted_server.script(call(one.name, cents=5), "done")
        await outcome(shop(tool(one, effects=effects)).with_options(retry=AGAIN), "go")
        assert len(tried) == expected


async def test_a_retry_set_inside_the_tool_holds(scripted_server: ScriptedServer) -> None:
    @node
    async def look(cents: int) -> int:
        if current().attempt < 3:
            raise ConnectionError("again")
        return cents

    @graph
    def pay(cents: int) -> int:
        return look.with_options(retry=AGAIN)(cents)

    scripted_server.script(call("pay", cents=5), "done")
    run = await outcome(shop(tool(pay, effects=True)), "go")
    assert retries(run) == ["buy/pay/look"] * 2


async def test_rounds_of_a_loop_are_no_replays(scripted_server: ScriptedServer, world: World) -> None:
    buy = shop(tool(world.charge, name="charge", effects=True))

    @node
    def until(said: str) -> Again[str] | Done[str]:
        return Done(said) if len(world.charges) == 2 else Again(said)

    @graph
    def body(text: str) -> Again[str] | Done[str]:
        return until(buy(text))

    scripted_server.script(*[call("charge", cents=5), "bought"] * 2)
    await outcome(loop(body, rounds=3), "go")
    assert world.charges == [5, 5]


# Fallbacks


async def test_a_fallback_that_would_act_again_is_not_run(scripted_server: ScriptedServer, world: World) -> None:
    buy = shop(tool(world.charge, name="charge", effects=True))
    elsewhere = buy.with_options(model="other", name="elsewhere")
    scripted_server.script(call("charge", cents=5), Fail(400))

    error = await failure(buy.with_options(fallback=elsewhere), "go")

    assert world.charges == [5]
    assert notes(partial(error)) == [("buy", "its fallback is not run, as it could repeat what has acted on the world: charge")]
    assert error.path == "buy"
    assert partial(error).trace.step("buy").decisions == []


async def test_a_fallback_that_repeats_nothing_is_run_and_the_trace_says_that_something_was_done(
    scripted_server: ScriptedServer, world: World
) -> None:
    def refund(cents: int) -> str:
        return f"{cents} given back"

    @agent(str, tools=[tool(refund, effects=True)])
    def undo(text: str) -> str:
        return text

    buy = shop(tool(world.charge, name="charge", effects=True))
    scripted_server.script(call("charge", cents=5), Fail(400), call("refund", cents=5), "sorry")

    run = await outcome(buy.with_options(fallback=undo), "go")

    assert run.output == "sorry"
    assert notes(run) == [("buy", "it has acted on the world before it failed, and its fallback runs after that: charge")]


async def test_where_nothing_has_acted_the_fallback_may(scripted_server: ScriptedServer, world: World) -> None:
    buy = shop(tool(world.charge, name="charge", effects=True))
    scripted_server.script(Fail(400), call("charge", cents=5), "bought")

    run = await outcome(buy.with_options(fallback=buy.with_options(name="elsewhere")), "go")

    assert run.output == "bought"
    assert (world.charges, notes(run)) == ([5], [])


async def test_runs_do_not_remember_one_another(scripted_server: ScriptedServer, world: World) -> None:
    buy = shop(tool(world.charge, name="charge", effects=True))

    @node
    async def step(text: str) -> str:
        if current().attempt == 1:
            raise ConnectionError(text)
        return await current().run(buy, text)

    for _ in range(2):
        scripted_server.script(call("charge", cents=5), "bought")
        assert (await outcome(step.with_options(retry=AGAIN), "go")).output == "bought"
    with pytest.raises(StepFailed):
        await outcome(step.with_options(retry=Retry(attempts=1, on=Exception)), "go")


async def test_a_tool_with_effects_is_refused_in_a_sample_that_a_function_runs_itself(scripted_server: ScriptedServer) -> None:
    acted: list[str] = []

    def pay(to: str) -> str:
        acted.append(to)
        return "paid"

    @agent(str, tools=[tool(pay, effects=True)])
    def payer(text: str) -> str:
        return text

    @node
    async def hidden(text: str) -> str:
        return await current().run(payer, text)

    scripted_server.script(call("pay", to="Ann"), "sorry")
    run = await outcome(vote(hidden, of=1), "pay Ann")
    assert run.output == "sorry"
    assert not acted
    assert "one of several samples" in next(iter(scripted_server.requests[1].tool_results.values()))
