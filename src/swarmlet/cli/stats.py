"""`swarmlet stats`: how long nodes took and what they cost, over many runs: medians and the slow ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swarmlet.cli import journal_of, message, print_json, print_table
from swarmlet.cli.explain import short_names
from swarmlet.cli.filters import add_filters, limit_of, runs_that_fit, wish_of
from swarmlet.cli.many import count_runs, percentile
from swarmlet.trace.views import Data, Table, duration, line

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from collections.abc import Iterable, Sequence

    from swarmlet.cli.many import NodeCount
    from swarmlet.trace.journal import RunSummary

PERCENTILES: Final = (50, 90, 99)


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `stats`."""
    parser = subparsers.add_parser(
        "stats",
        help="show percentiles of time, tokens and USD per node, over many runs",
        description="Show the median, the 90th and the 99th percentile of seconds, tokens and USD of each graph's runs and of "
        "each node's steps. Percentiles are exact: each is the time or the amount of one of the steps (nearest rank). "
        "Seconds are from a step's start to its end, tokens and USD those of its own calls.",
        epilog="Examples: `swarmlet stats --graph solve`, `swarmlet stats --since 1d --json`.",
    )
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="look at the newest N runs (default 0: all)")
    add_filters(parser)


def run(options: Namespace) -> int:
    """Print the tables."""
    journal = journal_of(options)
    runs = runs_that_fit(journal, wish_of(options), limit_of(options))
    many = count_runs(journal, runs)
    counts = sorted(many.nodes.values(), key=lambda count: -count.own)
    graphs: dict[str, list[RunSummary]] = {}
    for one in runs:
        graphs.setdefault(one.node, []).append(one)
    if options.json:
        nodes = [_node_data(count) for count in counts]
        print_json({"runs": len(runs), "graphs": [_graph_data(node, of) for node, of in graphs.items()], "nodes": nodes})
    elif runs:
        print_table(_graph_table(graphs))
        print()
        print_table(_node_table(counts))
    else:
        message("the journal has no such run")
    return 0


_SPREAD: Final = tuple(f"{what} p{percent}" for what in ("seconds", "tokens", "USD") for percent in PERCENTILES)


def _graph_table(graphs: dict[str, list[RunSummary]]) -> Table:
    columns = ("graph", "runs", "failed", *_SPREAD)
    names = short_names(graphs)
    rows: list[tuple[str, ...]] = []
    for node, runs in graphs.items():
        failed = sum(run.state in _BAD for run in runs)
        rows.append((names[node], f"{len(runs):,}", f"{failed:,}" if failed else "", *_cells(*_of_runs(runs))))
    return Table(columns, frozenset(columns[1:]), rows)


_BAD: Final = frozenset({"failed", "lost"})


def _node_table(counts: Sequence[NodeCount]) -> Table:
    columns = ("node", "steps", "failed", "retries", *_SPREAD)
    names = short_names(count.node for count in counts)
    rows: list[tuple[str, ...]] = []
    for count in counts:
        numbers = (count.steps, count.failed, count.retries)
        spread = _cells(count.seconds, count.tokens if count.calls else (), count.usd if count.calls else ())
        rows.append((line(names[count.node]), *(f"{number:,}" if number else "" for number in numbers), *spread))
    return Table(columns, frozenset(columns[1:]), rows)


def _of_runs(runs: Iterable[RunSummary]) -> tuple[list[float], list[float], list[float]]:
    runs = list(runs)
    return (
        [run.seconds for run in runs],
        [float(run.usage.total_tokens) for run in runs],
        [float(run.usage.usd) for run in runs],
    )


def _cells(seconds: Iterable[float], tokens: Iterable[float], usd: Iterable[float]) -> list[str]:
    """Nothing where nothing was counted."""
    cells: list[str] = []
    for values, shown in ((seconds, duration), (tokens, "{:,.0f}".format), (usd, "{:.6f}".format)):
        ordered = sorted(values)
        cells += [shown(percentile(ordered, percent)) if ordered and ordered[-1] else "" for percent in PERCENTILES]
    return cells


def _graph_data(node: str, runs: list[RunSummary]) -> Data:
    seconds, tokens, usd = _of_runs(runs)
    failed = sum(run.state in _BAD for run in runs)
    return {"node": node, "runs": len(runs), "failed": failed} | _spread_data(seconds, tokens, usd)


def _node_data(count: NodeCount) -> Data:
    data: Data = {
        "node": count.node,
        "runs": count.runs,
        "steps": count.steps,
        "failed": count.failed,
        "calls": count.calls,
        "tools": count.tools,
        "retries": count.retries,
    }
    return data | _spread_data(count.seconds, count.tokens, count.usd)


def _spread_data(seconds: Iterable[float], tokens: Iterable[float], usd: Iterable[float]) -> Data:
    data: Data = {}
    for name, values in (("seconds", seconds), ("tokens", tokens), ("usd", usd)):
        ordered = sorted(values)
        data[name] = {f"p{percent}": percentile(ordered, percent) for percent in PERCENTILES}
    return data
