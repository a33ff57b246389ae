"""`race`: several nodes at once, the first success wins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, ParamSpec, TypeVar, final, overload

from swarmlet.graph.arms import common_signature, named, refuse
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Composite, Part
from swarmlet.graph.source import user_line

if TYPE_CHECKING:
    from swarmlet.graph.arms import Alike, Named
    from swarmlet.graph.draw import Canvas, Ends

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


@final
@dataclass(frozen=True, slots=True)
class RaceShape(Composite):
    """A race, for the engine: execute all runners; the first that succeeds decides, and the others are cancelled."""

    word: ClassVar[str] = "race"
    runners: Named

    @property
    def ends_early(self) -> bool:
        """The losers need not end before it does."""
        return True

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the runners."""
        return canvas.beside(f"{label}: the first to succeed", self.runners)

    def parts(self) -> Iterator[Part]:
        """The runners, all of which may run."""
        return (Part(f"/{name}", node) for name, node in self.runners)


@overload
def race(first: Callable[P, A], second: Alike[P, B], /) -> Node[P, A | B]: ...


@overload
def race(first: Callable[P, A], second: Alike[P, B], third: Alike[P, C], /) -> Node[P, A | B | C]: ...


@overload
def race(first: Callable[P, A], second: Alike[P, B], third: Alike[P, C], fourth: Alike[P, D], /) -> Node[P, A | B | C | D]: ...


@overload
def race(first: Callable[P, A], /, *others: Alike[P, A]) -> Node[P, A]: ...


def race(*runners: Callable[..., object]) -> Node[..., object]:
    """Run several nodes of the same arguments at once; the first *success* is the result, and the others are cancelled.

    A runner that fails does not decide a race. If all fail, the race fails with one `StepFailed`, whose cause is the group
    of all their failures. When the race is over nothing of the losers is alive. The trace says who won.
    Raises `GraphError` for no runners, and for runners that cannot be called alike.
    """
    here = user_line()
    refuse(here, "race()", [] if runners else ["it has no runners; give it nodes, race(a, b)"])
    nodes = [as_node(runner, "race", "runner") for runner in runners]
    signature, problems = common_signature(nodes)
    refuse(here, "race()", problems)
    return Node(
        name="race",
        signature=signature,
        shape=RaceShape(named(nodes)),
        origin=nodes[0].origin,
    )
