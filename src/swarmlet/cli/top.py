"""`swarmlet top`: which nodes took most, over many runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swarmlet.cli import UsageError, hint, journal_of, message, print_json, print_table
from swarmlet.cli.explain import short_names
from swarmlet.cli.filters import add_filters, limit_of, runs_that_fit, wish_of
from swarmlet.trace.views import Data, Table, duration, money, usage_data

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from collections.abc import Callable

    from swarmlet.cli.many import NodeCount

_BAR: Final = 10


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `top`."""
    parser = subparsers.add_parser(
        "top",
        help="show which nodes cost most, over many runs",
        description="Show which nodes cost most, over many runs. Tokens, USD and seconds are a node's own: what runs below it "
        "is not counted again, so the shares add up.",
        epilog="Examples: `swarmlet top`, `swarmlet top --by seconds --graph solve --since 1d`.",
    )
    parser.add_argument("--by", choices=("usd", "tokens", "seconds"), default="usd", help="what is summed (default usd)")
    parser.add_argument("--rows", type=int, default=20, metavar="N", help="nodes to show (default 20; 0: all)")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="look at the newest N runs (default 0: all)")
    add_filters(parser)


_MEASURES: Final[dict[str, Callable[[NodeCount], float]]] = {
    "usd": lambda count: float(count.usage.usd),
    "tokens": lambda count: float(count.usage.total_tokens),
    "seconds": lambda count: count.own,
}


def run(options: Namespace) -> int:
    """Print the list."""
    from swarmlet.cli.many import count_runs

    if options.rows < 0:
        raise UsageError(f"--rows is a number of nodes, or 0 for all, not {options.rows}")
    journal = journal_of(options)
    runs = runs_that_fit(journal, wish_of(options), limit_of(options))
    counts = list(count_runs(journal, runs).nodes.values())
    measure = _MEASURES[options.by]
    total = sum(map(measure, counts))
    ordered = sorted(counts, key=lambda count: (-measure(count), count.node))[: options.rows or None]
    if options.json:
        print_json({"runs": len(runs), "by": options.by, "nodes": [_data(count, measure(count), total) for count in ordered]})
    elif ordered:
        print_table(_table(ordered, measure, total))
        hint(f"{len(runs):,} runs; how these are spread: swarmlet stats; one run: swarmlet show RUN")
    else:
        message("the journal has no step of such a run")
    return 0


def _table(counts: list[NodeCount], measure: Callable[[NodeCount], float], total: float) -> Table:
    names = short_names(count.node for count in counts)
    columns = ("node", "share", "", "USD", "tokens", "seconds", "runs", "steps", "failed", "calls", "tools", "retries")
    rows: list[tuple[str, ...]] = []
    for count in counts:
        share = measure(count) / total if total else 0.0
        numbers = (count.runs, count.steps, count.failed, count.calls, count.tools, count.retries)
        rows.append(
            (
                names[count.node],
                f"{share:.0%}",
                "█" * round(share * _BAR),
                money(count.usage) if count.usage.requests else "",
                f"{count.usage.total_tokens:,}" if count.usage.requests else "",
                duration(count.own),
                *(f"{number:,}" if number else "" for number in numbers),
            )
        )
    return Table(columns, frozenset(columns) - {"node", ""}, rows)


def _data(count: NodeCount, amount: float, total: float) -> Data:
    return {
        "node": count.node,
        "share": amount / total if total else 0.0,
        "runs": count.runs,
        "steps": count.steps,
        "failed": count.failed,
        "calls": count.calls,
        "tools": count.tools,
        "retries": count.retries,
        "seconds": count.own,
        "usage": usage_data(count.usage),
    }
