"""Conversations that do not fit their model's window: refused before the call, or cut by the agent's policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from swarmlet import DropOldest, GraphError, Message, OpenAIModel, StepFailed, Summarise, Swarm, Truncate, agent
from swarmlet.errors import ContextTooLong
from swarmlet.models.profiles import profile_of
from swarmlet.testing import ScriptedServer, call
from swarmlet.trace.events import CallFitted, CallStarted

from .helpers import failure

pytestmark = pytest.mark.anyio


def small(server: ScriptedServer, window: int) -> OpenAIModel:
    profile = replace(profile_of("gpt-4o-mini"), context_window=window)
    return OpenAIModel("gpt-4o-mini", base_url=server.base_url, api_key=server.api_key, profile=profile)


def long_chat() -> list[Message]:
    return [Message.user(f"question {number} " + "word " * 50) for number in range(10)]


@agent(str, max_tokens=50)
def plain(chat: Sequence[Message]) -> Sequence[Message]:
    """You answer."""
    return chat


async def test_a_prompt_that_surely_does_not_fit_is_refused_before_the_call_with_counts(
    scripted_server: ScriptedServer,
) -> None:
    async with Swarm(model=small(scripted_server, 300)) as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(plain, long_chat())
    cause = caught.value.__cause__
    assert isinstance(cause, ContextTooLong)
    assert "message 1 (user)" in str(cause)
    assert "question" not in str(cause)
    assert not scripted_server.requests


async def test_the_oldest_messages_are_dropped_and_the_trace_says_which(scripted_server: ScriptedServer) -> None:
    @agent(str, max_tokens=50, fit=DropOldest(keep_task=False))
    def chatty(chat: Sequence[Message]) -> Sequence[Message]:
        """You answer."""
        return chat

    scripted_server.script("fine")
    async with Swarm(model=small(scripted_server, 300)) as swarm:
        run = await swarm.run(chatty, long_chat())
    assert run.output == "fine"
    sent = scripted_server.requests[0].messages
    assert sent[0]["content"] == "You answer."
    assert "question 9" in str(sent[-1]["content"])
    assert len(sent) < 11
    (event,) = [event for event in run.trace.events if isinstance(event, CallFitted)]
    assert [cut.index for cut in event.cuts] == list(range(1, 12 - len(sent)))
    assert all(cut.after == 0 for cut in event.cuts)
    request = cast("dict[str, Any]", run.trace.request(run.trace.step("chatty").calls[0]))
    assert len(request["messages"]) == len(sent)


async def test_a_big_result_of_a_tool_is_cut_in_the_middle(scripted_server: ScriptedServer) -> None:
    def read(name: str) -> str:
        return "begin " + "padding " * 2000 + " end"

    @agent(str, tools=[read], max_tokens=50, fit=Truncate("tool"))
    def reader(name: str) -> str:
        return name

    scripted_server.script(call("read", name="a"), "done")
    async with Swarm(model=small(scripted_server, 600)) as swarm:
        run = await swarm.run(reader, "a")
    (result,) = scripted_server.requests[1].tool_results.values()
    assert result.startswith("begin")
    assert result.endswith("end")
    assert "tokens left out" in result
    assert [event.turn for event in run.trace.events if isinstance(event, CallFitted)] == [2]


async def test_an_agent_may_sum_up_what_is_old(scripted_server: ScriptedServer) -> None:
    @agent(str, max_tokens=50)
    def brief(text: str) -> str:
        """You sum up."""
        return text[:40]

    @agent(str, max_tokens=50, fit=[Summarise(brief, keep=2), DropOldest()])
    def chatty(chat: Sequence[Message]) -> Sequence[Message]:
        """You answer."""
        return chat

    scripted_server.script("they asked a lot", "fine")
    async with Swarm(model=small(scripted_server, 400)) as swarm:
        run = await swarm.run(chatty, long_chat())
    assert run.output == "fine"
    last = [str(message["content"]) for message in scripted_server.requests[-1].messages]
    assert last[1] == "Summary of the conversation so far:\nthey asked a lot"
    assert len(last) == 4
    assert run.trace.step("chatty/brief").state == "finished"


async def test_a_window_of_the_agents_own_is_kept_where_the_model_has_more_room(scripted_server: ScriptedServer) -> None:
    @agent(str, max_tokens=50, fit=DropOldest(keep_task=False), window=300)
    def chatty(chat: Sequence[Message]) -> Sequence[Message]:
        """You answer."""
        return chat

    scripted_server.script("fine", "fine")
    unknown = OpenAIModel("local", base_url=scripted_server.base_url, api_key=scripted_server.api_key)
    async with Swarm(models=[unknown]) as swarm:
        known = await swarm.run(chatty, long_chat())
        await swarm.run(chatty.with_options(model="local"), long_chat())
    sent = [[str(message["content"]) for message in request.messages] for request in scripted_server.requests]
    assert all(len(messages) < 11 and messages[-1].startswith("question 9") for messages in sent)
    (started,) = (event for event in known.trace.events if isinstance(event, CallStarted))
    assert started.estimated + 50 <= 300


async def test_a_window_that_is_larger_than_the_models_changes_nothing(scripted_server: ScriptedServer) -> None:
    @agent(str, max_tokens=50, fit=DropOldest(keep_task=False), window=100_000)
    def chatty(chat: Sequence[Message]) -> Sequence[Message]:
        """You answer."""
        return chat

    scripted_server.script("fine")
    async with Swarm(model=small(scripted_server, 300)) as swarm:
        assert (await swarm.run(chatty, long_chat())).output == "fine"


@pytest.mark.parametrize(
    ("window", "fit", "wrong"),
    [
        (0, DropOldest(), r"agent\(window=\) must be a whole number of at least 1, not 0"),
        (50, DropOldest(), "leaves no room for a prompt beside max_tokens=50"),
        (500, None, r"needs a policy: fit=DropOldest\(\)"),
    ],
)
def test_a_window_without_room_or_policy_is_refused(window: int, fit: DropOldest | None, wrong: str) -> None:
    with pytest.raises(GraphError, match=wrong):
        agent(str, max_tokens=50, fit=fit, window=window)


async def test_what_still_does_not_fit_is_refused(scripted_server: ScriptedServer) -> None:
    @agent(str, max_tokens=50, fit=DropOldest())
    def chatty(text: str) -> str:
        return text

    async with Swarm(model=small(scripted_server, 100)) as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(chatty, "word " * 500)
    assert isinstance(caught.value.__cause__, ContextTooLong)


async def test_a_policy_that_fails_is_a_failure_of_the_step(scripted_server: ScriptedServer) -> None:
    def broken(messages: object, room: object) -> Any:  # Any: it gives nothing
        raise LookupError("policy")

    @agent(str, max_tokens=127_990, fit=broken)
    def chatty(text: str) -> str:
        return text

    assert isinstance((await failure(chatty, "hi there, how are you?")).__cause__, LookupError)


def test_a_policy_is_something_to_call() -> None:
    with pytest.raises(GraphError, match=r"agent\(fit=\) takes policies"):
        agent(str, fit=cast("Any", 3))
