"""`swarmlet runs`: the runs in a journal, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swarmlet.cli import journal_of, message, print_json, print_table
from swarmlet.trace.views import run_data, run_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]

_STATES: Final = ("running", "finished", "failed", "cancelled", "drained", "suspended", "lost")


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `runs`."""
    parser = subparsers.add_parser("runs", help="list the runs in a journal, newest first")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default 20; 0: all)")
    parser.add_argument("--name", help="only runs of the node with this name")
    parser.add_argument("--state", choices=_STATES, help="only runs in this state (`lost`: its process is gone)")


def run(options: Namespace) -> int:
    """Print the list."""
    limit = options.limit if options.limit > 0 else None
    found = journal_of(options).runs(limit=limit and limit + 1, name=options.name, state=options.state)
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
    return 0
