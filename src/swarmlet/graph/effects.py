"""Where a node acts on the world: through tools with effects, its own or those of any node in it.

What combinators may run several times for one result, hedges and samples, must not act. Only what stands in the graph is seen:
not the nodes that a function runs itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, final

from swarmlet.graph.shape import Leaf

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode


@final
@dataclass(frozen=True, slots=True)
class Effect:
    """A tool with effects, where it stands."""

    path: str
    """The path of the agent that has it."""
    tool: str
    """Its name."""

    def __str__(self) -> str:
        return f"{self.path}/{self.tool}"


def effects_in(node: AnyNode) -> Iterator[Effect]:
    """The tools with effects that a node may use, in it, in its tools and in its fallback; each where it is met first."""
    for path, leaf in _leaves(node):
        yield from (Effect(path, name) for name in leaf.effects)


def acts(node: AnyNode) -> bool:
    """Whether a node may use a tool with effects, or ask a person: what it should not do in vain."""
    return any(leaf.effects or leaf.asks for _, leaf in _leaves(node))


def replayed(combinator: str, node: AnyNode) -> Iterator[str]:
    """What is wrong with running `node` several times for one result."""
    for effect in effects_in(node):
        yield f"{effect} is a tool with effects, and a {combinator} would let it act more than once"


def _leaves(node: AnyNode) -> Iterator[tuple[str, Leaf]]:
    """The leaves in a node, in its tools and in its fallback; each where it is met first."""
    seen: set[int] = set()
    stack = [(node.name, node)]
    while stack:
        path, one = stack.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one.shape, Leaf):
            yield path, one.shape
        stack += reversed([(path + suffix, inner) for suffix, inner in _inside(one)])


def _inside(node: AnyNode) -> Iterator[tuple[str, AnyNode]]:
    for part in node.shape.parts():
        yield part.suffix, part.node
    if isinstance(node.shape, Leaf):
        for tool in node.shape.tools:
            yield f"/{tool.name}", tool
    if node.options.fallback is not None:
        other = cast("AnyNode", node.options.fallback)
        yield f"/~{other.name}", other
