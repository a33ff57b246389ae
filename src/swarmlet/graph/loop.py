"""`loop`: run a node again on what it asks for, a bounded number of rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, Never, Union, final, get_args, get_origin

from typing_extensions import ParamSpec, TypeVar

from swarmlet.errors import GraphError
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Composite, Part
from swarmlet.graph.signature import Signature, in_common, misfits
from swarmlet.graph.source import user_line
from swarmlet.graph.types import fits, show
from swarmlet.policy.checks import is_count

# With these defaults ty flags a body that goes on with another state than it takes; without them it takes it for `Any`.
if TYPE_CHECKING:
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode

P = ParamSpec("P", default=...)
S = TypeVar("S", default=Never)
R = TypeVar("R", default=Never)
S_co = TypeVar("S_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)


@final
@dataclass(frozen=True, slots=True)
class Again(Generic[S_co]):
    """A loop's body asks for another round, on `state`."""

    state: S_co


@final
@dataclass(frozen=True, slots=True)
class Done(Generic[R_co]):
    """A loop's body is done; `value` is the loop's result."""

    value: R_co


@final
@dataclass(frozen=True, slots=True)
class LoopShape(Composite):
    """A loop, for the engine: execute `body` until it is done, `rounds` times at most, then `otherwise`."""

    word: ClassVar[str] = "loop"
    body: AnyNode
    rounds: int
    otherwise: AnyNode | None

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the body, with the way back and, if there is one, the way on when the rounds are used up."""
        with canvas.frame(f"loop {label}, at most {self.rounds} rounds"):
            begin, end = self.body.shape.draw(canvas, self.body.name)
            other = self.otherwise.shape.draw(canvas, self.otherwise.name) if self.otherwise else None
        canvas.turn(end[0], begin[0], "again")
        if other is None:
            return begin, end
        canvas.turn(end[0], other[0][0], "rounds used up")
        return begin, [*end, *other[1]]

    def parts(self) -> Iterator[Part]:
        """The rounds, and what makes the result when they are used up."""
        yield Part("[i]", self.body, self.rounds)
        if self.otherwise is not None:
            yield Part(f"/{self.otherwise.name}", self.otherwise)


def loop(
    body: Callable[Concatenate[S, P], Again[S] | Done[R]],
    *,
    rounds: int,
    otherwise: Callable[Concatenate[S, P], R] | None = None,
) -> Node[Concatenate[S, P], R]:
    """Run `body` on a state; while it says `Again(state)`, run it on the new state; `Done(value)` is the result.

    Further arguments are the same in each round. At most `rounds` rounds: after them `otherwise`, a node of the same
    arguments, makes the result from the last state; without it the run fails with `RoundsExhausted`. Round i has the path
    `name[i]`, from 0. `current().history(State)` gives the states of the rounds up to now.
    """
    node = as_node(body, "loop", "body")
    last = as_node(otherwise, "loop", "otherwise") if otherwise is not None else None
    here = f"{user_line()}: loop({node.name}"
    first = node.signature.first
    if first is None:
        raise GraphError(f"{here}): {node.name!r} takes no positional parameter for the state")
    if not is_count(rounds):
        raise GraphError(f"{here}, rounds=) must be a whole number of at least 1, not {rounds!r}")
    try:
        state, result = _outcomes(node)
    except TypeError as error:
        raise GraphError(f"{here}): the body {error}") from None
    wanted = first.annotation
    signature = node.signature.with_first(wanted, result)
    problems = list(_misfits(node, signature, last)) if last is not None else []
    if not fits(state, wanted):
        problems.insert(0, f"the body says Again with {show(state)}, but takes {show(wanted)}")
    if problems:
        raise GraphError([f"{here}): {problem}" for problem in problems])
    if last is not None:
        signature = in_common([signature, last.signature], result)
    return Node(
        name=node.name,
        signature=signature,
        shape=LoopShape(node, rounds, last),
        origin=node.origin,
        doc=node.__doc__,
    )


def _misfits(node: AnyNode, signature: Signature, last: AnyNode) -> Iterator[str]:
    """What keeps `otherwise` from taking the loop's place."""
    if not fits(last.signature.returns, signature.returns):
        yield f"otherwise={last.name} gives {show(last.signature.returns)}, but the loop gives {show(signature.returns)}"
    yield from misfits(last.name, last.signature, node.name, signature)


def _outcomes(node: AnyNode) -> tuple[object, object]:
    """The types inside the body's `Again` and `Done`. Raises `TypeError` if it can say anything else, or is never done."""
    returns = node.signature.returns
    if returns is Any:
        return Any, Any
    states: list[object] = []
    results: list[object] = []
    for member in _members(returns):
        origin = get_origin(member) or member
        if origin is not Again and origin is not Done:
            raise TypeError(f"gives {show(returns)}, but a loop's body gives Again[...] | Done[...]")
        (states if origin is Again else results).extend(get_args(member) or (Any,))
    if not results:
        raise TypeError(f"gives {show(returns)} and so is never Done")
    return _union(states) if states else node.signature.parameters[0].annotation, _union(results)


def _members(type_: object) -> tuple[object, ...]:
    return get_args(type_) if get_origin(type_) in (Union, UnionType) else (type_,)


def _union(types: list[object]) -> object:
    return Union[tuple(types)]  # noqa: UP007  # a value, not an annotation
