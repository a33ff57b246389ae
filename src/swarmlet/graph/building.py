"""The graph that is being built here, if any: where a call of a node is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from swarmlet.errors import WiringError
from swarmlet.graph.source import user_line

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode


class Building(Protocol):
    """Takes the calls of nodes while a graph's body runs."""

    def add(self, node: AnyNode, args: tuple[object, ...], kwargs: Mapping[str, object]) -> object:
        """Record one call, and give the ref of its result."""
        ...


here: ContextVar[Building | None] = ContextVar("swarmlet_building", default=None)


def wire(node: AnyNode, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Any:  # Any: a ref passes as the value
    """Record a call of `node` in the graph that is being built, and give the ref of its result."""
    graph = here.get()
    if graph is None:
        raise WiringError(
            f"{user_line()}: {node.name!r} is a node, and no graph is being built here. To run it: "
            f"`await run({node.name}, ...)`, or `await current().run({node.name}, ...)` inside a running node. "
            "To wire it, call it in the body of a @graph."
        )
    return graph.add(node, args, kwargs)
