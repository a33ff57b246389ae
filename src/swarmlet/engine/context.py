"""`current()`: what a running step may ask for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast, final

import anyio
from anyio.lowlevel import checkpoint

from swarmlet.engine.cashier import Cashier
from swarmlet.errors import SwarmletError
from swarmlet.log import get_logger
from swarmlet.policy.account import Left

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from swarmlet.engine.gates import Lease
    from swarmlet.engine.recall import Recall
    from swarmlet.engine.step import StepRunner
    from swarmlet.graph.node import Node
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.account import Key
    from swarmlet.policy.options import Harvest, Scope
    from swarmlet.trace.events import RunId
    from swarmlet.trace.record import Recorder

FAIR_SHARE = 0.005
"""Seconds after which steps that never wait let other tasks of the event loop have a turn."""
P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")


class Execute(Protocol):
    """Runs a node at a path and gives its result."""

    async def __call__(
        self,
        node: AnyNode,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        path: str,
        scope: Scope,
        state: RunState,
    ) -> object:
        """Raises a `RunError`, or a group of them if several steps failed."""
        ...


@dataclass(slots=True)
class RunState:
    """What all steps of one run share."""

    recorder: Recorder
    runner: StepRunner
    execute: Execute
    """Runs a node at a path: what `current().run` calls."""
    resources: Mapping[type, object]
    monotonic: Callable[[], float] = time.perf_counter
    reported: set[str] = field(default_factory=set[str])
    """Nodes whose blocking of the event loop was reported already."""
    cashier: Cashier = field(default_factory=Cashier)
    """Where model calls reserve what they may spend: the same one for all runs of a swarm."""
    recall: Recall | None = None
    """What earlier processes have done of the run, if it is resumed or forked."""
    flush: Callable[[], Awaitable[None]] | None = None
    """Waits until the journal has on disk what was recorded; `None` without a journal. See `durable`."""
    over: bool = False
    """Whether the run has ended."""
    yielded: float = field(default_factory=time.perf_counter)
    """When steps that run nodes themselves last let other tasks have a turn."""
    draining: bool = False
    """Whether no step may be started any more but what running ones start themselves."""
    acted: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Steps under which tools with effects have begun, by path, with the names of those tools; see `acts`."""
    _waits: set[anyio.CancelScope] = field(default_factory=set[anyio.CancelScope])
    _claims: dict[int, tuple[str, object]] = field(default_factory=dict[int, tuple[str, object]])
    """Who reads which source, with the source itself, so that its id is nobody else's."""
    _reservations: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])

    async def durable(self) -> None:
        """Return when what was recorded cannot be lost any more, so that what comes next may rely on it."""
        if self.flush is not None:
            await self.flush()

    def reservation_key(self, path: str, turn: int) -> Key:
        """A key for the next attempt of this call, the same whenever the run comes to it."""
        self._reservations[path, turn] += 1
        return path, turn, self._reservations[path, turn]

    async def be_fair(self) -> None:
        """Let other tasks of the event loop have a turn, if it was held for a while: timeouts and cancels need one, too."""
        if self.monotonic() - self.yielded > FAIR_SHARE:
            await checkpoint()
            self.yielded = self.monotonic()

    def claim(self, source: object, path: str) -> None:
        """Have a source read at `path`. Raises `SwarmletError` if it is read elsewhere, as the second reader finds it empty."""
        owner, _ = self._claims.setdefault(id(source), (path, source))
        if owner != path:
            raise SwarmletError(f"this source is read by {owner!r} already, and can be read once; collect it into a list first")

    def acts(self, path: str, tool: str) -> None:
        """A tool with effects begins at this path, so that nothing around it may be run again."""
        ends = (at for at, character in enumerate(path) if character in "/[")
        for end in (*ends, len(path)):
            self.acted.setdefault(path[:end], set()).add(tool)

    def drain(self) -> None:
        """Let running steps finish, and start no more."""
        self.draining = True
        for wait in self._waits:
            wait.cancel("the swarm is being drained")

    @contextmanager
    def until_drained(self, *, heeded: bool, harvests: Sequence[Harvest] = ()) -> Generator[anyio.CancelScope, None, None]:
        """Wait for something outside of any step, until the run is drained, if that is to be heeded, or a harvest is over."""
        with anyio.CancelScope() as scope:
            if heeded:
                self._waits.add(scope)
            for harvest in harvests:
                harvest.waits.add(scope)
            if (heeded and self.draining) or any(harvest.over for harvest in harvests):
                scope.cancel("nothing more is started")
            try:
                yield scope
            finally:
                self._waits.discard(scope)
                for harvest in harvests:
                    harvest.waits.discard(scope)

    @property
    def id(self) -> RunId:
        """The run's id."""
        return self.recorder.run


