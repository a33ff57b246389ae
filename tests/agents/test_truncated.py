"""A text that was cut off at `max_tokens` is an error, or with `truncated="keep"` taken as it is; the trace tells which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from swarmlet import Agent, Budget, GraphError, Message, StepFailed, Swarm, agent, cascade, graph, node, team
from swarmlet.errors import ContentFiltered, ReplyTruncated
from swarmlet.graph.fingerprint import fingerprint
from swarmlet.testing import CallTools, Say, ScriptedServer, Tokens, call, replay
from swarmlet.trace import CallEnded, TextDelta

from .helpers import because, failure, outcome

pytestmark = pytest.mark.anyio
CUT = Say("The sea is", finish="length", usage=Tokens(input=10, output=5))


@agent(str, truncated="keep", max_tokens=5)
def write(topic: str) -> str:
    return topic


def look_up(word: str) -> str:
    """Look up a word."""
    return f"{word} is wet"


def cuts(events: Sequence[object]) -> list[str | None]:
    return [event.finish_reason for event in events if isinstance(event, CallEnded)]


async def test_a_text_that_was_cut_off_is_taken_and_the_trace_tells(scripted_server: ScriptedServer) -> None:
    scripted_server.script(CUT)
    run = await outcome(write, "sea")
    assert run.output == "The sea is"
    assert cuts(run.trace.events) == ["length"]
    assert run.trace.step("write").state == "finished"
    assert (run.usage.requests, run.usage.output_tokens) == (1, 5)


async def test_without_it_the_error_says_what_can_be_done(scripted_server: ScriptedServer) -> None:
    @agent(str, max_tokens=5)
    def strict(topic: str) -> str:
        return topic

    scripted_server.script(CUT)
    told = str(because(await failure(strict, "sea"), ReplyTruncated))
    assert 'raise max_tokens= of the agent (now 5), ask for less, or take it as it is: agent(truncated="keep")' in told


async def test_a_stream_ends_with_the_words_that_were_shown(scripted_server: ScriptedServer) -> None:
    scripted_server.script(CUT)
    with anyio.fail_after(30):
        async with Swarm() as swarm, swarm.stream(write, "sea") as stream:
            events = [event async for event in stream]
    assert stream.output == "".join(event.text for event in events if isinstance(event, TextDelta)) == "The sea is"
    assert cuts(events) == ["length"]


async def test_a_call_of_a_tool_that_was_cut_off_is_never_made(scripted_server: ScriptedServer) -> None:
    used: list[str] = []

    def note(text: str) -> str:
        """Note."""
        used.append(text)
        return text

    @agent(str, tools=[note], truncated="keep", max_tokens=5)
    def noting(topic: str) -> str:
        return topic

    scripted_server.script(CallTools([call("note", text="x")], text="Let me", finish="length", usage=Tokens(input=9, output=5)))
    assert "truncated=" not in str(because(await failure(noting, "sea"), ReplyTruncated))
    assert used == []


async def test_an_answer_after_tools_may_be_cut_off(scripted_server: ScriptedServer) -> None:
    @agent(str, tools=[look_up], truncated="keep", max_tokens=5)
    def asking(topic: str) -> str:
        return topic

    scripted_server.script(call("look_up", word="sea"), CUT)
    assert (await outcome(asking, "sea")).output == "The sea is"


async def test_a_reply_that_was_cut_off_before_its_first_word_is_no_answer(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Say("", finish="length", usage=Tokens(input=10, output=5)))
    because(await failure(write, "sea"), ReplyTruncated)


async def test_what_a_filter_or_a_refusal_cut_off_is_an_error_as_ever(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Say("The sea", finish="content_filter"))
    because(await failure(write, "sea"), ContentFiltered)


async def test_a_cut_text_ends_a_team_and_the_conversation_goes_on_with_it(scripted_server: ScriptedServer) -> None:
    @agent(str, truncated="keep", max_tokens=5)
    def first(chat: Sequence[Message]) -> Sequence[Message]:
        return chat

    @agent(str, truncated="keep", max_tokens=5)
    def second(chat: Sequence[Message]) -> Sequence[Message]:
        return chat

    scripted_server.script(call("hand_to_second", why="x"), CUT)
    said = (await outcome(team(first, second), [Message.user("Sea?")])).output
    assert (said.by, said.output) == ("second", "The sea is")
    assert said.kept[-1] == Message.assistant("The sea is")


async def test_a_run_that_is_resumed_takes_the_cut_text_from_the_record(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    broken = True

    @agent(str, tools=[look_up], truncated="keep", max_tokens=5)
    def asking(topic: str) -> str:
        return topic

    @node
    def then(text: str) -> str:
        if broken:
            raise LookupError("killed")
        return text

    @graph
    def both(topic: str) -> str:
        return then(asking(topic))

    scripted_server.script(call("look_up", word="sea"), CUT)
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        with pytest.raises(StepFailed, match="killed"):
            await swarm.run_as("sea", both, "sea")
        broken = False
        run = await swarm.resume("sea", both)
        forked = await swarm.fork("sea", both, again=["both/then"])
    assert run.output == forked.output == "The sea is"
    assert len(scripted_server.requests) == 2


async def test_a_replay_gives_the_same_text(scripted_server: ScriptedServer) -> None:
    scripted_server.script(CUT)
    recorded = await outcome(write, "sea")
    async with replay(recorded) as swarm:
        assert (await swarm.run(write, "sea")).output == "The sea is"
    assert len(scripted_server.requests) == 1


async def test_a_cap_that_a_budget_has_lowered_cuts_it_off_too(scripted_server: ScriptedServer) -> None:
    @agent(str, truncated="keep", max_tokens=100, min_tokens=5)
    def long(topic: str) -> str:
        return topic

    scripted_server.script(CUT)
    run = await outcome(long.with_options(budget=Budget(output_tokens=5)), "sea")
    assert run.output == "The sea is"
    assert scripted_server.requests[0].body["max_completion_tokens"] == 5


async def test_a_fallback_or_a_dearer_model_sees_no_failure(scripted_server: ScriptedServer) -> None:
    scripted_server.script(CUT)
    run = await outcome(cascade(write, write, accept=lambda text: text.endswith("is")), "sea")
    assert run.output == "The sea is"
    assert len(scripted_server.requests) == 1


@pytest.mark.parametrize("output", [int, Literal["a", "b"], list[str], str | None])
def test_only_texts_may_be_cut_off(output: Any) -> None:
    with pytest.raises(GraphError, match=r"agent\(truncated='keep'\) is for str; half a .* would be none"):
        agent(output, truncated="keep")


@pytest.mark.parametrize("wrong", ["cut", True, None])
def test_there_are_two_ways(wrong: Any) -> None:
    with pytest.raises(GraphError, match=r"agent\(truncated=\) is 'raise' or 'keep', not"):
        agent(str, truncated=wrong)


def test_the_graph_is_the_same_so_that_its_runs_can_be_resumed() -> None:
    def same(**settings: Any) -> Agent[[str], str]:
        def text(topic: str) -> str:
            return topic

        return agent(str, **settings)(text)

    assert fingerprint(same()).digest == fingerprint(same(truncated="keep")).digest
