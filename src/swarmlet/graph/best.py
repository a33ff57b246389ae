"""`best`: several samples, the one with the highest score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Concatenate, ParamSpec, TypeVar, final, overload

from swarmlet.graph.arms import Judge, count_problems, judge_of, refuse
from swarmlet.graph.effects import replayed
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Composite, Part
from swarmlet.graph.source import user_line
from swarmlet.policy.checks import is_number

if TYPE_CHECKING:
    from swarmlet.graph.arms import Alike
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode

P = ParamSpec("P")
T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class BestShape(Composite):
    """Best of n, for the engine: execute `body` `of` times, score each result, take the highest."""

    word: ClassVar[str] = "best"
    body: AnyNode
    of: int
    score: Judge
    enough: float | None
    concurrency: int | None

    @property
    def ends_early(self) -> bool:
        """Whether a high score may end it while samples still run."""
        return self.enough is not None

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the sampled node and what scores it."""
        with canvas.frame(f"best {label} of {self.of}"):
            begin, end = self.body.shape.draw(canvas, self.body.name)
            scored = self.score.node.shape.draw(canvas, self.score.node.name)
            canvas.edges(end, scored[0], "score")
        return begin, scored[1]

    def parts(self) -> Iterator[Part]:
        """The samples and their scores."""
        yield Part("[i]", self.body, self.of)
        yield Part(f"/{self.score.node.name}[i]", self.score.node, self.of)


@overload
def best(
    body: Callable[P, T],
    *,
    of: int,
    score: Callable[[T], float],
    enough: float | None = None,
    concurrency: int | None = None,
) -> Node[P, T]: ...


# An overload for each kind of judge: ty solves neither of a union of two kinds of callables.
@overload
def best(
    body: Callable[P, T],
    *,
    of: int,
    score: Alike[Concatenate[T, P], float],
    enough: float | None = None,
    concurrency: int | None = None,
) -> Node[P, T]: ...


def best(
    body: Callable[P, T],
    *,
    of: int,
    score: Callable[..., float],
    enough: float | None = None,
    concurrency: int | None = None,
) -> Node[P, T]:
    """Make `of` independent samples and give the one with the highest score (best of n).

    `score` is a function or a node, a judge agent say, of the result alone, or of the result and then everything that the
    result is made from (for type checkers under the same names). Of equal scores the lowest-numbered sample wins. A sample that
    fails, or cannot be scored, is out; if all are, it fails with one `StepFailed` that has all causes. With `enough` it stops
    at the first score of at least that much, and cancels the rest. `concurrency` makes so many samples at once. Sample i has
    the path `name[i]`, its score `name/score[i]`, by the score's own name.

    Raises `GraphError` for what acts on the world (a tool with effects in `body`), as every sample would.
    """
    node = as_node(body, "best", "body")
    problems = list(count_problems(of=of, concurrency=concurrency))
    judge, wrong = judge_of(score, "best", "score", node.signature, float)
    if enough is not None and (not is_number(enough) or math.isnan(enough)):
        problems.append(f"enough= is a score, not {enough!r}")
    refuse(user_line(), f"best({node.name})", [*problems, *wrong, *replayed("best", node)])
    return Node(
        name=node.name,
        signature=node.signature,
        shape=BestShape(node, of, judge, enough, concurrency),
        origin=node.origin,
        doc=node.__doc__,
    )
