"""Drafts: steps of scalars are recorded as tuples, and no reader of a record can tell."""

from __future__ import annotations

import math
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmlet import Swarm, each, graph, node
from swarmlet.graph.node import Node
from swarmlet.trace import Event, Journal, MemoryJournal, RunId, StepEnded, StepStarted, Trace, read_export
from swarmlet.trace.encode import encoder
from swarmlet.trace.journal.tally import digests_of
from swarmlet.trace.record import Recorder
from tests.engine.quickly import quickly


class Word(str):
    __slots__ = ()


class Count(IntEnum):
    ONE = 1


class Letter(StrEnum):
    A = "a"


Id = NewType("Id", int)
HALF, LONG, HUGE = "half \ud800", "é" * 201, 10**4400
TYPES: list[Any] = [
    int,
    str,
    float,
    bool,
    None,
    object,
    Any,
    int | None,
    float | int,
    Id,
    Annotated[int, "a number"],
    Literal[1, "a", True],
    Word,
    Count,
    Letter,
]
VALUES = st.one_of(
    st.none() | st.booleans() | st.integers() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    st.sampled_from(
        [HALF, LONG, HUGE, "nul \0", -0.0, math.inf, math.nan, 2**64, Word("w"), Count.ONE, Letter.A, True, 1, 1.0]
    ),
)


class Given:
    """A node whose function is declared with a type, and gives what it is told to give, of that type or not."""

    def __init__(self, type_: Any, *, waits: bool) -> None:
        self.value: object = None

        async def step(one: object, /) -> object:
            if waits:
                await checkpoint()
            return self.value

        step.__annotations__ = {"one": type_, "return": type_}
        self.node: Node[..., list[Any]] = each(cast("Any", node(step)))  # Any: each type that is tried


NODES = [Given(type_, waits=waits) for type_ in TYPES for waits in (False, True)]


def told(events: tuple[Event, ...]) -> list[str]:
    """Of the steps, in the order of their paths, all but times and the notes by which a run is resumed."""
    steps = [event for event in events if isinstance(event, StepStarted | StepEnded)]
    return sorted(
        f"{one.path} {one.inputs}" if isinstance(one, StepStarted) else f"{one.path} {one.state} {one.output}" for one in steps
    )


def contents(trace: Trace) -> dict[str, bytes | None]:
    return {digest: trace.content(digest) for event in trace.events for digest in digests_of(event)}


async def _same_everywhere(of: Node[..., list[Any]], items: list[Any], *, capture: bool) -> None:
    store = MemoryJournal()
    async with Swarm(capture=capture) as swarm:
        bare = (await swarm.run(of, items)).trace
        async with swarm.stream(of, items) as stream:  # who listens is told events, so that nothing is a draft
            async for _ in stream:
                pass
        plain = stream.trace
    async with Swarm(journal=store, capture=capture) as swarm:
        kept = (await swarm.run(of, items)).trace
        assert swarm.journal_error is None
    journal = Journal(store)
    again = journal.trace("last")
    assert told(bare.events) == told(plain.events) == told(kept.events)
    assert list(map(repr, kept.events)) == list(map(repr, again.events))
    assert contents(kept) == contents(again)
    assert None not in contents(again).values()
    assert contents(bare).items() <= contents(plain).items()
    assert list(map(repr, read_export(journal.export("last")).events)) == list(map(repr, again.events))
    assert not journal.verify().problems


@settings(deadline=None, max_examples=60)
@given(
    items=st.lists(VALUES, max_size=3),
    value=VALUES,
    chosen=st.sampled_from(range(len(NODES))),
    capture=st.sampled_from([True] * 3 + [False]),
)
def test_memory_journal_and_export_say_the_same_of_whatever_goes_through_a_step(
    items: list[Any], value: Any, chosen: int, *, capture: bool
) -> None:
    NODES[chosen].value = value
    anyio.run(lambda: _same_everywhere(NODES[chosen].node, items, capture=capture))


@node
def gives(kind: int) -> str:
    return HALF if kind == 0 else "x" * 100_000


@node
def same(text: str) -> str:
    return text


@node
def huge(number: int) -> int:
    return number + HUGE


@node
def small(number: int) -> int:
    return number % 10


@graph
def handed_on(kind: int) -> str:
    text = gives(kind)
    for _ in range(20):
        text = same(text)
    return text


@graph
def huge_and_small(number: int) -> int:
    return small(huge(number))


@pytest.mark.anyio
async def test_a_long_text_is_kept_once_however_many_steps_it_goes_through(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with Swarm(journal=path) as swarm:
        await swarm.run(handed_on, 1)
    assert 100_000 < path.stat().st_size < 400_000
    assert Journal(path).trace("last").output("handed_on/same~20") == "x" * 100_000


@pytest.mark.anyio
async def test_what_cannot_be_read_back_as_it_was_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with Swarm(journal=path) as swarm:
        result = await swarm.run(handed_on, 0)
        assert result.output == HALF
    again = Journal(path).trace("last")
    ended = again.step("handed_on/same~7").ended
    assert ended is not None
    assert ended.type == "?"
    assert again.output("handed_on/same~7") == ascii(HALF) == result.trace.output("handed_on/same~7")


@pytest.mark.anyio
async def test_a_number_of_thousands_of_digits_leaves_the_rest_of_its_run_readable(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with Swarm(journal=path) as swarm:
        result = await swarm.run(huge_and_small, 7)
    again = Journal(path).trace("last")
    assert again.output("huge_and_small/small") == 7
    assert list(again.events) == list(result.trace.events)
    assert not Journal(path).verify().problems


@pytest.mark.anyio
async def test_what_is_recorded_while_a_record_is_read_is_not_lost() -> None:
    recorder = Recorder(RunId("a"))
    end = StepEnded(at=3.0, path="later", state="finished")

    def encode(value: object) -> bytes:  # as a thread would that reads the trace of a run that goes on
        recorder.emit(end)
        return encoder(int)(value)

    recorder.draft((1.0, "first", "app:first", 0.0, 0.0, ("one",), (1,)))
    recorder.draft((2.0, "first", 1, encode))
    assert [event.at for event in recorder.events] == [1.0, 2.0, 3.0]
    assert all(isinstance(event, StepStarted | StepEnded) for event in recorder.events)


@pytest.mark.anyio
async def test_a_trace_ends_where_it_was_taken_though_its_run_goes_on() -> None:
    recorder = Recorder(RunId("a"))
    recorder.draft((1.0, "first", "app:first", 0.0, 0.0, ("one",), (1,)))
    taken = Trace(recorder.extent, recorder.content)
    recorder.draft((2.0, "first", 1))
    (event,) = taken.events
    assert isinstance(event, StepStarted)
    assert taken.value(event.inputs["one"]) == 1


@pytest.mark.anyio
async def test_without_contents_drafts_hold_none() -> None:
    async with Swarm(capture=False) as swarm:
        trace = (await swarm.run(handed_on, 1)).trace
    assert contents(trace) == {}
    assert trace.step("handed_on/same").started is not None
    assert (await quickly(handed_on, 1)).trace.output("handed_on/same") == "x" * 100_000
