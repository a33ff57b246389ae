"""Memory over the imports, each figure in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.memory import peak_of
from tests.bench.report import Table

if TYPE_CHECKING:
    from tests.bench.measure import Bench

MANY = 10_000
RUNS = 1_000


async def section(bench: Bench) -> list[Table]:
    """What steps, calls and runs hold, while they wait and afterwards."""
    table = Table("Memory", ["", "count", "MiB", "KiB each", "KiB each, twice as many"])
    for title, what, count in (
        ("steps that never wait, with their trace", "steps", MANY),
        ("steps that all wait at once", "waiting", MANY),
        ("agents' calls that all wait at once (a model in this process)", "calls", MANY),
        ("runs of ten steps that all wait at once", "runs", RUNS),
    ):
        once = peak_of(what, count, bench.backend)
        more = peak_of(what, count * 2, bench.backend)
        table.rows.append([title, f"{count:,}", once, once * 1024 / count, (more - once) * 1024 / count])
        bench.figures[f"memory {what}"] = once
    table.notes.append("The last column is of those that come on top.")
    return [table]
