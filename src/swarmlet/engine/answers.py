"""What a worker says of a run, as data; and what has workers say it.

Here and not beside `dispatch`, because the state of a run names it, and because workers need it without an engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from pydantic import TypeAdapter, ValidationError

from swarmlet.engine.portable import Written
from swarmlet.errors import BudgetExceeded, DeadlineExceeded, StepFailed, SwarmletError
from swarmlet.trace.events import Event, RunId
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from swarmlet.engine.portable import Parcel

_CONTENTS: dict[str, object] = {
    "inputs": {},
    "messages": (),
    **dict.fromkeys(("output", "request", "reply", "arguments", "result", "question", "answers", "answer")),
}
"""The fields of events that name recorded values, and what they are without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a run has no result, as data."""

    path: str
    """The step at fault."""
    type: str
    """The class of its error."""
    message: str
    budget: tuple[str, Decimal, Decimal, Decimal, str] | None = None
    """The figures of a `BudgetExceeded`: what ran out, its limit, what was used and needed, whose it was."""
    deadline: tuple[float, str] | None = None
    """The figures of a `DeadlineExceeded`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a worker says of a run."""

    run: RunId
    state: Literal["finished", "failed", "suspended"]
    output: Written | None = None
    trouble: Trouble | None = None
    usage: Usage = field(default_factory=Usage)
    questions: tuple[str, ...] = ()
    """The paths that wait for a person's answer, if it is suspended."""
    events: tuple[Event, ...] = ()
    """What happened, if the run is a step of another."""

    def dump(self) -> str:
        """As JSON."""
        return _answers().dump_json(self).decode()

    @classmethod
    def load(cls, text: str) -> Answer:
        """Read it again. Raises `SwarmletError` if it is none."""
        try:
            return _answers().validate_json(text)
        except ValidationError as error:
            raise SwarmletError(f"this is no answer of a swarmlet worker: {error.errors()[0]['msg']}") from None


@cache
def _answers() -> TypeAdapter[Answer]:
    return TypeAdapter(Answer)


class Dispatcher(Protocol):
    """Has workers execute parcels. `Swarm(workers=)` takes one; `bridges.workers.Workers` is one."""

    async def execute(self, parcel: Parcel) -> Answer:
        """The answer of a worker of its queue: the recorded one, if the run was executed before.

        When cancelled it has the run cancelled, wherever it is. Raises `SwarmletError` if no answer will come.
        """
        ...


def trouble_of(error: Exception, path: str) -> Trouble:
    """A failure as data."""
    path = getattr(error, "path", "") or path
    budget = deadline = None
    if isinstance(error, BudgetExceeded):
        figures = (Decimal(str(one)) for one in (error.limit, error.used, error.needed))
        budget = (error.kind, *figures, error.scope)
    if isinstance(error, DeadlineExceeded):
        deadline = (error.timeout, error.limit)
    cause = error.__cause__ if isinstance(error, StepFailed) and error.__cause__ is not None else error
    return Trouble(
        path=path,
        type=type(cause).__name__,
        message=str(error).encode(errors="replace").decode(),
        budget=cast("Any", budget),  # Any: the generator has three figures
        deadline=deadline,
    )


def without_contents(event: Event) -> Event:
    """An event that names no recorded values, for where those are not."""
    named = {one.name for one in fields(event)}
    empty: dict[str, Any] = {name: none for name, none in _CONTENTS.items() if name in named}  # Any: by field
    return replace(event, **empty)
