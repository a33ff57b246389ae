"""What `node.with_options(...)` sets, and the one rule by which it reaches the steps below.

Options apply to the whole subtree. The nearest wins for what chooses (`model`, `retry`, and of `resources` each type); what
limits adds up: each `timeout`, `deadline`, `reserve` and `concurrency` holds for everything under the node that set it, and so
do those of the nodes around it. `fallback`, `fallback_on` and `queue` are of the one node that set them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from swarmlet.errors import GraphError
from swarmlet.policy.account import Keep
from swarmlet.policy.budget import Budget
from swarmlet.policy.checks import is_count, is_duration, no_kinds
from swarmlet.policy.retry import Retry

if TYPE_CHECKING:
    from swarmlet.policy.account import Account
    from swarmlet.policy.resources import Resources
    from swarmlet.policy.taker import Taker


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
    reserve: float | Budget | None = None
    """What must be left when the node is done, of the nearest enclosing deadline (seconds) and of the budgets around it: the
    slice of what follows it."""
    budget: Budget | None = None
    """What the node, with everything under it, may spend."""
    concurrency: int | None = None
    """How many steps under the node may run at once. A step that waits for nodes it has started itself does not count."""
    cache: bool | None = None
    """Whether model calls in this subtree may take the reply of the same request: from the swarm's cache, or from another step
    that is just asking. Samples of `vote`, `best` and `hedge` never do."""
    priority: int | None = None
    """Whose model calls go first when a rate limit makes them wait: the higher number. Without it, 0."""
    queue: str | None = None
    """On whose workers the node is executed, with everything under it; here, where the swarm has no workers."""
    fallback: object | None = None
    """The node that is run with the same arguments if this one has failed for good. (Policies know no graph, so `object`.)"""
    fallback_on: type[Exception] | tuple[type[Exception], ...] | None = None
    """Which failures the fallback is for: what failed, or its cause, is one of these, and so are all if several failed."""
    resources: Resources | None = None
    """What `current().get(type)` gives in this subtree; of other types, what the nodes around it and the swarm have."""

    def __post_init__(self) -> None:
        for name, problem in _PROBLEMS.items():
            value: object = getattr(self, name)
            if value is not None and (wrong := problem(value)):
                raise GraphError(f"{name}= {wrong}, not {value!r}" + (_MODEL_OBJECT if name == "model" else ""))

    @cached_property
    def empty(self) -> bool:
        """Whether nothing is set, so that the node needs no scope of its own."""
        return all(getattr(self, one.name) is None for one in fields(self))

    @cached_property
    def only_timeout(self) -> float | None:
        """The timeout, where nothing else is set."""
        others = (getattr(self, one.name) for one in fields(self) if one.name != "timeout")
        return self.timeout if all(other is None for other in others) else None

    @cached_property
    def inert_on_sync(self) -> tuple[str, ...]:
        """What is wrong with setting these options where only sync functions on the event loop run."""
        names = ("model", "cache", "priority", *(("budget",) if self.budget and self.budget.limits else ()))
        inert = [f"{name}= cannot apply" for name in names if getattr(self, name) is not None]
        if self.retry is not None and self.retry.on == ():
            inert.append("retry= never applies (say after which exceptions a function is tried again, Retry(on=TimeoutError))")
        return tuple(inert)

    @cached_property
    def limits_time(self) -> bool:
        """Whether something here says when the node must be done."""
        budget = self.budget.seconds if self.budget is not None else None
        return any(limit is not None for limit in (self.timeout, self.deadline, self.reserve_seconds, budget))

    @property
    def reserve_seconds(self) -> float | None:
        """The part of `reserve` that is time."""
        return self.reserve.seconds if isinstance(self.reserve, Budget) else self.reserve

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


class Stoppable(Protocol):
    """A wait that can be stopped."""

    def cancel(self, reason: str | None = None, /) -> None:
        """Stop it."""
        ...


class Harvest:
    """What is finished under a node, by path, until its budget has run out: then nothing more is started there."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        """Path of the node that has the budget."""
        self.finished: dict[str, object] = {}
        self.over: bool = False
        self.around: Harvest | None = None
        """The harvest around this one, which wants to know the same."""
        self.ends_around: bool = False
        """Whether a budget of the one around that runs out in here ends that one."""
        self.waits: set[Stoppable] = set()
        """What waits for something outside of any step, and is stopped when the harvest is over."""

    def take(self, path: str, value: object) -> None:
        """A step has finished."""
        self.finished[path] = value
        if self.around is not None:
            self.around.take(path, value)

    def forget(self, path: str) -> None:
        """What has finished at and below `path` does not count any more."""
        for one in [one for one in self.finished if one == path or one.startswith((f"{path}/", f"{path}["))]:
            del self.finished[one]
        if self.around is not None:
            self.around.forget(path)

    def end(self) -> None:
        """Let running steps finish, and start no more."""
        self.over = True
        for wait in self.waits:
            wait.cancel("the budget has run out")


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
    cache: bool = False
    independent: bool = False
    """Whether this is one of several samples of the same."""
    priority: int = 0
    depth: int = 0
    """How many nodes with a scope of their own are around the step."""
    account: Account | None = None
    """The account of the nearest budget."""
    keeps: tuple[Keep, ...] = ()
    """What calls must leave untouched in accounts around them."""
    harvest: Harvest | None = None
    """Who wants to know what is finished, as it gives that back when its budget runs out."""
    guarded: bool = False
    """Whether a budget that runs out here ends the harvest, and nothing nearer handles that failure."""
    taker: Taker | None = None
    """Who begins with items of the step's result before the step has ended."""
    resources: Resources | None = None
    """What `current().get(type)` finds before it asks the swarm."""

    def enter(self, options: Options) -> Scope:
        """The scope inside a node with these options."""
        if (
            options.model is None
            and options.retry is None
            and options.cache is None
            and options.priority is None
            and options.resources is None
        ):
            return self
        return replace(
            self,
            model=options.model or self.model,
            retry=options.retry or self.retry,
            cache=self.cache if options.cache is None else options.cache and not self.independent,
            priority=self.priority if options.priority is None else options.priority,
            resources=self.resources if options.resources is None else options.resources.over(self.resources),
        )

    def sampled(self) -> Scope:
        """The scope of one of several independent samples, which may fail alone."""
        return replace(self, guarded=False, independent=True, cache=False)

    def spending(self, account: Account) -> Scope:
        """The scope under one more budget."""
        return replace(self, account=account)

    def keeping(self, slice_: Budget) -> Scope:
        """The scope of what must leave a slice of the budgets around it."""
        return self if self.account is None else replace(self, keeps=(*self.keeps, Keep(self.account, slice_.as_slice())))

    def harvested(self, harvest: Harvest) -> Scope:
        """The scope of what is given back as far as it gets."""
        harvest.around, harvest.ends_around = self.harvest, self.guarded
        return replace(self, harvest=harvest, guarded=True)

    @property
    def harvests(self) -> tuple[Harvest, ...]:
        """Those that a budget which runs out here ends, the nearest first."""
        found: list[Harvest] = []
        harvest = self.harvest if self.guarded else None
        while harvest is not None:
            found.append(harvest)
            harvest = harvest.around if harvest.ends_around else None
        return tuple(found)

    @property
    def ended(self) -> bool:
        """Whether a budget has run out around here, so that nothing more is to be started."""
        return any(harvest.over for harvest in self.harvests)

    def handled(self) -> Scope:
        """The scope of what may fail, as whoever runs it goes on then."""
        return replace(self, guarded=False) if self.guarded else self

    def deeper(self) -> Scope:
        """The scope inside one more node that runs in a scope of its own."""
        return replace(self, depth=self.depth + 1)

    def through(self, gate: Gate) -> Scope:
        """The scope behind one more gate."""
        return replace(self, gates=(gate, *self.gates))

    def within_step(self) -> Scope:
        """The scope of what a running step starts itself."""
        return self if self.dynamic else replace(self, dynamic=True, guarded=False)

    def in_loop(self, rounds: Sequence[object]) -> Scope:
        """The scope of the rounds of a loop."""
        return replace(self, rounds=rounds)


