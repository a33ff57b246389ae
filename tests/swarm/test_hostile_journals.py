"""Journals that somebody else has written: a resume says what is wrong, or does what is right."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from swarmlet import Budget, Retry, Run, Swarm, SwarmletError, Trace, agent, each, graph, node
from swarmlet.errors import RunError
from swarmlet.testing import CallTools, Request, Say, ScriptedServer, call
from swarmlet.trace.events import CallEnded, CallStarted, Digest, Event, Fault, StepRetried
from tests.swarm.prefixes import write_prefix
from tests.swarm.resuming import recorded

pytestmark = pytest.mark.anyio

ABSURD: dict[str, list[Any]] = {  # Any: of the type of the field
    "int": [-(10**18), -1, 0, 10**18],
    "float": [-1e300, 0.0, 1e300],
    "str": ["", "../..", "/", "[", "a" * 5_000, "reader[99999999999999999999]", "os:system", "\x00"],
    "Digest | None": [None, Digest(""), Digest("0" * 32)],
    "str | None": [None, "", "-5", "NaN", "1E+999999", "Infinity"],
    "Fault": [Fault("", ""), Fault("SystemExit", "step 'x' failed: y")],
}


def look(word: str) -> str:
    """Look."""
    return f"seen {word}"


@agent(str, tools=[look])
def reader(topic: str) -> str:
    """You read."""
    return topic


@node
def topics(topic: str) -> list[str]:
    return [f"{topic} {number}" for number in range(2)]


@node
def join(read: list[str]) -> str:
    return "|".join(read)


@graph
def reading(topic: str) -> str:
    return join(each(reader)(topics(topic)))


limited = reading.with_options(budget=Budget(requests=4), retry=Retry(attempts=2))


def reply(request: Request) -> object:
    if request.messages[-1].get("role") == "tool":
        return Say(f"read {request.messages[1]['content']}")
    return CallTools([call("look", word="a")])


def spoiled(event: Event) -> list[Event]:
    """The event, with something absurd in each of its fields."""
    found: list[Event] = []
    for one in fields(event):
        if one.name in ("kind", "run", "reused", "forked_from"):
            continue
        found += [cast("Event", replace(cast("Any", event), **{one.name: value})) for value in ABSURD.get(str(one.type), [])]
    return found


async def test_a_spoiled_event_is_an_error_in_words_or_does_no_harm(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    scripted_server.answer(reply)
    whole = await recorded(tmp_path / "whole.sqlite", limited, "tea")
    events = whole.events[:-3]
    every = [(at, bad) for at, event in enumerate(events) for bad in spoiled(event)]
    for number, (at, bad) in enumerate(every[::17]):
        trace = Trace((*events[:at], bad, *events[at + 1 :]), whole.content)
        before = len(scripted_server.requests)
        run = await tried(tmp_path / f"{number}.sqlite", trace, whole)
        assert run is None or run.output == "read tea 0|read tea 1", bad
        assert len(scripted_server.requests) - before <= 4, "no journal makes room in a budget"


async def tried(path: Path, trace: Trace, whole: Trace) -> Run[str] | None:
    try:
        await write_prefix(path, trace, len(trace.events))
        with anyio.fail_after(20):
            async with Swarm(journal=path) as swarm:
                return await swarm.resume(whole.run_id, limited)
    except (SwarmletError, RunError, AssertionError):
        return None


async def test_costs_below_nothing_make_no_room_in_a_budget(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    scripted_server.answer(reply)
    of = reading.with_options(budget=Budget(tokens=9_000))
    whole = await recorded(tmp_path / "whole.sqlite", of, "tea")
    bad = [
        replace(event, input_tokens=-(10**9), output_tokens=-(10**9), usd="-5") if isinstance(event, CallEnded) else event
        for event in whole.events[:8]
    ]
    bad = [replace(event, max_tokens=-5, input_at_most=-5) if isinstance(event, CallStarted) else event for event in bad]
    await write_prefix(tmp_path / "b.sqlite", Trace(bad, whole.content), len(bad))
    async with Swarm(journal=tmp_path / "b.sqlite") as swarm:
        run = await swarm.resume(whole.run_id, of)
    assert run.output == "read tea 0|read tea 1"


async def test_attempts_below_nothing_do_not_give_more_of_them(tmp_path: Path) -> None:
    done: list[int] = []

    @node
    def fails(number: int) -> int:
        done.append(number)
        raise ValueError(number)

    of = fails.with_options(retry=Retry(attempts=3, on=ValueError))
    whole = await recorded(tmp_path / "whole.sqlite", of, 1)
    at = next(number for number, event in enumerate(whole.events) if isinstance(event, StepRetried))
    bad = [replace(event, attempt=-50) if isinstance(event, StepRetried) else event for event in whole.events[: at + 1]]
    await write_prefix(tmp_path / "b.sqlite", Trace(bad, whole.content), len(bad))
    done.clear()
    async with Swarm(journal=tmp_path / "b.sqlite") as swarm:
        with pytest.raises(RunError):
            await swarm.resume(whole.run_id, of)
    assert len(done) <= 3
