"""Runs that are resumed from any prefix of their record, and what must hold of every such resume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TypeGuard, TypeVar

import anyio

from swarmlet import Node, Run, RunError, Swarm, Trace, current
from swarmlet.models.base import ChatModel
from swarmlet.models.hub import DEFAULT_MODEL
from swarmlet.trace import Journal
from swarmlet.trace.events import (
    CallEnded,
    CallStarted,
    Event,
    Noted,
    RunEnded,
    StepEnded,
    StepRetried,
    StepStarted,
    ToolEnded,
    ToolStarted,
)
from swarmlet.trace.past import is_within
from tests.swarm.prefixes import write_prefix

A = TypeVar("A")
T = TypeVar("T")
executed: list[str] = []
"""The paths of the steps that were executed, as they say themselves by `executes`."""
_names = count()


def executes() -> str:
    """Note that the step which runs here is being executed."""
    path = current().path
    executed.append(path)
    return path


async def recorded(path: Path, of: Node[[A], T], argument: A, model: ChatModel | None = None) -> Trace:
    """The trace of a run, however it ends."""
    async with Swarm(journal=path, model=model or DEFAULT_MODEL) as swarm:
        with anyio.fail_after(30), suppress(RunError):
            await swarm.run(of, argument)
    journal = Journal(path)
    return journal.trace(journal.runs()[0].id)


async def resumed(folder: Path, trace: Trace, length: int, of: Node[..., T], model: ChatModel | None = None) -> Run[T]:
    """The run, resumed by a process that finds the first so many events."""
    path = folder / f"{next(_names)}.sqlite"
    await write_prefix(path, trace, length)
    executed.clear()
    with anyio.fail_after(60):
        async with Swarm(journal=path, model=model or DEFAULT_MODEL) as swarm:
            run = await swarm.resume(trace.run_id, of)
            assert swarm.journal_error is None
    check_record(run.trace, length)
    assert Journal(path).trace(trace.run_id).events == run.trace.events
    return run


def check_record(trace: Trace, length: int) -> None:
    """What holds of every record of a run that was resumed after so many events."""
    assert not list(_finished_twice(trace.events))
    before, after = trace.events[:length], trace.events[length:]
    paid = _standing(before)
    retried: list[str] = []
    for event in after:
        if isinstance(event, StepRetried):
            retried.append(event.path)
        if isinstance(event, CallStarted) and not any(is_within(event.path, path) for path in retried):
            assert (event.path, event.turn) not in paid, "it was paid for"
    ended = Counter(event.path for event in trace.events if isinstance(event, StepEnded))
    begun = Counter(event.path for event in trace.events if isinstance(event, StepStarted))
    assert ended == begun, ended - begun or begun - ended
    calls = Counter((event.path, event.turn) for event in trace.events if isinstance(event, CallStarted))
    assert calls == Counter((event.path, event.turn) for event in trace.events if isinstance(event, CallEnded))
    tools = Counter((event.path, event.turn, event.id) for event in trace.events if isinstance(event, ToolStarted))
    assert tools == Counter((event.path, event.turn, event.id) for event in trace.events if isinstance(event, ToolEnded))
    assert isinstance(trace.events[-1], RunEnded)


def finished(events: Sequence[Event]) -> set[str]:
    """The steps that have finished, without those of attempts that have failed."""
    paths: set[str] = set()
    for event in events:
        if isinstance(event, StepEnded) and event.state == "finished":
            paths.add(event.path)
        elif isinstance(event, StepRetried) or _is_done_again(event):
            paths = {path for path in paths if not is_within(path, event.path)}
    return paths


def redone(events: Sequence[Event]) -> list[str]:
    """The steps below which everything was done again, as an attempt has failed, or an output could not be read back."""
    return [event.path for event in events if isinstance(event, StepRetried) or _is_done_again(event)]


def _is_done_again(event: Event) -> TypeGuard[Noted]:
    return isinstance(event, Noted) and event.message.startswith("it is executed again")


def _standing(events: Sequence[Event]) -> set[tuple[str, int]]:
    paid: set[tuple[str, int]] = set()
    for event in events:
        if isinstance(event, CallEnded) and event.state == "finished":
            paid.add((event.path, event.turn))
        elif isinstance(event, StepRetried):
            paid = {key for key in paid if not is_within(key[0], event.path)}
    return paid


def _finished_twice(events: Sequence[Event]) -> Iterator[str]:
    ended: set[str] = set()
    for event in events:
        if isinstance(event, StepRetried) or _is_done_again(event):
            ended = {path for path in ended if not is_within(path, event.path)}
        elif isinstance(event, StepEnded) and event.state == "finished":
            if event.path in ended:
                yield event.path
            ended.add(event.path)