_MODEL_OBJECT = "; a model object goes to the swarm, Swarm(models=[...]), and is chosen by its name"


def _model(value: object) -> str:
    return "" if isinstance(value, str) and value else "is the name of a model"


def _retry(value: object) -> str:
    return "" if isinstance(value, Retry) else "is a Retry, such as Retry(attempts=3)"


def _seconds(value: object) -> str:
    return "" if is_duration(value) else "is in seconds and must be above 0"


def _deadline(value: object) -> str:
    aware = isinstance(value, datetime) and value.tzinfo is not None
    return "" if aware else "is a datetime with a time zone, such as datetime.now(UTC) + timedelta(minutes=2)"


def _concurrency(value: object) -> str:
    return "" if is_count(value) else "must be a whole number of at least 1"


def _reserve(value: object) -> str:
    return "" if isinstance(value, Budget) else _seconds(value)


def _budget(value: object) -> str:
    return "" if isinstance(value, Budget) else "is a Budget, such as Budget(usd='0.02')"


def _flag(value: object) -> str:
    return "" if isinstance(value, bool) else "is True or False"


def _number(value: object) -> str:
    return "" if isinstance(value, int) and not isinstance(value, bool) else "is a whole number"


def _queue(value: object) -> str:
    named = isinstance(value, str) and value and not any(character.isspace() for character in value)
    return "" if named else "is the name of a queue, without spaces"


_PROBLEMS: dict[str, Callable[[object], str]] = {
    "model": _model,
    "retry": _retry,
    "timeout": _seconds,
    "deadline": _deadline,
    "reserve": _reserve,
    "budget": _budget,
    "concurrency": _concurrency,
    "cache": _flag,
    "priority": _number,
    "queue": _queue,
    "fallback_on": no_kinds,
}
