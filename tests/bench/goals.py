"""The goals, and how far they are met.

Goals in microseconds are of a machine on which a raw anyio task takes 20, and stand here in raw tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.report import Cell, Table


@dataclass(frozen=True)
class Goal:
    """A figure that should be at most `limit`: a number, or another figure."""

    title: str
    figure: str
    limit: float | str


GOALS = (
    Goal("a step of a chain of 1,000", "ours chain 1,000", 0.25),
    Goal("a round of a loop of 1,000", "ours loop 1,000", 0.25),
    Goal("a step of a chain, a timeout each", "ours chain, a timeout each", 0.5),
    Goal(
        "fan-out of 10,000 that never wait, and a join: below `asyncio.gather`", "ours fan-out 10,000", "gather fan-out 10,000"
    ),
    Goal("100 layers of 10", "ours 100 layers of 10", 1.2),
    Goal("a step that gives way once", "waiting 1 **swarmlet**", 1.3),
    Goal("a step that sleeps 10 ms", "waiting 2 **swarmlet**", 1.3),
    Goal("a step that gives way once, `concurrency=100`", "waiting 1 **swarmlet**, `concurrency=100`", 0.4),
    Goal("a step that sleeps 10 ms, `concurrency=100`", "waiting 2 **swarmlet**, `concurrency=100`", 0.4),
    Goal("a step of 100,000 over one of 1,000: a chain", "growth a chain", 1.5),
    Goal("the same: calls in the graph and a join", "growth calls in the graph and a join", 1.5),
    Goal("the same: layers", "growth layers of 10, a tenth of the steps", 1.5),
    Goal("the same: a map", "growth a map", 1.5),
    Goal("building and checking an edge of a chain (20 us)", "edge a chain", 1),
    Goal("the same: calls in the graph and a join", "edge calls in the graph and a join", 1),
    Goal("the same: layers", "edge layers of 10, a tenth of the steps", 1),
    Goal("the trace, durable, over none (3 us a step)", "trace durable", 0.15),
    Goal("the least trace, `capture=False` in memory, over none (off: 0.2 us a step)", "trace least", 0.01),
    Goal("longest block of the loop, chain of 10,000, ms", "block chain 10,000", 10),
    Goal("the same: map of 10,000", "block map 10,000", 10),
    Goal("the same: 10,000 calls in the graph and a join, with a journal", "block the same with a SQLite journal", 10),
    Goal("the same: map of 100,000", "block map 100,000", 10),
    Goal("10,000 waiting steps, MiB", "memory waiting", 286),
    Goal("10,000 waiting calls (300 MB), MiB", "memory calls", 286),
    Goal("skewed diamond, wall over ideal", "ours skewed diamond", 1.03),
    Goal("map through three stages, wall over ideal", "ours three stages", 1.03),
    Goal("a list that is being written, wall over ideal", "a list that is being written: **swarmlet**, `early=True`", 1.03),
)


def table(figures: dict[str, float]) -> Table:
    """Each goal whose figure was measured."""
    made = Table("Goals", ["", "goal: at most", "measured", ""])
    made.rows = [row for goal in GOALS if (row := _row(goal, figures)) is not None]
    return made


def _row(goal: Goal, figures: dict[str, float]) -> list[Cell] | None:
    limit = figures.get(goal.limit) if isinstance(goal.limit, str) else goal.limit
    value = figures.get(goal.figure)
    if limit is None or value is None:
        return None
    return [goal.title, limit, value, "met" if value <= limit else f"**missed**, {value / limit:.1f} times"]
