"""`vote`: several independent samples, the answer that most of them give."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, ParamSpec, TypeVar, cast, final

from swarmlet.errors import GraphError
from swarmlet.graph.arms import count_problems, refuse
from swarmlet.graph.effects import replayed
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Composite, Part
from swarmlet.graph.signature import signature_of
from swarmlet.graph.source import user_line
from swarmlet.graph.types import fits, show

if TYPE_CHECKING:
    from swarmlet.graph.ballot import Ties
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode

P = ParamSpec("P")
T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class VoteShape(Composite):
    """A vote, for the engine: execute `body` up to `of` times, until the outcome is fixed."""

    word: ClassVar[str] = "vote"
    body: AnyNode
    of: int
    quorum: int
    ties: Ties
    key: Callable[[object], object] | None
    concurrency: int | None

    @property
    def ends_early(self) -> bool:
        """The losers need not end before it does."""
        return True

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the sampled node."""
        with canvas.frame(f"vote {label}, {self.quorum} of {self.of}"):
            return self.body.shape.draw(canvas, self.body.name)

    def parts(self) -> Iterator[Part]:
        """The samples."""
        yield Part("[i]", self.body, self.of)


def vote(
    body: Callable[P, T],
    *,
    of: int = 5,
    quorum: int | None = None,
    key: Callable[[T], object] | None = None,
    ties: Ties = "fail",
    concurrency: int | None = None,
) -> Node[P, T]:
    """Ask `of` times, independently, and give the answer that most samples agree on (self-consistency).

    The winner needs at least `quorum` votes: by default more than half of `of`. The vote stops as soon as no sample still to
    come could change which answer wins, and cancels the rest; of samples that agree you get the first one by number that has
    come in by then. Answers agree if they are equal, or if `key(answer)` is: text without
    case, a number rounded; it is called on the event loop, so keep it quick. A sample that fails gives no vote. Where no
    answer reaches the quorum, or two have equally many votes, the vote fails with `NoQuorum`; `ties="first"` takes the answer
    of the lowest-numbered sample instead of failing on equal votes. `concurrency` asks so many at once, and further ones only
    where those that run cannot settle it, so that the rest need not be paid for when the first agree. Sample i has the path
    `name[i]`, from 0; samples are never merged or cached.
    Raises `GraphError` for what acts on the world (a tool with effects in `body`), as every sample would.
    """
    node = as_node(body, "vote", "body")
    problems = list(count_problems(of=of, quorum=quorum, concurrency=concurrency))
    if not problems and quorum is not None and quorum > of:
        problems.append(f"quorum={quorum} can never be reached with of={of} samples")
    if ties not in ("first", "fail"):
        problems.append(f"ties= is 'first' or 'fail', not {ties!r}")
    if key is not None:
        problems += _key_problems(key, node.signature.returns)
    refuse(user_line(), f"vote({node.name})", [*problems, *replayed("vote", node)])
    agree = cast("Callable[[object], object] | None", key)
    return Node(
        name=node.name,
        signature=node.signature,
        shape=VoteShape(node, of, quorum or of // 2 + 1, ties, agree, concurrency),
        origin=node.origin,
        doc=node.__doc__,
    )


def _key_problems(key: object, answer: object) -> Iterator[str]:
    """What keeps `key` from saying which answers agree."""
    if not callable(key):
        yield f"key= is a function of an answer, not {key!r}"
        return
    name = getattr(key, "__name__", repr(key))
    if inspect.iscoroutinefunction(key):
        yield f"key={name} is async; what takes a while belongs into the node that is asked"
    try:
        signature = signature_of(key)
    except GraphError:  # a function written in C that does not tell: it is found out when it is called
        return
    demanded = sum(parameter.default is inspect.Parameter.empty for parameter in signature.parameters)
    if signature.first is None or demanded > 1:
        yield f"key={name} takes {demanded} arguments; it is called with an answer alone"
    elif not fits(answer, signature.first.annotation):
        yield f"key={name}({signature.first.name}=) takes {show(signature.first.annotation)}, but is asked about {show(answer)}"
