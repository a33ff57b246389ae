"""Teams: members hand the conversation over, see all of it, and the last one must answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from pydantic import BaseModel

from swarmlet import DropOldest, GraphError, Message, Said, agent, each, graph, node, team
from swarmlet.testing import CallTools, Quota, ScriptedServer, call
from swarmlet.trace.events import Decided

from .helpers import outcome, say

pytestmark = pytest.mark.anyio


class Refund(BaseModel):
    amount: int


def look_up(order: str) -> str:
    """Look up an order."""
    return f"{order}: paid 12"


@agent(str)
def triage(chat: Sequence[Message], customer: str) -> Sequence[Message]:
    """You greet and route."""
    return [Message.user(f"The customer is {customer}."), *chat]


@agent(Refund, tools=[look_up])
def billing(chat: Sequence[Message], customer: str) -> Sequence[Message]:
    """You refund."""
    return list(chat)


@agent(str)
def repairs(chat: Sequence[Message], customer: str) -> Sequence[Message]:
    """You repair."""
    return list(chat)


def asked(text: str) -> list[Message]:
    return [Message.user(text)]


async def test_a_member_that_answers_ends_it(scripted_server: ScriptedServer) -> None:
    scripted_server.script("hello")
    run = await outcome(team(triage, billing), asked("hi"), "Ann")
    assert (run.output.by, run.output.output, run.output.spoke) == ("triage", "hello", ("triage",))
    assert run.output.chat == (Message.user("hi"), Message.assistant("hello"))
    assert list(scripted_server.requests[0].tools) == ["hand_to_billing"]


async def test_the_member_that_is_handed_to_sees_what_was_said_and_done(scripted_server: ScriptedServer) -> None:
    scripted_server.script(
        CallTools([call("hand_to_billing", why="wants money")], text="One moment."),
        call("look_up", order="A1"),
        call("hand_to_repairs", why="is broken"),
        "mended",
    )
    run = await outcome(team(triage, billing, repairs), asked("it broke"), "Ann")
    said = run.output
    assert (said.by, said.output, said.spoke) == ("repairs", "mended", ("triage", "billing", "repairs"))
    assert [message.role for message in said.chat] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
    ]
    last = scripted_server.requests[-1]
    assert last.messages[0]["content"] == "You repair."
    assert last.tool_results.popitem()[1] == "Done."
    assert "A1: paid 12" in last.tool_results.values()
    decisions = [(event.chosen, event.reason) for event in run.trace.events if isinstance(event, Decided)]
    assert decisions == [
        ("team/billing", "triage hands over: wants money"),
        ("team/repairs", "billing hands over: is broken"),
    ]
    assert [step.path for step in run.trace.steps()] == ["team/triage", "team/billing", "team/repairs"]


async def test_handing_over_is_bounded_and_the_last_one_must_answer(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("hand_to_billing", why="a"), call("hand_to_triage", why="b"), "enough")
    run = await outcome(team(triage, billing, handoffs=2), asked("hi"), "Ann")
    assert run.output.spoke == ("triage", "billing", "triage")
    assert not scripted_server.requests[-1].tools
    assert run.trace.step("team/triage~2").state == "finished"


async def test_other_tools_called_beside_a_handoff_are_answered_and_not_run(scripted_server: ScriptedServer) -> None:
    scripted_server.script(
        call("hand_to_billing", why=""),
        CallTools([call("look_up", order="A1"), call("hand_to_triage", why="sorry")]),
        "hello",
    )
    run = await outcome(team(triage, billing), asked("hi"), "Ann")
    assert run.output.by == "triage"
    assert sorted(scripted_server.requests[-1].tool_results.values()) == [
        "Done.",
        "Done.",
        "Not run: the conversation ended before.",
    ]


async def test_a_handoff_without_readable_reason_is_one(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("hand_to_billing"), Refund(amount=3))
    run = await outcome(team(triage, billing), asked("hi"), "Ann")
    assert run.output.output == Refund(amount=3)


async def test_teams_are_nodes_like_any_other(scripted_server: ScriptedServer) -> None:
    scripted_server.when("one", "first")
    scripted_server.when("two", "second")

    @node
    def texts(said: list[Said[str | Refund]]) -> list[str]:
        return [str(one.output) for one in said]

    @graph
    def all_of(chats: list[list[Message]], customer: str) -> list[str]:
        return texts(each(team(triage, billing))(chats, customer))

    run = await outcome(all_of, [asked("one"), asked("two")], "Ann")
    assert run.output == ["first", "second"]
    assert run.trace.step("all_of/team[1]/triage").state == "finished"


async def test_a_conversation_goes_on_from_what_was_said(scripted_server: ScriptedServer) -> None:
    helpers = team(triage, billing)
    scripted_server.script(call("hand_to_billing", why="x"), Refund(amount=1), "you are welcome")
    first = (await outcome(helpers, asked("refund me"), "Ann")).output
    second = (await outcome(helpers, [*first.chat, Message.user("thanks")], "Ann")).output
    assert second.output == "you are welcome"
    assert second.chat[: len(first.chat)] == first.chat


async def test_what_is_cut_for_a_member_is_not_cut_from_the_conversation(scripted_server: ScriptedServer) -> None:
    @agent(str, tools=[look_up], max_tokens=50, fit=DropOldest(keep_task=False), window=200)
    def brief(chat: Sequence[Message], customer: str) -> Sequence[Message]:
        """You answer."""
        return chat

    scripted_server.script(
        call("look_up", order="A1"), CallTools([call("hand_to_triage", why="done")], text="One moment."), "bye"
    )
    chat = [Message.user(f"question {number} " + "word " * 30) for number in range(10)]
    said = (await outcome(team(brief, triage), chat, "Ann")).output
    assert len(scripted_server.requests[0].messages) < len(chat)
    assert said.chat[:10] == tuple(chat)
    assert [message.role for message in said.chat[10:]] == ["assistant", "tool", "assistant", "tool", "assistant"]
    assert said.chat[-1].text == "bye"


def test_members_are_agents_that_take_the_conversation() -> None:
    with pytest.raises(GraphError, match="'say' takes str first; a member takes the conversation"):
        team(triage, cast("Any", say))
    with pytest.raises(GraphError, match="a member is an agent"):
        team(triage, cast("Any", node(look_up)))
    with pytest.raises(GraphError, match="two members are named 'triage'"):
        team(triage, triage)
    with pytest.raises(GraphError, match="it needs members"):
        cast("Any", team)()
    with pytest.raises(GraphError, match="handoffs= must be a whole number"):
        team(triage, billing, handoffs=-1)


def test_a_team_is_drawn_with_its_handoffs() -> None:
    picture = team(triage, billing).to_mermaid()
    assert "team, at most 5 handoffs" in picture
    assert picture.count("hands over") == 2
    assert "handoffs" not in team(triage).to_mermaid()


async def test_one_agent_is_a_team_whose_conversation_goes_on(scripted_server: ScriptedServer) -> None:
    @agent(str, tools=[look_up])
    def helper(chat: Sequence[Message]) -> Sequence[Message]:
        """You help."""
        return chat

    scripted_server.script(call("look_up", order="A1"), "You paid 12.", "Bye.")
    chat = asked("What did I pay?")
    said = (await outcome(team(helper), chat)).output
    assert (said.by, said.output, said.spoke) == ("helper", "You paid 12.", ("helper",))
    assert list(scripted_server.requests[0].tools) == ["look_up"]
    assert said.chat == said.kept == (*chat, *said.new)
    assert [message.role for message in said.new] == ["assistant", "tool", "assistant"]
    assert (await outcome(team(helper), [*said.kept, *asked("Thanks!")])).output.new == (Message.assistant("Bye."),)


async def test_a_member_may_have_a_fallback_that_speaks_in_its_place(scripted_server: ScriptedServer) -> None:
    @agent(str)
    def backup(chat: Sequence[Message], customer: str) -> Sequence[Message]:
        """You stand in."""
        return list(chat)

    scripted_server.script(Quota(), call("hand_to_billing", why="x"), Refund(amount=2))
    run = await outcome(team(triage.with_options(fallback=backup), billing), asked("hi"), "Ann")
    assert run.output.output == Refund(amount=2)
    assert run.output.spoke == ("triage", "billing")
    with pytest.raises(GraphError, match="the fallback of 'triage'"):
        team(triage.with_options(fallback=cast("Any", node(plain))), billing)


async def plain(chat: Sequence[Message], customer: str) -> str:
    return customer
