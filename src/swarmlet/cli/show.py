"""`swarmlet show RUN`: where a run's time and money went, and its steps: as a tree, as bars over time, or one of them."""

from __future__ import annotations

from shlex import quote
from textwrap import wrap
from typing import TYPE_CHECKING, cast

from swarmlet.cli import hint, journal_of, print_json, print_styled, print_table, text_width
from swarmlet.cli.explain import explained, levers_of
from swarmlet.errors import SwarmletError
from swarmlet.trace.rows import Fold, tree_rows
from swarmlet.trace.views import cost, duration, fault_text, line, moment, step_table, visible

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from collections.abc import Iterator, Sequence

    from swarmlet.cli import Piece
    from swarmlet.cli.explain import Lever
    from swarmlet.trace import StepRecord, Trace

_LABEL = 8


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `show`."""
    parser = subparsers.add_parser(
        "show",
        help="show where a run's time and money went, and its steps; or one step with its prompts and replies",
        description="Say where a run's time and money went, which change would save most, and show its steps as a tree. "
        "A large run is folded: of a long list it shows what failed, the slowest and the dearest.",
        epilog="Examples: `swarmlet show last`, `swarmlet show last --timeline`, `swarmlet show 01K --path 'solve/write'`.",
    )
    parser.add_argument("run_id", metavar="RUN", help="a run's id, the beginning of it, or `last`")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--path", metavar="STEP", help="show this step with its messages, tools, questions and attempts")
    what.add_argument("--timeline", action="store_true", help="show the steps as bars over time, by what their time went to")
    parser.add_argument("--all", action="store_true", help="fold nothing, however many steps there are")


def run(options: Namespace) -> int:
    """Print the run, or the step."""
    trace = journal_of(options).trace(options.run_id)
    if options.path is not None:
        from swarmlet.cli.show_step import show_step

        show_step(trace, _step(trace, options.path), as_json=options.json)
        return 0
    levers = levers_of(trace)
    if options.json:
        print_json(trace.to_dict() | {"levers": [lever.data for lever in levers]})
        return 0
    print_styled(_heading(trace, levers))
    if options.timeline:
        from swarmlet.cli.timeline import timeline

        print_styled(timeline(trace, text_width(), fold=not options.all))
    else:
        print_table(step_table(trace, fold=not options.all))
    _hints(trace, levers, folding=not options.all)
    return 0


def _step(trace: Trace, path: str) -> StepRecord:
    try:
        return trace.step(path)
    except KeyError as error:
        raise SwarmletError(cast("str", error.args[0])) from error


def _heading(trace: Trace, levers: Sequence[Lever]) -> Iterator[Sequence[Piece]]:
    yield [(f"run {line(trace.run_id)}: {line(trace.started.name)} ({line(trace.started.node)})", "bold")]
    took = f"took {duration(trace.seconds)}, {cost(trace.usage)}"
    yield [(f"{trace.state}, started {moment(trace.started.at)}, {took}", "")]
    if trace.ended and trace.ended.error:
        first, *rest = visible(fault_text(trace.ended.error)).split("\n")
        yield [(f"error: {first}", "red")]
        yield from ([(f"  {text}", "red")] for text in rest)
    for word, sentence in explained(trace, levers):
        lines = wrap(sentence, max(40, text_width() - _LABEL), break_long_words=False, break_on_hyphens=False)
        for index, text in enumerate(lines):
            yield [(f"{'' if index else word:<{_LABEL}}", "bold cyan"), (text, "bold" if word == "change" else "")]
    yield [("", "")]


def _hints(trace: Trace, levers: Sequence[Lever], *, folding: bool) -> None:
    if folding and any(isinstance(row.of, Fold) for row in tree_rows(trace.root, fold=True)):
        hint("long lists are folded: --all shows every step")
    if levers and levers[0].none.seconds_saved > 0:
        hint(f"the step to look at first: swarmlet show {trace.run_id} --path {quote(levers[0].slowest)}")
    if trace.state == "suspended":
        hint("it waits for a person: swarmlet inbox lists the questions")
    elif trace.state in ("lost", "drained"):
        hint(f"it can go on: swarmlet resume {trace.run_id} {quote(line(trace.started.node))}")
