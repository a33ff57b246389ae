"""The graph that is being built here, if any: where a call of a node is recorded. And what becomes of one that is broken."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, final

from swarmlet.errors import GraphError, WiringError
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


_checking: ContextVar[list[GraphError] | None] = ContextVar("swarmlet_checking", default=None)


@final
class Broken:
    """What is called in place of a graph that could not be built, while graphs are only checked."""

    def __init__(self, error: GraphError) -> None:
        self.error = error

    async def __call__(self, *_: object, **__: object) -> object:
        """Raise the error that the graph's definition would have raised."""
        raise type(self.error)(self.error.problems)


@contextmanager
def checking() -> Generator[list[GraphError], None, None]:
    """Meanwhile a broken `@graph` does not raise: its error is in the list, and a node of its signature stands in for it."""
    errors: list[GraphError] = []
    token = _checking.set(errors)
    try:
        yield errors
    finally:
        _checking.reset(token)


def remember(error: GraphError) -> bool:
    """Note what is wrong with a graph, if graphs are only checked."""
    errors = _checking.get()
    if errors is not None:
        errors.append(error)
    return errors is not None
