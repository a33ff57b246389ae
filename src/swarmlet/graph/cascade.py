"""`cascade`: the cheap node first, the next only if its answer is not accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Concatenate, ParamSpec, TypeVar, final, overload

from swarmlet.graph.arms import Judge, common_signature, judge_of, named, refuse
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Composite, Part
from swarmlet.graph.source import user_line

if TYPE_CHECKING:
    from swarmlet.graph.arms import Alike, Named
    from swarmlet.graph.draw import Canvas, Ends

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


@final
@dataclass(frozen=True, slots=True)
class CascadeShape(Composite):
    """A cascade, for the engine: execute rung after rung until an answer is accepted; the last one's is."""

    word: ClassVar[str] = "cascade"
    rungs: Named
    accept: Judge
    judged: str
    """What the judge is called in paths."""

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the rungs, with the way from each to the next."""
        with canvas.frame(f"{label}: until {self.accept.node.name}"):
            ends = [node.shape.draw(canvas, name) for name, node in self.rungs]
        for (_, out), (into, _) in pairwise(ends):
            canvas.turn(out[0], into[0], "not accepted")
        return ends[0][0], [one for _, out in ends for one in out]

    def parts(self) -> Iterator[Part]:
        """The rungs, all of which may run, and what accepts."""
        for name, node in self.rungs:
            yield Part(f"/{name}", node)
        yield Part(f"/{self.judged}[i]", self.accept.node, len(self.rungs) - 1)


# Two overloads for each number of rungs, one for each kind of judge: ty solves neither of a union of the two. `accept` is
# never asked about the last rung.
@overload
def cascade(small: Callable[P, A], big: Alike[P, B], /, *, accept: Callable[[A], bool]) -> Node[P, A | B]: ...


@overload
def cascade(small: Callable[P, A], big: Alike[P, B], /, *, accept: Alike[Concatenate[A, P], bool]) -> Node[P, A | B]: ...


@overload
def cascade(
    first: Callable[P, A], second: Alike[P, B], third: Alike[P, C], /, *, accept: Callable[[A | B], bool]
) -> Node[P, A | B | C]: ...


@overload
def cascade(
    first: Callable[P, A], second: Alike[P, B], third: Alike[P, C], /, *, accept: Alike[Concatenate[A | B, P], bool]
) -> Node[P, A | B | C]: ...


@overload
def cascade(
    first: Callable[P, A],
    second: Alike[P, B],
    third: Alike[P, C],
    fourth: Alike[P, D],
    /,
    *,
    accept: Callable[[A | B | C], bool],
) -> Node[P, A | B | C | D]: ...


@overload
def cascade(
    first: Callable[P, A],
    second: Alike[P, B],
    third: Alike[P, C],
    fourth: Alike[P, D],
    /,
    *,
    accept: Alike[Concatenate[A | B | C, P], bool],
) -> Node[P, A | B | C | D]: ...


@overload
def cascade(first: Callable[P, T], second: Alike[P, T], /, *more: Alike[P, T], accept: Callable[[T], bool]) -> Node[P, T]: ...


@overload
def cascade(
    first: Callable[P, T], second: Alike[P, T], /, *more: Alike[P, T], accept: Alike[Concatenate[T, P], bool]
) -> Node[P, T]: ...


def cascade(*rungs: Callable[..., object], accept: Callable[..., object]) -> Node[..., object]:
    """Ask the first rung, the cheapest; ask the next one only if the answer is not accepted. The last answer is taken as it is.

    `accept` is a function or a node that says yes or no: of the answer alone, or of the answer and then everything that the
    answer is made from (for type checkers under the same names). A rung that fails gave no answer, so the next is asked; if the
    last one fails too, the cascade fails with one `StepFailed` that has all causes. A failing `accept` fails the cascade, which
    would else always buy the dearest answer. The trace says which rung answered. Raises `GraphError` for rungs that cannot be
    called alike.
    """
    here = user_line()
    refuse(here, "cascade()", [] if len(rungs) > 1 else ["it needs two rungs or more, the cheapest first: cascade(small, big)"])
    nodes = [as_node(rung, "cascade", "rung") for rung in rungs]
    signature, problems = common_signature(nodes)
    asked, wrong = common_signature(nodes[:-1])
    judge, unfit = judge_of(accept, "cascade", "accept", asked, bool)
    refuse(here, "cascade()", [*(problems or wrong), *unfit])
    return Node(
        name="cascade",
        signature=signature,
        shape=CascadeShape(named(nodes), judge, named([*nodes, judge.node])[-1][0]),
        origin=nodes[0].origin,
    )
