"""`loop`: run a node again on what it asks for, a bounded number of rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, Union, final, get_args, get_origin

from swarmlet.errors import GraphError
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import AnyNode, Node
from swarmlet.graph.types import fits, show

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")
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
class LoopShape:
    """A loop, for the engine: execute `body` until it is done, `rounds` times at most, then `otherwise`."""

    body: AnyNode
    rounds: int
    otherwise: AnyNode | None

    def inner(self) -> tuple[tuple[str, AnyNode], ...]:
        """The body, and what stands in for it when the rounds are used up."""
        other = (("otherwise", self.otherwise),) if self.otherwise else ()
        return (("", self.body), *other)


def loop(
    body: Callable[Concatenate[S, P], Again[S] | Done[R]],
    *,
    rounds: int,
    otherwise: Callable[Concatenate[S, P], R] | None = None,
) -> Node[Concatenate[S, P], R]:
    """Run `body` on a state; while it says `Again(state)`, run it on the new state; `Done(value)` is the result.

    Further arguments are the same in each round. At most `rounds` rounds: after them `otherwise`, a node of the same
    arguments, makes the result from the last state; without it the run fails with `RoundsExhausted`. Round i has the path
    `name[i]`, from 0.
    """
    node = as_node(body, "loop's body")
    last = as_node(otherwise, "otherwise") if otherwise is not None else None
    if node.signature.first is None:
        raise GraphError(f"loop({node.name}): {node.name!r} takes no positional parameter for the state")
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise GraphError(f"loop({node.name}, rounds=) must be a whole number of at least 1, not {rounds!r}")
    state, result = _outcomes(node)
    wanted = node.signature.first.annotation
    if not fits(state, wanted):
        raise GraphError(f"loop({node.name}): the body says Again with {show(state)}, but takes {show(wanted)}")
    if last is not None and not fits(last.signature.returns, result):
        raise GraphError(
            f"loop({node.name}): otherwise={last.name} gives {show(last.signature.returns)}, but the loop gives {show(result)}"
        )
    return Node(
        name=node.name,
        signature=node.signature.with_first(wanted, result),
        shape=LoopShape(node, rounds, last),
        origin=node.origin,
        doc=node.__doc__,
    )


def _outcomes(node: AnyNode) -> tuple[object, object]:
    """The types inside the body's `Again` and `Done`. Raises `GraphError` if it can say anything else, or is never done."""
    returns = node.signature.returns
    if returns is Any:
        return Any, Any
    states: list[object] = []
    results: list[object] = []
    for member in _members(returns):
        origin = get_origin(member) or member
        if origin is not Again and origin is not Done:
            raise GraphError(
                f"loop({node.name}): the body gives {show(returns)}, but a loop's body gives Again[...] | Done[...]"
            )
        (states if origin is Again else results).extend(get_args(member) or (Any,))
    if not results:
        raise GraphError(f"loop({node.name}): the body gives {show(returns)} and so is never Done")
    return _union(states) if states else node.signature.parameters[0].annotation, _union(results)


def _members(type_: object) -> tuple[object, ...]:
    from types import UnionType

    return get_args(type_) if get_origin(type_) in (Union, UnionType) else (type_,)


def _union(types: list[object]) -> object:
    return Union[tuple(types)]  # noqa: UP007  # a value, not an annotation
