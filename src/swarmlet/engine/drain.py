"""What a drained run has left undone: the steps of its plans that were never started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.graph.plan import GraphShape
from swarmlet.trace.events import StepNotStarted, StepStarted
from swarmlet.trace.read import parent_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from swarmlet.graph.shape import AnyNode
    from swarmlet.trace.events import Event


def not_started(node: AnyNode, path: str, events: Iterable[Event]) -> Iterator[tuple[str, AnyNode]]:
    """The steps of the graphs under `node`, by path, that `events` do not tell of."""
    seen: set[str] = set()
    for event in events:
        if isinstance(event, StepStarted | StepNotStarted):
            above = event.path
            while above and above not in seen:
                seen.add(above)
                above = parent_path(above)
    return _unseen(node, path, seen)


def _unseen(node: AnyNode, path: str, seen: set[str]) -> Iterator[tuple[str, AnyNode]]:
    if not isinstance(node.shape, GraphShape):
        return
    for row in node.shape.plan:
        below = f"{path}/{row.path}"
        if below in seen:
            yield from _unseen(row.node, below, seen)
        else:
            yield below, row.node
