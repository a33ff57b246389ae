"""Runs go on in another process: whatever had finished is neither executed nor paid for again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from pydantic import BaseModel

from swarmlet import Again, Done, Swarm, agent, each, graph, loop, node, race, vote
from swarmlet.testing import CallTools, Request, Say, ScriptedServer, call
from swarmlet.trace import Journal
from swarmlet.trace.events import CallEnded, CallStarted, RunEnded, StepEnded
from tests.swarm.prefixes import write_prefix

if TYPE_CHECKING:
    from swarmlet import Trace

pytestmark = pytest.mark.anyio


class Draft(BaseModel):
    text: str
    rounds: int = 0


class Verdict(BaseModel):
    good: bool


def length(text: str) -> str:
    """How long a text is."""
    return str(len(text))


@agent(Draft)
def write(topic: str) -> str:
    """You write."""
    return f"Write on {topic}"


@agent(str, tools=[length])
def measure(draft: Draft) -> str:
    """You measure."""
    return f"How long is: {draft.text}"


@agent(str)
def slogan(topic: str) -> str:
    """You invent slogans."""
    return f"A slogan on {topic}"


@agent(Verdict)
def judge(draft: Draft) -> str:
    """You judge."""
    return f"Is it good, at round {draft.rounds}: {draft.text}"


@node
def next_round(draft: Draft, verdict: Verdict) -> Again[Draft] | Done[Draft]:
    return Done(draft) if verdict.good else Again(Draft(text=draft.text + "!", rounds=draft.rounds + 1))


@graph
def improve(draft: Draft) -> Again[Draft] | Done[Draft]:
    return next_round(draft, judge(draft))


@node
def topics(topic: str) -> list[str]:
    return [f"{topic} {number}" for number in range(3)]


@node
def together(draft: Draft, length: str, slogans: Sequence[str], fastest: str, agreed: str) -> str:
    return "|".join([draft.text, length, *slogans, fastest, agreed])


@graph
def everything(topic: str) -> str:
    draft = loop(improve, rounds=3)(write(topic))
    slogans = each(slogan, concurrency=2)(topics(topic))
    return together(
        draft, measure(draft), slogans, race(slogan, slogan.with_options(name="other"))(topic), vote(slogan, of=3)(topic)
    )


def answer(request: Request) -> object:
    last = str(request.messages[-1].get("content"))
    if last.startswith("Write on"):
        return Say(Draft(text=f"about {last[9:]}").model_dump_json())
    if last.startswith("Is it good"):
        return Say(Verdict(good="round 1" in last).model_dump_json())
    if last.startswith("How long"):
        return CallTools([call("length", text=last[13:])])
    if last.startswith("A slogan"):
        return Say(f"Buy {last[12:]}")
    return Say(f"It is {last}")


@pytest.fixture
def server(scripted_server: ScriptedServer) -> ScriptedServer:
    scripted_server.answer(answer)
    return scripted_server


async def recorded(server: ScriptedServer, path: Path) -> Trace:
    async with Swarm(journal=path) as swarm:
        return (await swarm.run(everything, "tea")).trace


async def test_a_run_killed_after_any_event_ends_as_it_would_have_and_pays_for_no_finished_call_again(
    server: ScriptedServer, tmp_path: Path
) -> None:
    whole = await recorded(server, tmp_path / "whole.sqlite")
    output = whole.value(whole.ended.output if whole.ended else None)
    for count in range(1, len(whole.events), 3):
        path = tmp_path / f"{count}.sqlite"
        await write_prefix(path, whole, count)
        paid = _finished_calls(whole.events[:count])
        before = len(server.requests)
        with anyio.fail_after(20):
            async with Swarm(journal=path) as swarm:
                run = await swarm.resume(whole.run_id, everything)
        assert run.output == output
        new = [event for event in run.trace.events[count:] if isinstance(event, CallStarted)]
        assert len(server.requests) - before <= len(new), "every call is in the record before it is sent"
        assert not {(event.path, event.turn) for event in new} & paid
        ends = Counter(event.path for event in run.trace.events if isinstance(event, StepEnded) and event.state == "finished")
        assert max(ends.values()) == 1, "each step is recorded once"
        assert isinstance(run.trace.events[-1], RunEnded)
        assert Journal(path).trace(whole.run_id).events == run.trace.events


def _finished_calls(events: Sequence[object]) -> set[tuple[str, int]]:
    return {(event.path, event.turn) for event in events if isinstance(event, CallEnded) and event.state == "finished"}
