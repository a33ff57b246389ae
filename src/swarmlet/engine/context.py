"""`current()`: what a running step may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast, final

import anyio

from swarmlet.errors import SwarmletError
from swarmlet.log import get_logger
from swarmlet.policy.account import Left

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from swarmlet.engine.gates import Lease
    from swarmlet.engine.run_state import RunState
    from swarmlet.graph.node import Node
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope
    from swarmlet.trace.events import RunId
    from swarmlet.trace.record import Recorder

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")


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
        """The resource of this type: of the nearest node that has one (`with_options(resources=)`), or else of the swarm.

        Raises `SwarmletError` that names those that there are.
        """
        own = self.scope.resources
        if own is not None and resource in own.by_type:
            return cast("R", own.by_type[resource])
        try:
            return cast("R", self.state.resources[resource])
        except KeyError:
            raise SwarmletError(self._lacks(resource)) from None

    def find(self, resource: type[R]) -> R | None:
        """As `get`, but `None` where there is no resource of this type."""
        own = self.scope.resources
        given = self.state.resources if own is None or resource not in own.by_type else own.by_type
        return cast("R | None", given.get(resource))

    def _lacks(self, resource: type) -> str:
        own = self.scope.resources
        given = {*self.state.resources, *(own.by_type if own is not None else ())}
        known = ", ".join(sorted({kind.__name__ for kind in given if not kind.__module__.startswith("swarmlet.")})) or "none"
        name = resource.__name__
        return (
            f"step {self.path!r} asks for a {name}, which neither the nodes around it nor the swarm have (they have: {known}); "
            f"give it to a run, node.with_options(resources={{{name}: ...}}), or to all, Swarm(resources={{{name}: ...}})"
        )

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


def entered(step: Current, call: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """Call a function with `step` as what `current()` gives. In a context of its own."""
    _current.set(step)
    return call(*args, **kwargs)
