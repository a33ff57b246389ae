"""Agents are resumed in the middle of their conversations: what was said and done is neither paid for nor done again."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel
from tenacity import wait_none

from swarmlet import (
    Budget,
    BudgetExceeded,
    DropOldest,
    MemoryCache,
    Message,
    Node,
    OpenAIModel,
    Retry,
    RunStopped,
    Said,
    StepFailed,
    Summarise,
    Swarm,
    Trace,
    agent,
    current,
    each,
    graph,
    node,
    team,
    tool,
    within,
)
from swarmlet.errors import NotResumable
from swarmlet.models.profiles import profile_of
from swarmlet.testing import CallTools, Fail, Request, Say, ScriptedServer, call
from swarmlet.trace import Journal
from swarmlet.trace.events import CallEnded, CallFitted, CallSaved, CallStarted, StepEnded, StepStarted, ToolEnded, ToolStarted
from tests.swarm.prefixes import write_prefix
from tests.swarm.resuming import executed, executes, recorded, resumed

pytestmark = pytest.mark.anyio

QUICK = Retry(wait=wait_none(), attempts=2)
_times = itertools.count()


class Answer(BaseModel):
    text: str


def look(word: str) -> str:
    """Look a word up."""
    executes()
    return f"seen {word}"


def act(word: str) -> str:
    """Act on the world."""
    executes()
    return f"done {word}"


def act_once(word: str) -> str:
    """Act on the world, never twice."""
    executes()
    return f"done {word}"


@agent(Answer, tools=[look, tool(act, effects=True, on_lost="retry")])
def worker(topic: str) -> str:
    """You work."""
    return f"WORK {topic}"


@agent(str)
def write(topic: str) -> str:
    """You write."""
    return f"WRITE {topic}"


@node
def join(texts: Sequence[str]) -> str:
    executes()
    return "+".join(texts)


@graph
def write_twice(topic: str) -> str:
    """Write on a topic, twice."""
    return join([write(topic), write.with_options(name="again")(topic)])


@node
async def dig(word: str) -> str:
    """Dig for a word."""
    executes()
    return await current().run(write, word) + await current().run(write, f"{word}!")


@agent(Answer, tools=[write_twice, dig])
def boss(topic: str) -> str:
    """You lead."""
    return f"LEAD {topic}"


@agent(Answer, repairs=2)
def clumsy(topic: str) -> str:
    """You are clumsy."""
    return f"CLUMSY {topic}"


@agent(str)
def timed(topic: str) -> str:
    """You are told the time."""
    return f"TALK {topic} at {next(_times)}"


@agent(str, tools=[look])
def timed_with_tools(topic: str) -> str:
    """You are told the time."""
    return f"TIMED {topic} at {next(_times)}"


@agent(str)
def alice(chat: Sequence[Message]) -> list[Message]:
    """Alice greets."""
    return list(chat)


@agent(Answer)
def bob(chat: Sequence[Message]) -> list[Message]:
    """Bob answers."""
    return list(chat)


@node
def told(said: Said[str | Answer]) -> str:
    executes()
    return f"{said.by} {said.output} {len(said.chat)}"


@node
def begin(topic: str) -> list[Message]:
    executes()
    return [Message.user(f"TEAM {topic}")]


@graph
def together(topic: str) -> str:
    return told(team(alice, bob)(begin(topic)))


@graph
def cached(topic: str) -> str:
    return join([write.with_options(cache=True)(topic), write.with_options(cache=True, name="same")(topic)])


GRAPHS: list[Node[[str], Any]] = [worker, boss, clumsy, timed_with_tools, together, cached]  # Any: each has its own output


def reply(request: Request) -> object:
    first = next(str(m.get("content")) for m in request.messages if m.get("role") == "user")
    turn = 1 + sum(message.get("role") == "assistant" for message in request.messages)
    kind, _, rest = first.partition(" ")
    if "reads" in request.system:
        page = int(request.last.split()[0]) if request.messages[-1].get("role") == "tool" else 0
        return Say("read") if page == 6 else CallTools([call("long_look", word=str(page + 1))])
    if "sum up" in request.system:
        return Say("a summary")
    if kind in ("WRITE", "TALK"):
        return Say(f"on {rest}".partition(" at ")[0])
    if turn >= 3 and kind != "CLUMSY":
        return Say(Answer(text=f"{kind} {rest}").model_dump_json() if kind != "TIMED" else "timed")
    return _turn(kind, turn, rest)


def _turn(kind: str, turn: int, rest: str) -> object:
    if kind == "WORK":
        return CallTools([call("look", word="a"), call("act" if turn == 1 else "look", word="b")])
    if kind == "LEAD":
        return CallTools([call("write_twice", topic=rest), call("dig", word=rest)])
    if kind == "CLUMSY":
        return Say("no JSON" if turn < 3 else '{"text": "at last"}')
    if kind == "TIMED":
        return CallTools([call("look", word="time")])
    return CallTools([call("hand_to_bob", why="ask him")]) if turn == 1 else Say('{"text": "hello"}')


@pytest.fixture
def server(scripted_server: ScriptedServer) -> ScriptedServer:
    scripted_server.answer(reply)
    return scripted_server


@pytest.mark.parametrize("of", GRAPHS, ids=[one.name for one in GRAPHS])
async def test_an_agent_killed_after_any_event_goes_on_with_its_conversation(
    of: Node[[str], Any], server: ScriptedServer, tmp_path: Path
) -> None:
    whole = await recorded(tmp_path / "whole.sqlite", of, "tea")
    asked = {request.text for request in server.requests}
    output = whole.value(whole.ended.output if whole.ended else None)
    for length in range(1, len(whole.events)):
        before = len(server.requests)
        run = await resumed(tmp_path, whole, length, of)
        assert run.trace.value(run.trace.events[-1].output) == output, length  # type: ignore[union-attr]
        sent = sum(isinstance(event, CallStarted) for event in run.trace.events[length:])
        assert len(server.requests) - before == sent
        if "timed" not in of.name:
            assert {request.text for request in server.requests[before:]} <= asked, "it says what it would have said"
        _check_tools(run.trace)


def _check_tools(trace: Trace) -> None:
    """Tools act again only if their process was killed while they did, and look again only then."""
    lost = Counter(event.id for event in trace.events if isinstance(event, ToolEnded) and event.state == "lost")
    began = Counter((event.path, event.turn, event.id) for event in trace.events if isinstance(event, ToolStarted))
    for (_, _, id_), times in began.items():
        assert times <= 1 + lost[id_]


async def test_what_a_prompt_begins_with_stays_what_it_was_though_the_clock_goes_on(
    server: ScriptedServer, tmp_path: Path
) -> None:
    whole = await recorded(tmp_path / "whole.sqlite", timed_with_tools, "tea")
    first = server.requests[0].text
    at = next(number for number, event in enumerate(whole.events) if isinstance(event, CallEnded))
    run = await resumed(tmp_path, whole, at + 1, timed_with_tools)
    assert run.output == "timed"
    assert server.requests[-1].messages[1] == server.requests[0].messages[1], first


async def test_an_agent_whose_budget_ran_out_goes_on_with_a_larger_one_and_pays_for_no_turn_again(
    server: ScriptedServer, tmp_path: Path
) -> None:
    whole = await recorded(tmp_path / "whole.sqlite", worker.with_options(budget=Budget(requests=2)), "tea")
    assert whole.state == "failed"
    assert len(server.requests) == 2
    run = await resumed(tmp_path, whole, len(whole.events), worker.with_options(budget=Budget(requests=3)))
    assert run.output == Answer(text="WORK tea")
    assert len(server.requests) == 3
    assert not executed, "no tool is run again"


async def test_a_budget_counts_what_all_processes_have_spent(server: ScriptedServer, tmp_path: Path) -> None:
    limited = worker.with_options(budget=Budget(requests=3))
    whole = await recorded(tmp_path / "whole.sqlite", limited, "tea")
    lost = next(at for at, event in enumerate(whole.events) if isinstance(event, CallStarted) and event.turn == 2)
    path = tmp_path / "lost.sqlite"
    await write_prefix(path, whole, lost + 1)
    async with Swarm(journal=path) as swarm:
        with pytest.raises(BudgetExceeded, match="of which 3 is used"):
            await swarm.resume(whole.run_id, limited)
    assert len(server.requests) == 4, "the lost call may have been billed, so it counts"


async def test_a_swarms_budget_counts_what_an_earlier_process_has_spent_on_a_run(
    server: ScriptedServer, tmp_path: Path
) -> None:
    whole = await recorded(tmp_path / "whole.sqlite", worker, "tea")
    at = next(number for number, event in enumerate(whole.events) if isinstance(event, CallStarted) and event.turn == 2)
    await write_prefix(tmp_path / "b.sqlite", whole, at)
    async with Swarm(journal=tmp_path / "b.sqlite", budget=Budget(requests=2)) as swarm:
        with pytest.raises(BudgetExceeded, match="the swarm"):
            await swarm.resume(whole.run_id, worker)
    assert len(server.requests) == 4


async def test_a_partial_result_under_a_budget_is_the_same_after_any_kill(server: ScriptedServer, tmp_path: Path) -> None:
    whole = await recorded(tmp_path / "whole.sqlite", partly, "tea")
    output = whole.value(whole.ended.output if whole.ended else None)
    assert output == 2
    for length in range(1, len(whole.events)):
        before = len(server.requests)
        run = await resumed(tmp_path, whole, length, partly)
        done = sum(isinstance(event, CallStarted) for event in whole.events[:length])
        assert len(server.requests) - before <= 2 - min(done, 2), "a lost call counts"
        assert run.output in ((2,) if len(server.requests) - before + _finished(whole, length) == 2 else (0, 1))


def _finished(trace: Trace, length: int) -> int:
    return sum(isinstance(event, CallEnded) for event in trace.events[:length])


@node
def words(topic: str) -> list[str]:
    executes()
    return [f"{topic} {number}" for number in range(5)]


@graph
def several(topic: str) -> list[str]:
    return each(write, concurrency=2)(words(topic))


@node
def how_many(found: Any) -> int:  # Any: what is there, or a list
    executes()
    return sum("/write" in path for path in found.finished)


@graph
def partly(topic: str) -> int:
    return how_many(within(several, Budget(requests=2))(topic))


async def test_a_failed_run_tries_the_step_that_failed_again_and_only_that(server: ScriptedServer, tmp_path: Path) -> None:
    server.when("WRITE bad", Fail(400), times=2)
    of = join_both.with_options(retry=QUICK)
    whole = await recorded(tmp_path / "whole.sqlite", of, "bad")
    assert whole.state == "failed"
    assert len(server.requests) == 3
    server.when("WRITE bad", Say("mended"))
    run = await resumed(tmp_path, whole, len(whole.events), of)
    assert run.output == "on good+handled+mended"
    new = [event.path for event in run.trace.events[len(whole.events) :] if isinstance(event, StepStarted)]
    assert new == ["join_both", "join_both/last", "join_both/join"]
    assert not [event for event in run.trace.events if isinstance(event, StepEnded) and event.state == "lost"]


@node
async def handles(topic: str) -> str:
    executes()
    try:
        return await current().run(write, topic)
    except StepFailed:
        return "handled"


@node
def after(topic: str, said: str) -> str:
    return topic


@graph
def join_both(topic: str) -> str:
    good = write.with_options(name="first")("good")
    handled = handles(after(topic, good))
    return join([good, handled, write.with_options(name="last")(after.with_options(name="later")(topic, handled))])


@pytest.mark.parametrize("how", ["cancel", "drain"])
async def test_a_run_that_was_stopped_goes_on(how: str, server: ScriptedServer, tmp_path: Path) -> None:
    stopping, go_on, ended, seen = anyio.Event(), anyio.Event(), anyio.Event(), tmp_path / "seen"

    @node
    async def stops(topic: str) -> str:
        if not seen.exists():
            seen.touch()
            stopping.set()
            await go_on.wait()
        return topic

    @graph
    def stopped(topic: str) -> str:
        return write(stops(write.with_options(name="before")(topic)))

    async with Swarm(journal=tmp_path / "a.sqlite") as swarm, anyio.create_task_group() as group:

        async def go() -> None:
            with suppress(RunStopped):
                await swarm.run(stopped, "tea")
            ended.set()

        group.start_soon(go)
        await stopping.wait()
        if how == "drain":
            group.start_soon(swarm.drain)
            await anyio.wait_all_tasks_blocked()
            go_on.set()
            await ended.wait()
        group.cancel_scope.cancel()
    trace = Journal(tmp_path / "a.sqlite").trace("last")
    assert trace.state == {"cancel": "cancelled", "drain": "drained"}[how]
    run = await resumed(tmp_path, trace, len(trace.events), stopped)
    assert run.output == "on on tea"
    assert len(server.requests) == 2


async def test_without_capture_a_run_cannot_be_resumed_and_says_so(server: ScriptedServer, tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite", capture=False) as swarm:
        run = await swarm.run(write, "tea")
        await write_prefix(tmp_path / "b.sqlite", run.trace, len(run.trace.events) - 2)
    async with Swarm(journal=tmp_path / "b.sqlite") as swarm:
        with pytest.raises(NotResumable, match="content capture was off"):
            await swarm.resume(run.id, write)
    assert len(server.requests) == 1


@agent(str, max_tokens=20)
def summary(text: str) -> str:
    """You sum up."""
    return text


def long_look(word: str) -> str:
    """Look a word up in a long book."""
    executes()
    return f"{word} " * 200


def small(server: ScriptedServer) -> OpenAIModel:
    profile = replace(profile_of("gpt-4o-mini"), context_window=900)
    return OpenAIModel("gpt-4o-mini", base_url=server.base_url, api_key=server.api_key, profile=profile)


@pytest.mark.parametrize("fit", [DropOldest(), Summarise(summary, keep=3)], ids=["cut", "summed up"])
async def test_a_conversation_that_was_cut_goes_on_as_it_was(fit: Any, server: ScriptedServer, tmp_path: Path) -> None:
    @agent(str, tools=[long_look], fit=fit, max_tokens=20)
    def reader(topic: str) -> str:
        """You are one who reads."""
        return f"READ {topic}"

    whole = await recorded(tmp_path / "whole.sqlite", reader, "tea", small(server))
    output = whole.value(whole.ended.output if whole.ended else None)
    assert output == "read"
    cuts = _cuts(whole)
    assert cuts
    asked = {request.text for request in server.requests}
    for length in range(1, len(whole.events)):
        before = len(server.requests)
        run = await resumed(tmp_path, whole, length, reader, small(server))
        assert run.output == output
        assert {request.text for request in server.requests[before:]} <= asked
        assert _cuts(run.trace) == cuts, "what was cut is told once"


def _cuts(trace: Trace) -> list[tuple[int, object]]:
    return [(event.turn, event.cuts) for event in trace.events if isinstance(event, CallFitted)]


async def test_replies_that_the_cache_gave_stay_in_the_record(server: ScriptedServer, tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite", cache=MemoryCache()) as swarm:
        await swarm.run(cached, "tea")
        run = await swarm.run(cached, "tea")
    assert sum(isinstance(event, CallSaved) for event in run.trace.events) == 2
    for length in range(1, len(run.trace.events)):
        again = await resumed(tmp_path, run.trace, length, cached)
        assert again.output == run.output
