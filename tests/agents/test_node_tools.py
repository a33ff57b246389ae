"""Nodes, graphs and agents as tools: they run as steps below the agent that calls them."""

from __future__ import annotations

import anyio
import pytest

from swarmlet import Agent, Limits, StepFailed, Swarm, agent, current, graph, node, tool
from swarmlet.errors import ModelUnavailable, ToolError
from swarmlet.testing import CallTools, Fail, Say, ScriptedServer, Tokens, call

from .helpers import because, ended_tools, failure, outcome, partial, say

pytestmark = pytest.mark.anyio


@node
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@agent(str)
def sister(question: str) -> str:
    """You are a sister who knows things."""
    return f"sister, {question}"


@graph
def twice(question: str) -> list[str]:
    """Ask two sisters."""
    return [sister(question), sister(question)]


@node
async def where() -> str:
    return current().path


@node
async def fails() -> str:
    raise LookupError("gone")


def using(*tools: object) -> Agent[[str], str]:
    @agent(str, tools=tools)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # nodes of many kinds
    def boss(text: str) -> str:
        return text

    return boss


async def test_a_node_as_a_tool_is_a_step_below_its_agent(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("add", a=2, b=3), "five")

    run = await outcome(using(add), "go")

    assert scripted_server.requests[0].tools["add"]["description"] == "Add two numbers."
    assert list(scripted_server.requests[1].tool_results.values()) == ["5"]
    assert [step.path for step in run.trace.steps()] == ["boss", "boss/add"]
    assert run.trace.output("boss/add") == 5


async def test_current_in_a_tool_that_is_a_node_is_the_nodes_own_step(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("where"), "there")

    await outcome(using(where), "go")

    assert list(scripted_server.requests[1].tool_results.values()) == ["boss/where"]


async def test_an_agent_as_a_tool_is_paid_for_by_the_run(scripted_server: ScriptedServer) -> None:
    scripted_server.script(
        CallTools([call("sister", question="why?")], usage=Tokens(input=10, output=1)),
        Say("because", usage=Tokens(input=100, output=10)),
        Say("so", usage=Tokens(input=20, output=2)),
    )

    run = await outcome(using(sister), "go")

    assert scripted_server.requests[1].text == "You are a sister who knows things.\n\nsister, why?"
    assert (run.usage.requests, run.usage.input_tokens) == (3, 130)
    assert run.trace.step("boss/sister").usage.input_tokens == 100
    assert run.trace.step("boss").usage.input_tokens == 130


async def test_a_graph_as_a_tool_runs_its_steps_in_parallel(scripted_server: ScriptedServer) -> None:
    from swarmlet.testing import Barrier

    scripted_server.when("sister, ", Barrier(2, "yes"), times=2)
    scripted_server.script(call("twice", question="why?"), "so")

    run = await outcome(using(twice), "go")

    assert [step.path for step in run.trace.steps()] == ["boss", "boss/twice/sister", "boss/twice/sister~2"]
    assert list(scripted_server.requests[-1].tool_results.values()) == ['["yes","yes"]']


async def test_the_same_node_called_twice_in_one_turn_has_stable_paths(scripted_server: ScriptedServer) -> None:
    other = anyio.Event()

    @node
    async def step(number: int) -> str:
        if number == 1:  # the first call ends last
            await other.wait()
        other.set()
        return f"{number} at {current().path}"

    scripted_server.script(CallTools([call("step", number=n) for n in (1, 2, 3)]), call("step", number=4), "done")

    run = await outcome(using(step), "go")

    first = list(scripted_server.requests[1].tool_results.values())
    assert first == ["1 at boss/step", "2 at boss/step~2", "3 at boss/step~3"]
    assert run.trace.output("boss/step~4") == "4 at boss/step~4"


async def test_a_node_that_fails_is_told_to_the_model_by_the_users_error(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("fails"), "I see")

    run = await outcome(using(fails), "go")

    assert list(scripted_server.requests[1].tool_results.values()) == ["Error: LookupError: gone"]
    assert run.trace.step("boss/fails").state == "failed"
    assert ended_tools(run)[0].state == "failed"


async def test_a_node_told_to_raise_fails_the_agent_with_its_path_in_the_chain(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("fails"))

    error = await failure(using(tool(fails, on_error="raise")), "go")

    assert error.path == "boss"
    inner = because(because(error, ToolError), StepFailed)
    assert inner.path == "boss/fails"
    assert isinstance(inner.__cause__, LookupError)


async def test_what_a_failing_agent_tool_cost_is_in_the_usage(scripted_server: ScriptedServer) -> None:
    scripted_server.when("sister, ", Fail(500, headers={"x-should-retry": "false"}))
    scripted_server.script(CallTools([call("sister", question="?")], usage=Tokens(input=10, output=1)))

    error = await failure(using(tool(sister, on_error="raise")), "go")

    because(because(because(error, ToolError), StepFailed), ModelUnavailable)
    assert partial(error).usage.input_tokens == 10


async def test_a_node_that_takes_too_long_is_stopped_with_all_that_is_under_it(scripted_server: ScriptedServer) -> None:
    @node
    async def outer() -> str:
        await current().run(forever)
        return "never"

    @node
    async def forever() -> None:
        await anyio.sleep_forever()

    scripted_server.script(call("outer"), "I see")

    run = await outcome(using(tool(outer, timeout=0.01)), "go")

    assert run.trace.step("boss/outer/forever").state == "cancelled"
    assert "was given up" in next(iter(scripted_server.requests[1].tool_results.values()))


async def test_an_agent_whose_tools_call_models_holds_no_place_in_the_queue(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("sister", question="?"), "because", "so")

    with anyio.fail_after(5):
        async with Swarm(limits=Limits(concurrency=1)) as swarm:
            assert (await swarm.run(using(sister), "go")).output == "so"


async def test_a_plain_tool_can_run_nodes_as_children_of_its_call(scripted_server: ScriptedServer) -> None:
    async def ask_sister(question: str) -> str:
        return await current().run(say, question)

    scripted_server.script(call("ask_sister", question="why?"), "because", "so")

    run = await outcome(using(ask_sister), "go")

    assert run.trace.output("boss/ask_sister/say") == "because"


async def test_a_renamed_node_has_the_tools_name_in_its_path(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("plus", a=1, b=1), "two")

    run = await outcome(using(tool(add, name="plus", description="Plus.")), "go")

    assert run.trace.output("boss/plus") == 2


async def test_the_options_round_an_agent_reach_the_nodes_that_it_calls(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("sister", question="?"), "because", "so")

    await outcome(using(sister).with_options(model="gpt-6-luna"), "go")

    assert [request.model for request in scripted_server.requests] == ["gpt-6-luna"] * 3
