"""`Frame`: one execution of a node that has nodes inside, as the scheduler sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope


@final
class Moment:
    """A time that is not known yet: the scheduler says what became ready together, its driver says when."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at: float | None = None


class Launcher(Protocol):
    """What frames ask of their scheduler. `frame=None` is the whole."""

    moment: Moment
    """Now: when that became ready which is launched now."""

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
        since: Moment | None = None,
    ) -> None:
        """Start `node` as child `key` of `frame`. Its inputs have been there `since` then, if not since now."""
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

    def failed(self, key: int, error: Exception) -> bool:
        """The child `key` has failed. Whether this frame deals with it; if not, the frame fails too."""
        return False

    def complete(self, value: object) -> None:
        """This frame's node has its result."""
        self.scheduler.complete(self.parent, self.key, value)

    def fail(self, error: Exception) -> None:
        """This frame's node has failed."""
        self.scheduler.fail(self.parent, self.key, error)
