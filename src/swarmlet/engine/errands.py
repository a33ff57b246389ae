"""Errands about whole steps: those that are started for items of a list that is not there yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from swarmlet.engine.frame import Errand

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarmlet.engine.step import Step


@final
@dataclass(slots=True, eq=False)
class Early(Errand):
    """An errand: execute a step in a task of its own, so that it can be stopped alone: what it is for may still change."""

    step: Step
    stop: Callable[[], None] | None = None
    """Stops it. Set by its driver; the frame is told `Left` when it has ended then."""
    begun: bool = False
    """Whether it was executed at all."""


@final
@dataclass(frozen=True, slots=True)
class Drop(Errand):
    """An errand: stop a step that is not wanted any more, if it still runs, and say so in the record."""

    early: Early
    again: bool
    """Whether it will be executed again, for another value."""
