"""The guardrails of OpenAI's agents examples, over the scripted server."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field

from swarmlet import StepFailed, Swarm, agent, graph, node
from swarmlet.testing import Barrier, Gate, Hang, Paced, Say, ScriptedServer, Slow
from swarmlet.trace.events import TextDelta
from tests.engine.quickly import quickly
from tests.scenarios.reading import ended, instructed

pytestmark = pytest.mark.anyio


# Guardrails


class Homework(BaseModel):
    is_homework: bool
    why: str = Field(max_length=100)


class TripwireError(Exception):
    """A guardrail was triggered."""


@agent(Homework)
def guard(question: str) -> str:
    """You notice homework."""
    return question


@node
def tripwire(found: Homework) -> None:
    if found.is_homework:
        raise TripwireError(found.why)


@agent(str)
def support(question: str) -> str:
    """You help customers."""
    return question


@graph
def guarded(question: str) -> str:
    tripwire(guard(question))
    return support(question)


async def test_an_input_guardrail_stops_the_slow_agent_that_runs_beside_it(scripted_server: ScriptedServer) -> None:
    scripted_server.when(instructed("You notice homework."), Barrier(2, Homework(is_homework=True, why="x")))
    scripted_server.when(instructed("You help customers."), Hang())
    with pytest.raises(StepFailed) as caught:
        await quickly(guarded, "solve 2x = 4")
    assert caught.value.path == "guarded/tripwire"
    assert isinstance(caught.value.__cause__, TripwireError)
    assert caught.value.run is not None
    assert ended(caught.value.run, "cancelled") == ["guarded/support"]
    await scripted_server.wait_for_async(disconnects=1)
    assert caught.value.run.usage.requests == 2


async def test_an_input_guardrail_that_finds_nothing_costs_no_time(scripted_server: ScriptedServer) -> None:
    scripted_server.when(instructed("You notice homework."), Barrier(2, Homework(is_homework=False, why="")))
    scripted_server.when(instructed("You help customers."), Barrier(2, "Sacramento"))
    assert (await quickly(guarded, "capital?")).output == "Sacramento"


async def test_an_answer_is_not_given_out_before_its_guardrail_has_spoken(scripted_server: ScriptedServer) -> None:
    scripted_server.when(instructed("You notice homework."), Slow(Homework(is_homework=True, why="late"), 0.1))
    scripted_server.when(instructed("You help customers."), "x = 2")
    with pytest.raises(StepFailed, match="late") as caught:
        await quickly(guarded, "solve 2x = 4")
    assert caught.value.run is not None
    assert caught.value.run.trace.output("guarded/support") == "x = 2"


class Reply(BaseModel):
    reasoning: str
    response: str


@pytest.mark.parametrize("number", ["650-123", "none"])
async def test_an_output_guardrail_sees_the_whole_reply_before_anybody_else(
    scripted_server: ScriptedServer, number: str
) -> None:
    @agent(Reply)
    def assist(question: str) -> str:
        return question

    @node
    def no_numbers(reply: Reply) -> str:
        if "650" in reply.response + reply.reasoning:
            raise TripwireError("a phone number")
        return reply.response

    @graph
    def answered(question: str) -> str:
        return no_numbers(assist(question))

    scripted_server.script(Reply(reasoning="", response=number))
    if number == "none":
        assert (await quickly(answered, "hi")).output == "none"
    else:
        with pytest.raises(StepFailed, match="a phone number"):
            await quickly(answered, "hi")


async def test_a_guardrail_over_the_words_as_they_come_hangs_up_in_the_middle(scripted_server: ScriptedServer) -> None:
    gate = Gate()
    gate.open(4)
    scripted_server.script(Paced(Say("a b c d e f g h i j k l m n o p q r s t u v w x y z"), gate=gate))
    said = ""
    async with Swarm() as swarm:
        async with swarm.stream(support, "What is a black hole?") as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    said += event.text
                    if "b" in said:
                        break
        assert events.trace.state == "cancelled"
    await scripted_server.wait_for_async(disconnects=1)
    assert "z" not in said