@final
class Current:
    """The step that is running here: `current()` gives it inside any node, agent prompt or tool."""

    __slots__ = ("_counts", "attempt", "lease", "over", "path", "scope", "state")

    def __init__(self, state: RunState, path: str, scope: Scope, lease: Lease | None = None) -> None:
        self.state: RunState = state
        self.lease: Lease | None = lease
        """The step's place behind the bounds on concurrency around it, if there are any."""
        self.path: str = path
        """Where the step stands in the run, such as `solve/attempt[2]/review`."""
        self.over: bool = False
        """Whether the step has ended: a thread that was left behind may still hold this."""
        self.attempt: int = 1
        """Which try of the step this is, from 1."""
        self.scope: Scope = scope
        self._counts: dict[str, int] | None = None

    @property
    def run_id(self) -> RunId:
        """The id of the run."""
        return self.state.id

    @property
    def seconds_left(self) -> float:
        """Seconds until the nearest deadline around the step; infinite without one."""
        return anyio.current_effective_deadline() - anyio.current_time()

    @property
    def budget(self) -> Left:
        """What the budgets around the step leave it, by kind: the least of them; `None` where nothing limits it."""
        return Left() if self.scope.account is None else self.scope.account.left()

    @property
    def idempotency_key(self) -> str:
        """Names this step once and for all, the same in every attempt and after a resume: pass it to what must act once."""
        return f"{self.state.id}:{self.path}"

    @property
    def recorder(self) -> Recorder:
        """The run's recorder, for nodes that record calls of their own, as agents do."""
        return self.state.recorder

    @property
    def log(self) -> FilteringBoundLogger:
        """A structlog logger bound to the run and the step."""
        return get_logger().bind(run=self.state.id, path=self.path)

    def get(self, resource: type[R]) -> R:
        """The swarm's resource of this type. Raises `SwarmletError` that names those that there are."""
        try:
            return cast("R", self.state.resources[resource])
        except KeyError:
            given = {kind.__name__ for kind in self.state.resources if not kind.__module__.startswith("swarmlet.")}
            known = ", ".join(sorted(given)) or "none"
            raise SwarmletError(
                f"step {self.path!r} asks for a {resource.__name__}, which the swarm does not have (it has: {known}); "
                f"give it: Swarm(resources={{{resource.__name__}: ...}})"
            ) from None

    async def run(self, node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `node` as a child of this step: under its options, its cancellation and its trace.

        Several may run at once, in a task group of the caller's. Raises what the node's run raises: `StepFailed` with the
        child's path.
        """
        from swarmlet.graph.node import check_call

        plain = cast("AnyNode", node)
        check_call("current().run", plain, args, kwargs)
        return cast("T", await self.start(plain, args, kwargs, self.child_path(plain.name)))

    async def start(self, node: AnyNode, args: Sequence[object], kwargs: Mapping[str, object], path: str) -> object:
        """Run a node below this step, at a path of its own. While this step waits, others may have its place."""
        if self.over or self.state.over:
            raise SwarmletError(f"step {self.path!r} is over, so it cannot run {node.name!r} any more")
        await self.state.be_fair()
        scope = self.scope.within_step()
        if self.lease is None:
            return await self.state.execute(node, args, kwargs, path, scope, self.state)
        async with self.lease.lent():
            return await self.state.execute(node, args, kwargs, path, scope, self.state)

    def history(self, state: type[S]) -> tuple[S, ...]:
        """The states of the nearest loop's rounds, this round's last. Empty outside of a loop.

        Raises `SwarmletError` if the loop's states are of another type.
        """
        for one in self.scope.rounds:
            if not isinstance(one, state):
                kind = type(one).__name__
                raise SwarmletError(
                    f"step {self.path!r} asks for a history of {state.__name__}, but the loop's states are {kind}"
                )
        return tuple(cast("Sequence[S]", self.scope.rounds))

    def child_path(self, name: str) -> str:
        """The path of a child step: `name` under this one, with `~2`, `~3` for further children of that name.

        Counting begins anew in each attempt of this step: children have the same paths, and idempotency keys, in all of them.
        """
        if self._counts is None:
            self._counts = {}
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return f"{self.path}/{name}" if count == 1 else f"{self.path}/{name}~{count}"

    def __repr__(self) -> str:
        return f"<step {self.path} of run {self.state.id}, attempt {self.attempt}>"


_current: ContextVar[Current | None] = ContextVar("swarmlet_current", default=None)


def current() -> Current:
    """The step that is running here. Raises `SwarmletError` outside of one."""
    step = _current.get()
    if step is None:
        raise SwarmletError("current() is for code that runs inside a step; no step is running here")
    return step


def current_or_none() -> Current | None:
    """The step that is running here, if any."""
    return _current.get()


def enter(step: Current) -> None:
    """Make `step` what `current()` gives in this context."""
    _current.set(step)
