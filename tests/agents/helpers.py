"""Shorthands: run an agent against the scripted server, and look at how it went."""

from __future__ import annotations

from typing import Any, ParamSpec, TypeVar

import anyio
import openai as _openai  # noqa: F401  # pyright: ignore[reportUnusedImport]  # paid here, not within a test's time
import pytest
from tenacity import wait_none

from swarmlet import Node, PartialRun, Retry, Run, StepFailed, Swarm, agent
from swarmlet.trace.events import CallEnded, CallStarted, ToolEnded, ToolStarted

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

FAST = Retry(wait=wait_none())
"""As patient as the default, without the waiting."""


@agent(str)
def say(text: str) -> str:
    """You answer."""
    return text


patient = say.with_options(retry=FAST)


async def outcome(node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]:
    """The run of a node on a swarm of its own."""
    with anyio.fail_after(30):
        async with Swarm() as swarm:
            return await swarm.run(node, *args, **kwargs)


async def failure(node: Node[P, object], /, *args: P.args, **kwargs: P.kwargs) -> StepFailed:
    """The one error with which the run of a node fails."""
    with pytest.raises(StepFailed) as caught:
        await outcome(node, *args, **kwargs)
    return caught.value


def because(error: BaseException, kind: type[E]) -> E:
    """The cause of an error, which must be of this very kind."""
    assert type(error.__cause__) is kind
    assert isinstance(error.__cause__, kind)
    return error.__cause__


def partial(error: StepFailed) -> PartialRun:
    """What was done and paid until the error."""
    assert error.run is not None
    return error.run


def sent(run: PartialRun) -> list[CallStarted]:
    return [event for event in run.trace.events if isinstance(event, CallStarted)]


def ended(run: PartialRun) -> list[CallEnded]:
    return [event for event in run.trace.events if isinstance(event, CallEnded)]


def begun_tools(run: PartialRun) -> list[ToolStarted]:
    return [event for event in run.trace.events if isinstance(event, ToolStarted)]


def ended_tools(run: PartialRun) -> list[ToolEnded]:
    return [event for event in run.trace.events if isinstance(event, ToolEnded)]


def errors_of(run: PartialRun) -> list[str | None]:
    """The reason of each attempt's end; `None` for one that succeeded."""
    return [event.error.type if event.error else None for event in ended(run)]


def asked(run: PartialRun) -> list[Any]:  # Any: JSON
    """What each attempt asked, as plain Python."""
    return [run.trace.request(call) for step in run.trace.steps() for call in step.calls]


def value(run: PartialRun, digest: Any) -> Any:  # Any: JSON
    """A recorded value as plain Python."""
    return run.trace.value(digest)
