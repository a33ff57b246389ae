"""The seam between swarmlet and the queue that carries its runs to workers. Nothing here knows which queue it is.

A *job* is one parcel (`engine.portable`) on its way: a text with an id. What a queue must promise is little:

- `submit` is idempotent by id, and a job that was submitted is not lost.
- Some live worker executes the job until one answer is recorded. If several do (a worker was taken for dead and was not), the
  first answer that is recorded stays.
- A job whose worker has been silent for `lease` seconds goes to another worker.
- `execute` is cancelled when its job was cancelled or went to another worker. It may raise `GiveBack`; then the job is offered
  to others. It raises nothing else: a failed run is an answer. So no queue ever retries a failure: one layer does that, inside
  the run.

All the rest is swarmlet's: steps and calls are recorded in the journal, whose claims also fence a worker that comes back late.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import anyio

Execute: TypeAlias = Callable[[str, str], Awaitable[str]]
"""Takes a job's id and its parcel, and gives the answer that is to be recorded."""


class GiveBack(Exception):  # no error: this worker leaves, and another one goes on
    """This worker does not finish the job."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a job stands."""

    state: Literal["unknown", "waiting", "running", "answered", "cancelled"]
    answer: str | None = None
    why: str = ""
    """Why it was cancelled, if the queue did that itself."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How a worker serves."""

    queues: Sequence[str]
    concurrency: int
    """How many jobs of each queue it executes at once."""
    lease: float
    """Seconds of silence after which others take it for dead."""
    grace: float
    """Seconds that running jobs have to come to a stop when it leaves."""


class Queue(Protocol):
    """What carries jobs. One object is used by callers or by a worker, on any event loop."""

    async def open(self) -> None:
        """Connect. Raises `SwarmletError` in a sentence if that fails."""
        ...

    async def aclose(self) -> None:
        """Disconnect."""
        ...

    async def submit(self, job: str, parcel: str, queue: str) -> None:
        """Have some worker of `queue` execute `parcel`. Does nothing if there is a job of this id already."""
        ...

    async def look(self, job: str) -> Look:
        """How the job stands."""
        ...

    async def parcel(self, job: str) -> str | None:
        """The parcel of a job, if there is such a job."""
        ...

    async def cancel(self, job: str) -> None:
        """Stop it, wherever it is. Nothing happens if it has an answer."""
        ...

    async def serve(self, execute: Execute, serving: Serving, leaving: anyio.Event, ready: Callable[[], None]) -> None:
        """Execute jobs until `leaving` is set; then take no more, and return when those that run have ended."""
        ...
