"""`RunState`: what all steps of one run share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio.lowlevel import checkpoint

from swarmlet.engine.cashier import Cashier
from swarmlet.errors import SwarmletError

if TYPE_CHECKING:
    from swarmlet.engine.answers import Dispatcher
    from swarmlet.engine.recall import Recall
    from swarmlet.engine.step import StepRunner
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.account import Key
    from swarmlet.policy.options import Harvest, Scope
    from swarmlet.trace.events import RunId
    from swarmlet.trace.record import Recorder

FAIR_SHARE = 0.005
"""Seconds after which steps that never wait let other tasks of the event loop have a turn."""


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
    cashier: Cashier = field(default_factory=Cashier)
    """Where model calls reserve what they may spend: the same one for all runs of a swarm."""
    recall: Recall | None = None
    """What earlier processes have done of the run, if it is resumed or forked."""
    desk: object | None = None
    """Where questions to people lie, a `Desk`; without it nobody is there. (`people` builds on this, hence `object`.)"""
    flush: Callable[[], Awaitable[None]] | None = None
    """Waits until the journal has on disk what was recorded; `None` without a journal. See `durable`."""
    dispatcher: Dispatcher | None = None
    """Who has other processes execute steps whose nodes name a queue; without one they are executed here."""
    over: bool = False
    """Whether the run has ended."""
    yielded: float = field(init=False)
    """When steps that run nodes themselves last let other tasks have a turn."""
    draining: bool = False
    """Whether no step may be started any more but what running ones start themselves."""
    acted: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Steps under which tools with effects have begun, by path, with the names of those tools; see `acts`."""
    unseen: dict[str, None] = field(default_factory=dict[str, None])
    """Steps of whose failures nobody heard, as what is around them was being cancelled: the run did not go on after them."""
    _waits: set[anyio.CancelScope] = field(default_factory=set[anyio.CancelScope])
    _claims: dict[int, tuple[str, object]] = field(default_factory=dict[int, tuple[str, object]])
    """Who reads which source, with the source itself, so that its id is nobody else's."""
    _reservations: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])

    def __post_init__(self) -> None:
        self.yielded = self.recorder.now()

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
        if self.recorder.now() - self.yielded > FAIR_SHARE:
            await checkpoint()
            self.yielded = self.recorder.now()

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
