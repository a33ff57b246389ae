"""Resumes from every moment at which a process can be killed, of graphs of every kind."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from pydantic import BaseModel
from tenacity import wait_none

from swarmlet import (
    Again,
    Done,
    Failed,
    Node,
    Retry,
    StepFailed,
    StepsFailed,
    Swarm,
    Trace,
    agent,
    best,
    cascade,
    current,
    each,
    graph,
    hedge,
    loop,
    match,
    node,
    race,
    switch,
    vote,
)
from swarmlet.testing import Barrier, Fail, ScriptedServer
from swarmlet.trace import Journal
from swarmlet.trace.events import Decided, StepEnded, StepRetried
from swarmlet.trace.past import is_within
from tests.swarm.prefixes import write_prefix
from tests.swarm.resuming import executed, executes, finished, recorded, redone, resumed

pytestmark = pytest.mark.anyio

QUICK = wait_none()
PREFIXES = int(os.environ.get("SWARMLET_PREFIXES", "12"))
"""From about so many prefixes each record is resumed."""


class Boom(Exception):
    """What nodes here fail with."""


class Item(BaseModel):
    number: int


@node
async def double(number: int) -> int:
    executes()
    await anyio.lowlevel.checkpoint()
    return 2 * number


@node
async def add(one: int, other: int) -> int:
    executes()
    return one + other


@node
async def odd_fails(number: int) -> int:
    executes()
    await anyio.lowlevel.checkpoint()
    if number % 2:
        raise Boom(f"{number} is odd")
    return number


@node
def numbers(count: int) -> list[int]:
    executes()
    return list(range(1, count + 1))


@node
def told(results: Sequence[int | Failed]) -> list[str]:
    executes()
    return [f"{one.type} {one.path}: {one.message}" if isinstance(one, Failed) else str(one) for one in results]


@node
def total(results: Sequence[int]) -> int:
    executes()
    return sum(results)


@node
async def on_the_third(number: int) -> int:
    path, attempt = executes(), current().attempt
    got = await current().run(double, number + attempt)
    executed.append(f"{path} attempt {attempt}")
    if attempt < 3:
        raise Boom(str(attempt))
    return got


@node
def next_round(state: int, doubled: int) -> Again[int] | Done[int]:
    executes()
    return Done(doubled) if doubled > 10 else Again(doubled)


@graph
def body(state: int) -> Again[int] | Done[int]:
    return next_round(state, double(state))


@graph
def rounds(number: int) -> int:
    return loop(body, rounds=6)(number)


@graph
def nested(count: int) -> int:
    return total(each(rounds, concurrency=2)(numbers(count)))


@graph
def skipping(count: int) -> int:
    return total(each(odd_fails, on_error="skip", at_least=1)(numbers(count)))


@graph
def keeping(count: int) -> list[str]:
    return told(each(odd_fails, on_error="keep")(numbers(count)))


@graph
def deeply_fails(number: int) -> int:
    return double(odd_fails(number))


@graph
def keeping_graphs(count: int) -> list[str]:
    return told(each(deeply_fails, on_error="keep")(numbers(count)))


@graph
def retried(count: int) -> int:
    return total(each(on_the_third.with_options(retry=Retry(attempts=4, wait=QUICK, on=Boom)), concurrency=2)(numbers(count)))


@graph
def racing(number: int) -> int:
    return add(race(odd_fails, double)(number), race(rounds.with_options(name="loops"), odd_fails)(number))


@graph
def hedged(number: int) -> int:
    return hedge(double, after=30)(number)


@graph
def voting(number: int) -> int:
    return vote(double, of=5, quorum=2, concurrency=2)(number)


@node
def score(number: int) -> float:
    executes()
    return float(number)


@graph
def scoring(number: int) -> int:
    return best(double, of=3, score=score)(number)


@node
def big_enough(number: int) -> bool:
    executes()
    return number > 100


@graph
def cascading(number: int) -> int:
    return cascade(odd_fails, double, rounds, accept=big_enough)(number)


@node
def parity(number: int) -> Literal["odd", "even"]:
    executes()
    return "odd" if number % 2 else "even"


@graph
def switching(number: int) -> int:
    return switch(parity, {"odd": double, "even": rounds})(number)


@node
def item_or_number(number: int) -> Item | int:
    executes()
    return Item(number=number) if number % 2 else number


@node
def of_item(item: Item) -> int:
    executes()
    return item.number


@graph
def matching(number: int) -> int:
    return match(of_item, double)(item_or_number(number))


@graph
def falling_back(number: int) -> int:
    return add(odd_fails.with_options(fallback=double)(number), deeply_fails.with_options(fallback=rounds)(number))


@node
async def calls_in_a_loop(count: int) -> int:
    executes()
    got = 1
    for _ in range(count):
        got = await current().run(double, got)
    return got


@node
async def calls_in_a_group(count: int) -> int:
    executes()
    found: dict[int, int] = {}

    async def one(number: int) -> None:
        found[number] = await current().run(double.with_options(name=f"double{number}"), number)

    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(one, number)
    return sum(found.values())


@node
async def handles(count: int) -> int:
    executes()
    got = 0
    for number in range(count):
        try:
            got += await current().run(deeply_fails, number)
        except StepFailed:
            got += 100
    return got


class Counting:
    """Gives numbers, one after the other."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __aiter__(self) -> AsyncIterator[int]:
        return self._numbers()

    async def _numbers(self) -> AsyncIterator[int]:
        for number in range(self.count):
            await anyio.lowlevel.checkpoint()
            yield number


