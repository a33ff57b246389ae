"""`Frame`: one execution of a node that has nodes inside, as the scheduler sees it.

A frame is told what has finished below it and says what to launch next, or that it is complete itself. It does nothing
else: no clock, no event loop, no record. That makes every interleaving testable by calling methods in that order. What
needs the world outside (a time that passes, the next item of a source) is an errand: its driver runs it and tells the frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, final

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope
    from swarmlet.policy.taker import ItemPath


class Errand:
    """What needs the world outside. Its driver does it, and tells the frame."""

    __slots__ = ()


@final
@dataclass(frozen=True, slots=True)
class Sleep(Errand):
    """An errand: let so many seconds pass."""

    seconds: float


@final
@dataclass(frozen=True, slots=True)
class Pull(Errand):
    """An errand: bring the next item of a source, or `END`. Its driver closes the source at the end."""

    source: AsyncIterator[object]


END: Final = object()
"""What a `Pull` brings when the source has no more items."""


@final
@dataclass(frozen=True, slots=True)
class Listen(Errand):
    """An errand: have the scheduler's `hear` work from now on, as a step is about to be started that tells something."""


@final
@dataclass(frozen=True, slots=True)
class Offered:
    """News: a step is about to have this item in a list of its result."""

    key: int
    """Which of the frame's children the step is."""
    path: ItemPath
    index: int
    value: object


@final
@dataclass(frozen=True, slots=True)
class Left:
    """News: a step that was dropped while it ran has ended."""

    key: int


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """A choice that a frame has made: for the record."""

    path: str
    by: str
    chosen: str
    reason: str


class Launcher(Protocol):
    """What frames ask of their scheduler. `frame=None` is the whole."""

    at: float
    """Now: when that became ready which is launched now."""
    helping: int
    """So many steps are launched at once; for the rest see `later`."""
    hear: Callable[[Frame, object], None] | None
    """Have a frame `told` something by a running step. See `Listen`."""

    def launch(
        self,
        node: AnyNode,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        path: str,
        scope: Scope,
        frame: Frame,
        key: int,
        *,
        apart: bool = False,
        since: float | None = None,
        held: float = 0.0,
    ) -> None:
        """Start `node` as child `key` of `frame`. Its inputs have been there `since` then, if not since now, and it was `held`
        back for so long since, as there was no place for it."""
        ...

    def later(self, frame: Frame) -> None:
        """Ask `frame` for `more` when all that is ready has been started."""
        ...

    def send(self, frame: Frame, errand: Errand) -> None:
        """Have something done outside, on which `frame.told` will hear what it gave."""
        ...

    def decide(self, decision: Decision) -> None:
        """Put a choice into the record."""
        ...

    def adopt(self, frame: Frame) -> None:
        """`frame` was opened by another frame."""
        ...

    def close(self, frame: Frame) -> None:
        """`frame` has its result, or has failed."""
        ...

    def complete(self, frame: Frame | None, key: int, value: object) -> None:
        """Child `key` of `frame` has its result."""
        ...

    def fail(self, frame: Frame | None, key: int, error: Exception) -> None:
        """Child `key` of `frame` has failed."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame stands: its arguments, its path, its parent, and which of the parent's children it is."""

    scheduler: Launcher
    path: str
    args: Sequence[object]
    kwargs: Mapping[str, object]
    scope: Scope
    parent: Frame | None
    key: int


class Frame(ABC):
    """One execution of a node that has nodes inside."""

    __slots__ = ("args", "key", "kwargs", "parent", "path", "scheduler", "scope")

    def __init__(self, place: Place) -> None:
        self.scheduler: Launcher = place.scheduler
        self.path: str = place.path
        self.args: Sequence[object] = place.args
        self.kwargs: Mapping[str, object] = place.kwargs
        self.scope: Scope = place.scope
        self.parent: Frame | None = place.parent
        self.key: int = place.key

    @abstractmethod
    def begin(self) -> None:
        """Launch what needs nothing from below."""

    @abstractmethod
    def finished(self, key: int, value: object) -> None:
        """The child `key` has returned `value`."""

    def handles(self, key: int, error: Exception) -> bool:
        """Whether this frame goes on if its child `key` fails so; if not, it fails too. Asked before `failed` is told."""
        return False

    def failed(self, key: int, error: Exception) -> None:
        """The child `key`, whose failure this frame handles, has failed."""
        raise AssertionError(f"this is a bug in swarmlet: {type(self).__name__} does not handle failures")

    def more(self) -> None:
        """Launch the next helping. Called once for each `later`."""
        raise AssertionError(f"this is a bug in swarmlet: {type(self).__name__} has no more to launch")

    def told(self, news: object) -> None:
        """An errand of this frame's has brought `news`, or a step of its."""
        raise AssertionError(f"this is a bug in swarmlet: {type(self).__name__} has sent no errand")

    def not_started(self) -> Iterable[tuple[str, AnyNode]]:
        """The children that are known to come next and have not been launched, by path."""
        return ()

    def complete(self, value: object) -> None:
        """This frame's node has its result."""
        self.scheduler.close(self)
        self.scheduler.complete(self.parent, self.key, value)

    def fail(self, error: Exception) -> None:
        """This frame's node has failed."""
        self.scheduler.close(self)
        self.scheduler.fail(self.parent, self.key, error)
