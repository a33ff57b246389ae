"""What combinators of several nodes have in common: names for paths, arguments for all, and judges of results."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar, Union, cast, final

from swarmlet.errors import GraphError
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.signature import in_common, misfits, stricter
from swarmlet.graph.types import fits, show
from swarmlet.policy.checks import is_count

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode
    from swarmlet.graph.signature import Signature

P = ParamSpec("P")
T = TypeVar("T")

Alike: TypeAlias = Callable[P, T] | Node[P, T]
"""What is called as an argument before it is, for type checkers. Of two callables mypy takes what their parameters have in
common, and does not flag those that have nothing; in this union it takes them from the first argument alone."""
Named: TypeAlias = "tuple[tuple[str, AnyNode], ...]"
"""Nodes with the names that they have in paths."""


def named(nodes: Sequence[AnyNode]) -> Named:
    """The nodes, each with a name of its own: further ones of one name are `name~2`, `name~3`."""
    counts: dict[str, int] = {}
    found: list[tuple[str, AnyNode]] = []
    for node in nodes:
        count = counts[node.name] = counts.get(node.name, 0) + 1
        found.append((node.name if count == 1 else f"{node.name}~{count}", node))
    return tuple(found)


def common_signature(nodes: Sequence[AnyNode]) -> tuple[Signature, list[str]]:
    """How all of the nodes can be called, giving what any of them gives; and what keeps them from being called alike."""
    first, *others = nodes
    problems = [problem for one in others for problem in misfits(one.name, one.signature, first.name, first.signature)]
    if problems:
        return first.signature, problems
    returns: object = Union[tuple(node.signature.returns for node in nodes)]  # noqa: UP007  # a value, not an annotation
    return in_common([node.signature for node in nodes], returns), []


def count_problems(**counts: int | None) -> Iterator[str]:
    """What is wrong with arguments that are whole numbers of at least 1, or left out."""
    for name, value in counts.items():
        if value is not None and not is_count(value):
            yield f"{name}= must be a whole number of at least 1, not {value!r}"


def refuse(here: str, combinator: str, problems: Sequence[str]) -> None:
    """Raise `GraphError` with all the problems, if there are any."""
    if problems:
        raise GraphError([f"{here}: {combinator}: {problem}" for problem in problems])


@final
@dataclass(frozen=True, slots=True)
class Judge:
    """A node that is asked about results: of the result alone, or of the result and what it was made from (`wide`)."""

    node: AnyNode
    wide: bool

    def arguments(
        self, value: object, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> tuple[Sequence[object], Mapping[str, object]]:
        """The judge's arguments for a result and the arguments that it was made from."""
        return ([value, *args], kwargs) if self.wide else ([value], {})


def judge_of(
    function: Callable[..., object], combinator: str, role: str, judged: Signature, gives: type
) -> tuple[Judge, list[str]]:
    """The judge of what a node of signature `judged` returns, and what is wrong with it. `gives` is what it must return."""
    node = cast("AnyNode", as_node(function, combinator, role))
    signature = node.signature
    wide = sum(parameter.default is inspect.Parameter.empty for parameter in signature.parameters) > 1
    problems: list[str] = []
    if signature.first is None:
        problems.append(f"{role}={node.name} takes no positional parameter for the result")
    elif not fits(judged.returns, signature.first.annotation):
        takes = f"{role}={node.name}({signature.first.name}=) takes {show(signature.first.annotation)}"
        problems.append(f"{takes}, but is asked about {show(judged.returns)}")
    elif wide:
        problems += _wide_problems(node, judged, role)
    if not fits(signature.returns, gives):
        problems.append(f"{role}={node.name} gives {show(signature.returns)}, not {show(gives)}")
    return Judge(node, wide), problems


def _wide_problems(node: AnyNode, judged: Signature, role: str) -> Iterator[str]:
    """What keeps the judge from being called with the result and then all that the result was made from."""
    given, wanted = node.signature.parameters[1:], judged.parameters
    rest = type(judged)(given, node.signature.returns)
    if len(given) != len(wanted):
        takes = f"{role}={node.name} takes {len(given)} arguments beside the result"
        yield f"{takes}, but the result is made from {len(wanted)}: take the result alone, or all of them"
    else:
        yield from misfits(node.name, rest, "the judged node", judged)
        yield from stricter(node.name, rest, "the judged node", judged)
