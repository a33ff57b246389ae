"""Runs a way over the problems, or prints the table of all that the journal has."""

from __future__ import annotations

import argparse
import os

import anyio

from examples.humaneval.problems import load
from examples.humaneval.study import run_study
from examples.humaneval.table import read, table
from examples.humaneval.ways import WAYS
from swarmlet import Limits
from swarmlet.trace import Journal


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.humaneval", description=__doc__)
    parser.add_argument("--way", choices=[*WAYS, "all"], help="run this way; started again, it goes on where it was stopped")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="leave out the first N problems")
    parser.add_argument("--problems", type=int, default=164, metavar="N", help="how many of the 164 problems (default: all)")
    parser.add_argument("--calls", type=int, default=8, metavar="N", help="model calls at the same time (default: 8)")
    parser.add_argument("--journal", default=os.environ.get("SWARMLET_JOURNAL", "humaneval.sqlite"), metavar="PATH")
    return parser.parse_args()


async def main() -> None:
    given = arguments()
    problems = load()[given.first : given.first + given.problems]
    ways = list(WAYS) if given.way == "all" else [given.way] if given.way else []
    for way in ways:
        await run_study(way, problems, given.journal, Limits(concurrency=given.calls))
    rows = read(Journal(given.journal))
    print(table(rows) if rows else "No runs yet: start with --way single --problems 20")


if __name__ == "__main__":
    anyio.run(main)
