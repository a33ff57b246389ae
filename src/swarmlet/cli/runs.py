"""`swarmlet runs`: the runs in a journal, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.cli import hint, journal_of, message, print_json, print_table
from swarmlet.cli.filters import add_filters, limit_of, runs_that_fit, wish_of
from swarmlet.trace.views import run_data, run_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `runs`."""
    parser = subparsers.add_parser(
        "runs",
        help="list the runs in a journal, newest first",
        description="List the runs in a journal, newest first: how each ended, how long it took, and what it cost.",
        epilog="Examples: `swarmlet runs --state failed --since 2h`, `swarmlet runs --graph solve --min-usd 0.05`.",
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default 20; 0: all)")
    add_filters(parser)


def run(options: Namespace) -> int:
    """Print the list."""
    limit = limit_of(options)
    found = runs_that_fit(journal_of(options), wish_of(options), limit and limit + 1)
    shown = found[:limit]
    if options.json:
        print_json([run_data(each) for each in shown])
        return 0
    if shown:
        print_table(run_table(shown))
    if not shown:
        message("the journal has no such run")
    elif len(found) > len(shown):
        message(f"there are older runs: --limit 0 shows all, this is the newest {limit}")
    else:
        hint("one of them: swarmlet show RUN; what cost most in all of them: swarmlet top")
    return 0
