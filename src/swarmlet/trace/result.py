"""What a caller gets back: `Run` from a run that finished, `PartialRun` on the error of one that did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from swarmlet.trace.events import RunId
    from swarmlet.trace.read import Trace
    from swarmlet.usage import Usage

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class PartialRun:
    """What there is of a run: its id, and its trace, in which every finished step has its output."""

    trace: Trace

    @property
    def id(self) -> RunId:
        """The run's id, by which a journal knows it."""
        return self.trace.run_id

    @property
    def usage(self) -> Usage:
        """What the run cost, failed attempts included."""
        return self.trace.usage


@dataclass(frozen=True, slots=True)
class Run(PartialRun, Generic[T_co]):
    """A finished run: `output`, what it cost (`usage`), and how it went (`trace`)."""

    output: T_co