@node
def source(count: int) -> Any:  # Any: an async iterable, which the record cannot keep
    return Counting(count)


@graph
def streaming(count: int) -> int:
    return total(each(double, concurrency=2)(source(count)))


@graph
def everything(count: int) -> int:
    return add(nested(count), add(retried.with_options(timeout=60)(count), racing(count)))


GRAPHS: list[Node[[int], Any]] = [  # Any: each has an output of its own
    nested,
    skipping,
    keeping,
    keeping_graphs,
    retried,
    racing,
    hedged,
    voting,
    scoring,
    cascading,
    switching,
    matching,
    falling_back,
    calls_in_a_loop,
    calls_in_a_group,
    handles,
    streaming,
    everything,
]


@pytest.mark.parametrize("of", GRAPHS, ids=[one.name for one in GRAPHS])
async def test_a_run_of_any_kind_that_was_killed_after_any_event_ends_as_it_would_have(
    of: Node[[int], Any], tmp_path: Path
) -> None:
    whole = await recorded(tmp_path / "whole.sqlite", of, 3)
    output = _output(whole)
    every = max(1, len(whole.events) // PREFIXES)
    for length in range(1, len(whole.events) + 1, every):
        run = await resumed(tmp_path, whole, length, of)
        assert run.output == output, length
        assert not executed_again(run.trace, length)
        again = len(run.trace.events) - 1 - length % 5
        if length % 3 == 0 and again > length:
            twice = await resumed(tmp_path, run.trace, again, of)
            assert twice.output == output, (length, again)
            assert not executed_again(twice.trace, again)


def _output(trace: Any) -> object:  # Any: a trace
    return trace.value(trace.ended.output)


def executed_again(trace: Trace, length: int) -> set[str]:
    """What was executed though it had finished, and though nothing around it had to be done again."""
    anew = redone(trace.events[length:])
    return {path for path in finished(trace.events[:length]) & set(executed) if not any(is_within(path, one) for one in anew)}


async def test_attempts_go_on_after_a_crash_and_what_a_failed_attempt_did_is_not_reused(tmp_path: Path) -> None:
    whole = await recorded(tmp_path / "whole.sqlite", retried, 1)
    retries = [at for at, event in enumerate(whole.events) if isinstance(event, StepRetried)]
    assert len(retries) == 2
    for number, at in enumerate(retries, 1):
        run = await resumed(tmp_path, whole, at + 1, retried)
        assert f"retried/on_the_third[0] attempt {number + 1}" in executed
        assert f"retried/on_the_third[0] attempt {number}" not in executed
        assert executed.count("retried/on_the_third[0]/double") == 3 - number
        attempts = [event.attempt for event in run.trace.events if isinstance(event, StepRetried)]
        assert attempts == [1, 2]


async def test_a_step_that_has_used_up_its_attempts_does_not_get_them_all_again_by_a_crash(tmp_path: Path) -> None:
    @node
    def always(number: int) -> int:
        executes()
        raise Boom(str(current().attempt))

    stubborn = graph(_wrap(always.with_options(retry=Retry(attempts=3, wait=QUICK, on=Boom))))
    whole = await recorded(tmp_path / "whole.sqlite", stubborn, 1)
    at = next(number for number, event in enumerate(whole.events) if isinstance(event, StepRetried))
    with pytest.raises(StepFailed, match="3"):
        await resumed(tmp_path, whole, at + 1, stubborn)
    assert len(executed) == 2
    with pytest.raises(StepFailed, match="4"):
        await resumed(tmp_path, whole, len(whole.events), stubborn)


def _wrap(of: Node[[int], int]) -> Callable[[int], int]:
    def wrapped(number: int) -> int:
        return of(number)

    return wrapped


async def test_the_failures_that_a_map_keeps_are_told_as_they_were(tmp_path: Path) -> None:
    whole = await recorded(tmp_path / "whole.sqlite", keeping_graphs, 3)
    assert _output(whole) == [
        "Boom keeping_graphs/deeply_fails[0]/odd_fails: 1 is odd",
        "4",
        "Boom keeping_graphs/deeply_fails[2]/odd_fails: 3 is odd",
    ]


class Other(Boom):
    """A kind of `Boom`."""


@node
async def fails_oddly(number: int) -> int:
    executes()
    await anyio.lowlevel.checkpoint()
    if number % 2:
        raise Other(str(number))
    return number


@node
def added(left: int, right: int) -> int:
    return left + right


@graph
def two_fail(number: int) -> int:
    return added(fails_oddly(number), fails_oddly(number))


@node
def length(found: list[int]) -> int:
    return len(found)


@pytest.mark.parametrize("body", [fails_oddly, graph(_wrap(fails_oddly)), race(fails_oddly, fails_oddly), two_fail])
async def test_a_failure_that_a_map_names_is_kept_again_by_a_process_that_knows_only_what_it_was_called(
    body: Node[[int], int], tmp_path: Path
) -> None:
    mapped = each(body, on_error="skip", on=Boom)

    @graph
    def whole(number: int) -> int:
        return length(mapped([number, 1, 2]))

    async with Swarm(journal=tmp_path / "whole.sqlite") as swarm:
        run = await swarm.run_as("r", whole, 3)
    trace = Journal(tmp_path / "whole.sqlite").trace("r")
    assert run.output == 1
    ended = [number for number, event in enumerate(trace.events) if isinstance(event, StepEnded) and event.path.endswith("]")]
    for number in (*ended, len(trace.events) - 1):
        again = await resumed(tmp_path, trace, number + 1, whole)
        assert again.output == 1
    assert not [path for path in executed if "odd" in path], "what has failed stays as it was"


async def test_a_failure_of_another_name_fails_the_map_and_is_tried_again_by_the_next_resume(tmp_path: Path) -> None:
    whole = _skipping(Boom)
    trace = await recorded(tmp_path / "whole.sqlite", whole, 1)
    narrower = _skipping(TimeoutError)
    cut = next(number for number, event in enumerate(trace.events) if isinstance(event, StepEnded)) + 1
    await write_prefix(tmp_path / "cut.sqlite", trace, cut)
    async with Swarm(journal=tmp_path / "cut.sqlite") as swarm:
        with pytest.raises(StepFailed, match="Other: 1"):
            await swarm.resume(trace.run_id, narrower)
        executed.clear()
        with pytest.raises(StepFailed, match="Other: 1"):
            await swarm.resume(trace.run_id, narrower)
        assert len(executed) == 1
        assert (await swarm.resume(trace.run_id, whole)).output == 0


def _skipping(on: type[Exception]) -> Node[[int], int]:
    mapped = each(fails_oddly, on_error="skip", on=on)

    @graph
    def whole(number: int) -> int:
        return length(mapped([number]))

    return whole


async def test_a_fallback_for_some_failures_is_chosen_for_one_that_an_earlier_process_had(tmp_path: Path) -> None:
    backed = graph(_wrap(graph(_wrap(fails_oddly)).with_options(fallback=double, fallback_on=Boom)))
    trace = await recorded(tmp_path / "whole.sqlite", backed, 3)
    failed = next(number for number, event in enumerate(trace.events) if isinstance(event, StepEnded)) + 1
    run = await resumed(tmp_path, trace, failed, backed)
    assert run.output == 6
    assert not [path for path in executed if path.endswith("fails_oddly")]


async def test_a_fallback_that_was_chosen_is_chosen_again_and_only_the_attempt_that_chose_it(tmp_path: Path) -> None:
    @node
    async def outer(number: int) -> int:
        executes()
        got = await current().run(shaky.with_options(fallback=double), number)
        if current().attempt == 1:
            raise Boom("again")
        return got

    @node
    def shaky(number: int) -> int:
        path = executes()
        if executed.count(path) > 0 and number == 1:
            raise Boom("shaky")
        return number

    again = graph(_wrap(outer.with_options(retry=Retry(attempts=2, wait=QUICK, on=Boom))))
    whole = await recorded(tmp_path / "whole.sqlite", again, 1)
    at = next(number for number, event in enumerate(whole.events) if isinstance(event, StepRetried))
    run = await resumed(tmp_path, whole, at + 1, again)
    assert [path for path in executed if path.endswith("shaky")], "the second attempt tries it again, as the first one did"
    assert sum(isinstance(event, Decided) for event in run.trace.events) == 2


@agent(str)
def say(text: str) -> str:
    """You say."""
    return text


@node
def nothing(text: str) -> str:
    return ""


@graph
def asked_to_say(text: str) -> str:
    return say(text)


@graph
def said(text: str) -> str:
    return asked_to_say.with_options(fallback=nothing, fallback_on=KeyError)(text)


@graph
def all_said(texts: list[str]) -> list[str]:
    return each(said)(texts)


async def test_what_failed_at_the_same_moment_is_tried_again_with_it(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    """Some of the failures nobody hears of any more, as the map is being cancelled over the first."""
    texts = [str(number) for number in range(8)]
    scripted_server.when("", Barrier(8, Fail(401)), times=8)
    scripted_server.when("", "said")
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        with pytest.raises((StepFailed, StepsFailed)):
            await swarm.run_as("all", all_said, texts)
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        assert (await swarm.run_as("all", all_said, texts)).output == ["said"] * 8
