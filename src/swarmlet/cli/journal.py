"""`swarmlet journal`: cleans up, checks and exports a journal.

swarmlet journal prune --older-than 30d --keep 100
swarmlet journal verify
swarmlet journal export last > run.jsonl
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

from swarmlet.cli import UsageError, add_common, journal_of, message, print_json, print_table
from swarmlet.cli.filters import span_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from collections.abc import Callable

    from swarmlet.trace.read import StepState

_PRUNED: Final = ("finished", "failed", "cancelled", "drained", "suspended", "lost")


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `journal`, with those of its own subcommands."""
    parser = subparsers.add_parser("journal", help="clean up, check or export a journal")
    works = parser.add_subparsers(title="what to do", metavar="WHAT", required=True)
    pruning = works.add_parser("prune", help="delete old runs, with the values that no other run names")
    pruning.add_argument("--older-than", metavar="TIME", help="runs whose last event is so long ago: 90m, 12h, 30d, 8w")
    pruning.add_argument("--keep", type=int, metavar="N", help="but not the newest N")
    pruning.add_argument(
        "--state",
        action="append",
        dest="states",
        choices=_PRUNED,
        help="runs in this state, any number of times (default: finished; runs in other states can be resumed)",
    )
    pruning.add_argument("--dry-run", action="store_true", help="list the runs that would be deleted")
    _complete(pruning, _prune)
    _complete(works.add_parser("vacuum", help="give the room of what was deleted back to the disk"), _vacuum)
    _complete(works.add_parser("verify", help="read everything and tell what is wrong; exit status 1 if something is"), _verify)
    exporting = works.add_parser("export", help="print a run with all its values as lines of JSON")
    exporting.add_argument("run_id", metavar="RUN", help="a run's id, the beginning of it, or `last`")
    _complete(exporting, _export)


def _complete(parser: ArgumentParser, work: Callable[[Namespace], int]) -> None:
    add_common(parser, suppress=True)
    parser.set_defaults(work=work)


def run(options: Namespace) -> int:
    """Do what was asked for."""
    return cast("int", options.work(options))


def _prune(options: Namespace) -> int:
    older_than = None if options.older_than is None else _span(options.older_than)
    if older_than is None and options.keep is None:
        raise UsageError("which runs? --older-than TIME, --keep N for all but the newest N, or both")
    if options.keep is not None and options.keep < 0:
        raise UsageError("--keep is a number of runs, and no less than 0")
    states: list[StepState] = options.states or ["finished"]
    if options.dry_run:
        return _list(options, older_than, states)
    pruned = journal_of(options).prune(older_than=older_than, keep=options.keep, states=states)
    if options.json:
        print_json(asdict(pruned))
    else:
        print(f"deleted {pruned.runs:,} runs, {pruned.events:,} events and {pruned.contents:,} values")
    return 0


def _list(options: Namespace, older_than: timedelta | None, states: list[StepState]) -> int:
    from swarmlet.trace.views import run_data, run_table

    found = journal_of(options).prunable(older_than=older_than, keep=options.keep, states=states)
    if options.json:
        print_json([run_data(each) for each in found])
    elif found:
        print_table(run_table(found))
    message(f"{len(found):,} runs would be deleted")
    return 0


def _span(text: str) -> timedelta:
    return timedelta(seconds=span_of("--older-than", text))


def _vacuum(options: Namespace) -> int:
    journal_of(options).vacuum()
    if options.json:
        print_json({})
    return 0


def _verify(options: Namespace) -> int:
    from swarmlet.trace.views import line

    found = journal_of(options).verify()
    if options.json:
        print_json(asdict(found))
    else:
        for problem in found.problems:
            print(line(problem))
        print(f"{found.runs:,} runs, {found.events:,} events and {found.contents:,} values were read")
    if found.problems:
        message(f"the journal has {len(found.problems):,} problems")
    return 1 if found.problems else 0


def _export(options: Namespace) -> int:
    for text in journal_of(options).export(options.run_id):
        print(text)
    return 0
