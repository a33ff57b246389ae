"""What steps waited for, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from swarmlet.trace.analysis.kinds import Split

if TYPE_CHECKING:
    from swarmlet.trace.analysis.insight import Insight


@final
@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds in which steps did nothing but wait: for the swarm's limits (`limit`), for room in a budget (`budget`), for a
    place under a `concurrency=` (`concurrency`), for the next attempt (`retry`), for a person (`person`), and ready, while the
    event loop was busy with others (`queue`). The other kinds are zero.

    Steps wait beside one another, so a sum may be longer than the run; the critical path says what of it the run waited for.
    """

    total: Split
    """Of all steps together."""
    steps: Mapping[str, Split]
    """Of each step that waited, by path; all of its executions together."""
    nodes: Mapping[str, Split]
    """Of each node, by where it is defined; the longest first."""

    def __str__(self) -> str:
        return "\n".join([f"waited: {self.total}", *(f"  {node}: {split}" for node, split in self.nodes.items())])


def waits_of(insight: Insight) -> Waits:
    """The waits of a trace."""
    steps: dict[str, Split] = {}
    nodes: dict[str, list[Split]] = {}
    for one in insight.timeline.executions:
        waited = insight.waiting(one)
        if insight.doing(one):
            inside = insight.working(one)
            waited = Split(
                limit=inside.limit,
                budget=inside.budget,
                retry=inside.retry,
                person=inside.person,
                concurrency=waited.concurrency,
                queue=waited.queue,
            )
        if not waited.waited:
            continue
        steps[one.path] = steps[one.path] + waited if one.path in steps else waited
        nodes.setdefault(one.node, []).append(waited)
    by_node = sorted(((node, Split.total_of(all_)) for node, all_ in nodes.items()), key=lambda pair: -pair[1].total)
    return Waits(Split.total_of(split for _, split in by_node), steps, dict(by_node))
