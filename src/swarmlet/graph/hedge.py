"""`hedge`: a second try when the first is slow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, ParamSpec, TypeVar, final

from swarmlet.graph.arms import count_problems, refuse
from swarmlet.graph.effects import replayed
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Composite, Part
from swarmlet.graph.source import user_line
from swarmlet.policy.checks import is_number

if TYPE_CHECKING:
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode

P = ParamSpec("P")
T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class HedgeShape(Composite):
    """Hedged tries, for the engine: one more try of `body` each time that `after` seconds have brought no result."""

    word: ClassVar[str] = "hedge"
    body: AnyNode
    after: float
    tries: int

    @property
    def ends_early(self) -> bool:
        """The losers need not end before it does."""
        return True

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the node."""
        with canvas.frame(f"hedge {label}, again after {self.after:g} s"):
            return self.body.shape.draw(canvas, self.body.name)

    def parts(self) -> Iterator[Part]:
        """The tries."""
        yield Part("[i]", self.body, self.tries)


def hedge(body: Callable[P, T], *, after: float, tries: int = 2) -> Node[P, T]:
    """Start `body`; if it has no result after so many seconds, start a second try beside it. The first success wins.

    This trims the slowest calls, at the price of a second one for each of them: choose `after` near the time that nine of
    ten calls need. With more `tries` another starts after each further `after` seconds. A try that fails while no other
    runs is followed by the next at once. If all tries fail, the hedge fails with one `StepFailed`, whose cause is the group
    of their failures. Try i has the path `name[i]`, from 0.

    Raises `GraphError` for what acts on the world, as both tries may: a tool with effects in `body`. Of what a function does
    nothing is known; do not hedge it if it acts.
    """
    node = as_node(body, "hedge", "body")
    problems = list(count_problems(tries=tries))
    if not is_number(after) or not 0 <= after < math.inf:
        problems.append(f"after= is in seconds and must be at least 0, not {after!r}")
    if tries == 1:
        problems.append("tries=1 leaves nothing to hedge with: it counts the first try")
    refuse(user_line(), f"hedge({node.name})", [*problems, *replayed("hedge", node)])
    return Node(
        name=node.name,
        signature=node.signature,
        shape=HedgeShape(node, after, tries),
        origin=node.origin,
        doc=node.__doc__,
    )
