"""Reading a run: what ran, in which order, on what, what was chosen, and whom a request is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from swarmlet.trace.events import Decided, StepEnded, StepStarted

if TYPE_CHECKING:
    from swarmlet import PartialRun
    from swarmlet.testing import Request


def ran(run: PartialRun) -> list[str]:
    """The paths of the steps that started, in that order; a step that ran twice is there twice."""
    return [event.path for event in run.trace.events if isinstance(event, StepStarted)]


def ended(run: PartialRun, state: str = "finished") -> list[str]:
    """The paths of the steps that ended in this way, in that order."""
    return [event.path for event in run.trace.events if isinstance(event, StepEnded) and event.state == state]


def given(run: PartialRun, path: str) -> dict[str, Any]:  # Any: JSON
    """What the step at `path` was called with."""
    started = run.trace.step(path).started
    assert started is not None, path
    return {name: run.trace.value(digest) for name, digest in started.inputs.items()}


def chosen(run: PartialRun) -> dict[str, str]:
    """What each step that chose between others chose, by its path."""
    return {event.path: event.chosen for event in run.trace.events if isinstance(event, Decided)}


def instructed(text: str) -> Callable[[Request], bool]:
    """Whether a request has these instructions."""
    return lambda request: request.system == text
