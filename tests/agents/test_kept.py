"""What of a conversation goes on: `Said.kept` has it as `fit=` has left it, so that nothing is cut or summed up twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from swarmlet import DropOldest, Message, StepFailed, Summarise, Swarm, Truncate, agent, team, tool
from swarmlet.agents.kept import kept_of
from swarmlet.models.fit import Fitted, Room
from swarmlet.testing import Request, Say, ScriptedServer, call
from swarmlet.trace import CallStarted

from .helpers import outcome

pytestmark = pytest.mark.anyio
WINDOW = 700
TURNS = 30


def words(text: str, count: int = 30) -> str:
    return f"{text}. " + "word " * count


@agent(str, max_tokens=60)
def brief(text: str) -> str:
    """You sum up."""
    return text


@agent(str, max_tokens=60, fit=[Summarise(brief, keep=4), DropOldest()], window=WINDOW)
def desk(chat: Sequence[Message], customer: str) -> Sequence[Message]:
    """You answer."""
    return [Message.system("Be kind."), Message.user(f"I am {customer}."), *chat]


@agent(str, max_tokens=60, fit=[Summarise(brief, keep=4), DropOldest()], window=WINDOW)
def back(chat: Sequence[Message], customer: str) -> Sequence[Message]:
    """You help."""
    return chat


def texts(chat: Sequence[Message]) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in chat]


def replies(request: Request) -> object:
    if request.system == brief.settings.instructions:
        return f"Summary. {max(word for word in request.last.split() if word.startswith('question-'))} came last."
    if "question-7." in request.last and "hand_to_back" in request.tools:
        return call("hand_to_back", why="7")
    return Say(words("Well"))


def is_summary(request: Request) -> bool:
    return request.system == brief.settings.instructions


async def talk(*, on_from_kept: bool) -> tuple[list[Message], list[Message], list[int]]:
    """What was kept, the whole of it, and how much of the window each call of a member could take."""
    members = team(desk, back)
    kept: list[Message] = []
    whole: list[Message] = []
    taken: list[int] = []
    async with Swarm() as swarm:
        for number in range(TURNS):
            said = Message.user(words(f"question-{number}"))
            run = await swarm.run(members, [*kept, said], "Ann")
            whole += [said, *run.output.new]
            kept = list(run.output.kept if on_from_kept else run.output.chat)
            events = [event for event in run.trace.events if isinstance(event, CallStarted)]
            taken += [event.estimated + event.max_tokens for event in events if not event.path.endswith("brief")]
    return kept, whole, taken


async def test_over_thirty_turns_nothing_is_summed_up_twice_and_the_window_holds(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(replies)
    kept, whole, taken = await talk(on_from_kept=True)
    assert len(whole) == 2 * TURNS + 2
    assert [message.text for message in whole if message.role == "user"] == [words(f"question-{n}") for n in range(TURNS)]
    assert all(tokens <= WINDOW for tokens in taken)
    sums = [request.last for request in scripted_server.requests if is_summary(request)]
    assert 0 < len(sums) < TURNS / 2
    for number in range(TURNS):
        assert sum(f"question-{number}. word" in text for text in sums) <= 1
    assert all("Summary of the conversation so far" in text for text in sums[1:])
    assert kept[0].text.startswith("Summary of the conversation so far")
    assert len(kept) < 20
    assert "Be kind." not in [message.text for message in kept]
    assert "I am Ann." not in [message.text for message in kept]


async def test_who_goes_on_from_the_whole_pays_for_a_summary_in_each_turn(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(replies)
    kept, whole, taken = await talk(on_from_kept=False)
    assert kept == whole
    assert all(tokens <= WINDOW for tokens in taken)
    assert sum(map(is_summary, scripted_server.requests)) > TURNS / 2


async def test_a_member_that_is_handed_to_sees_all_that_the_team_was_given(scripted_server: ScriptedServer) -> None:
    @agent(str, max_tokens=50, fit=DropOldest(keep_task=False), window=200)
    def small(chat: Sequence[Message]) -> Sequence[Message]:
        """You route."""
        return chat

    @agent(str)
    def large(chat: Sequence[Message]) -> Sequence[Message]:
        """You answer."""
        return chat

    chat = [Message.user(words(f"question-{number}")) for number in range(10)]
    scripted_server.script(call("hand_to_large", why="long"), "fine")
    said = (await outcome(team(small, large), chat)).output
    assert len(scripted_server.requests[0].messages) < 10 < len(scripted_server.requests[1].messages)
    assert said.kept == said.chat == (*chat, *said.new)
    scripted_server.script("short")
    said = (await outcome(team(small), chat)).output
    assert said.kept == (*chat[-len(said.kept) + 1 :], Message.assistant("short"))
    assert len(said.kept) < len(chat) == len(said.chat) - 1


async def test_what_a_prompt_adds_is_not_kept_even_if_it_was_shortened(scripted_server: ScriptedServer) -> None:
    paper = words("The paper says", 400)

    @agent(str, max_tokens=50, fit=Truncate("user"), window=300)
    def reader(chat: Sequence[Message]) -> Sequence[Message]:
        """You answer."""
        return [Message.user(paper), *chat]

    scripted_server.script("fine", "better")
    first = (await outcome(team(reader), [Message.user("Why?")])).output
    assert "tokens left out" in str(scripted_server.requests[0].messages)
    assert first.kept == first.chat == (Message.user("Why?"), Message.assistant("fine"))
    second = (await outcome(team(reader), [*first.kept, Message.user("How?")])).output
    assert len(second.kept) == 4


async def test_a_prompt_that_sends_other_messages_keeps_the_conversation(scripted_server: ScriptedServer) -> None:
    @agent(str, max_tokens=50, fit=DropOldest(), window=200)
    def teller(chat: Sequence[Message]) -> str:
        """You answer."""
        return " ".join(message.text for message in chat)[:40]

    scripted_server.script("fine")
    chat = [Message.user(words(f"question-{number}")) for number in range(5)]
    said = (await outcome(team(teller), chat)).output
    assert said.kept == said.chat == (*chat, Message.assistant("fine"))


async def test_a_run_that_is_resumed_keeps_the_same_and_pays_for_no_summary_again(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    broken = True

    def pause(order: str) -> str:
        """Wait."""
        if broken:
            raise LookupError("the process is killed here")
        return "waited"

    @agent(
        str, tools=[tool(pause, on_error="raise")], max_tokens=60, fit=[Summarise(brief, keep=2), DropOldest()], window=WINDOW
    )
    def slow(chat: Sequence[Message]) -> Sequence[Message]:
        """You wait."""
        return [Message.user("Hello."), *chat]

    alone = team(slow)
    scripted_server.when(lambda request: request.last.startswith("question"), call("pause", order="x"))
    scripted_server.answer(replies)
    chat = [Message.user(words(f"question-{number}")) for number in range(20)]
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        with pytest.raises(StepFailed, match="killed here"):
            await swarm.run_as("one", alone, chat)
    assert len(scripted_server.requests) == 2, "a summary, and the first turn"
    broken = False
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        resumed = await swarm.resume("one", alone)
        assert len(scripted_server.requests) == 3, "the second turn"
        without_a_break = await swarm.run(alone, chat)
    assert texts(resumed.output.kept) == texts(without_a_break.output.kept)
    assert texts(resumed.output.chat) == texts(without_a_break.output.chat)
    kept = [text for _, text in texts(resumed.output.kept)]
    assert kept[0].startswith("Summary of the conversation so far")
    assert "Hello." not in kept
    assert len(kept) < 10


# The rule itself


def says(*texts: str) -> tuple[Message, ...]:
    return tuple(Message.user(text) for text in texts)


@pytest.mark.parametrize(
    ("chat", "opening", "said", "now", "kept"),
    [
        ("a b c", "S a b c", "d", "S a b c d", "a b c d"),
        ("a b c", "S a b c", "d", "S c d", "c d"),
        ("a b c", "S a b c", "d", "S + c d", "+ c d"),
        ("a b c", "S x a b c", "d", "S + c d", "+ c d"),
        ("a b c d", "S c d", "e", "S d e", "a b d e"),
        ("a b c d", "S c d", "e", "S + e", "a b + e"),
        ("a b", "S x", "c", "S x c", "a b c"),
        ("a b", "S x", "c d e", "S x e", "a b e"),
        ("a a a", "S a a a", "a", "S a a", "a a"),
        ("a x b", "S x a x b", "c", "S x b c", "b c"),
        ("", "S", "a", "S a", "a"),
    ],
)
def test_what_was_cut_stays_cut_and_what_a_prompt_adds_or_leaves_out_does_not_count(
    chat: str, opening: str, said: str, now: str, kept: str
) -> None:
    given, began, added, left = (says(*text.split()) for text in (chat, opening, said, now))
    assert kept_of(given, began, added, [], left) == says(*kept.split())


async def test_a_policy_of_your_own_is_seen_also_if_it_says_nothing_of_its_cuts(scripted_server: ScriptedServer) -> None:
    def last_two(messages: tuple[Message, ...], room: Room) -> Fitted:
        return Fitted((messages[0], *messages[-2:]))

    @agent(str, max_tokens=50, fit=last_two, window=200)
    def forgetful(chat: Sequence[Message]) -> Sequence[Message]:
        """You answer."""
        return chat

    scripted_server.script("fine")
    chat = [Message.user(words(f"question-{number}")) for number in range(9)]
    run = await outcome(team(forgetful), chat)
    assert run.output.kept == (*chat[-2:], Message.assistant("fine"))
    request = run.trace.request(run.trace.step("team/forgetful").calls[0])
    assert len(cast("dict[str, list[object]]", request)["messages"]) == 3
