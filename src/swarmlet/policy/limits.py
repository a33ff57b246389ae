"""Limits that all nodes of a swarm share."""

from __future__ import annotations

from dataclasses import dataclass

from swarmlet.errors import GraphError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a swarm lets happen at once.

    `concurrency`: model calls in flight at the same time, over all runs of the swarm; further calls wait in the order in
    which they came, and the trace shows for how long. `tools`: calls of function tools at the same time for each agent turn.
    """

    concurrency: int = 64
    tools: int = 8

    def __post_init__(self) -> None:
        for name in ("concurrency", "tools"):
            value: object = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise GraphError(f"Limits({name}=) must be a whole number of at least 1, not {value!r}")
