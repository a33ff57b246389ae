"""What `node.with_options(...)` sets, and the one rule by which it reaches the steps below.

Options apply to the whole subtree. The nearest wins for what chooses (`model`, `retry`); what limits adds up: each
`timeout`, `deadline`, `reserve` and `concurrency` holds for everything under the node that set it, and so do those of the
nodes around it. `fallback` stands in for the one node that set it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cached_property
from typing import Protocol, cast

from swarmlet.errors import GraphError
from swarmlet.policy.retry import Retry


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of one node. `None` means: not set here, the enclosing node decides."""

    model: str | None = None
    """Name of the model that agents in this subtree use, unless an agent names its own nearer by."""
    retry: Retry | None = None
    """When and how failed model calls and failed plain steps in this subtree are tried again."""
    timeout: float | None = None
    """Seconds that the node, with everything under it and all retries, may take."""
    deadline: datetime | None = None
    """The moment (with a time zone) at which the node, with everything under it, must be done."""
    reserve: float | None = None
    """Seconds that must be left of the nearest enclosing deadline when the node is done: the slice of what follows it."""
    concurrency: int | None = None
    """How many steps under the node may run at once. A step that waits for nodes it has started itself does not count."""
    fallback: object | None = None
    """The node that is run with the same arguments if this one has failed for good. (Policies know no graph, so `object`.)"""

    def __post_init__(self) -> None:
        for name, problem in _PROBLEMS.items():
            value: object = getattr(self, name)
            if value is not None and (wrong := problem(value)):
                raise GraphError(f"{name}= {wrong}, not {value!r}" + (_MODEL_OBJECT if name == "model" else ""))

    @cached_property
    def empty(self) -> bool:
        """Whether nothing is set, so that the node needs no scope of its own."""
        return all(getattr(self, one.name) is None for one in fields(self))

    @property
    def limits_time(self) -> bool:
        """Whether something here says when the node must be done."""
        return self.timeout is not None or self.deadline is not None or self.reserve is not None

    def update(self, other: Options) -> Options:
        """These options with those of `other` that are set."""
        return replace(self, **{one.name: value for one in fields(other) if (value := getattr(other, one.name)) is not None})


class Gate(Protocol):
    """Lets a bounded number of steps through at once."""

    async def acquire(self) -> None:
        """Wait for a place, first come, first served."""
        ...

    def release(self) -> None:
        """Give the place back."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """The options in force for one step: what the nodes around it chose, the nearest first."""

    model: str | None = None
    retry: Retry | None = None
    gates: tuple[Gate, ...] = ()
    """Every bound on concurrency around the step, the nearest first."""
    rounds: Sequence[object] = ()
    """The states that the rounds of the nearest loop began with, up to now."""
    dynamic: bool = False
    """Whether a running step has started this one itself, and so waits for it."""

    def enter(self, options: Options) -> Scope:
        """The scope inside a node with these options."""
        if options.model is None and options.retry is None:
            return self
        return replace(self, model=options.model or self.model, retry=options.retry or self.retry)

    def through(self, gate: Gate) -> Scope:
        """The scope behind one more gate."""
        return replace(self, gates=(gate, *self.gates))

    def within_step(self) -> Scope:
        """The scope of what a running step starts itself."""
        return self if self.dynamic else replace(self, dynamic=True)

    def in_loop(self, rounds: Sequence[object]) -> Scope:
        """The scope of the rounds of a loop."""
        return replace(self, rounds=rounds)


_MODEL_OBJECT = "; a model object goes to the swarm, Swarm(models=[...]), and is chosen by its name"


def _model(value: object) -> str:
    return "" if isinstance(value, str) and value else "is the name of a model"


def _retry(value: object) -> str:
    return "" if isinstance(value, Retry) else "is a Retry, such as Retry(attempts=3)"


def _seconds(value: object) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if number and 0 < cast("float", value) < math.inf else "is in seconds and must be above 0"


def _deadline(value: object) -> str:
    aware = isinstance(value, datetime) and value.tzinfo is not None
    return "" if aware else "is a datetime with a time zone, such as datetime.now(UTC) + timedelta(minutes=2)"


def _concurrency(value: object) -> str:
    count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return "" if count else "must be a whole number of at least 1"


_PROBLEMS: dict[str, Callable[[object], str]] = {
    "model": _model,
    "retry": _retry,
    "timeout": _seconds,
    "deadline": _deadline,
    "reserve": _seconds,
    "concurrency": _concurrency,
}
