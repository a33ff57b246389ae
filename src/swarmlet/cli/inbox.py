"""`swarmlet inbox`: what runs ask people, and nobody has answered."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from swarmlet.cli import journal_of, message, print_json, print_table
from swarmlet.trace.views import Table, line, moment, takes

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]

    from swarmlet.trace.journal import Question


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `inbox`."""
    subparsers.add_parser(
        "inbox",
        help="list the questions that wait for a person's answer",
        description="List the questions that wait for a person's answer, each with what it is about (an answer, the approval "
        "of a tool, a tool whose process died) and what it takes.",
        epilog="Answer one with `swarmlet answer RUN PATH VALUE`, then go on with `swarmlet resume RUN package.module:graph`.",
    )


def run(options: Namespace) -> int:
    """Print the list."""
    from swarmlet.swarm.people import inbox

    questions = inbox(journal_of(options))
    if options.json:
        print_json([asdict(one) | {"takes": takes(one.about, one.answers)} for one in questions])
    elif questions:
        columns = ("run", "path", "about", "since", "until", "question", "takes")
        print_table(Table(columns, frozenset(), [_row(question) for question in questions]))
    else:
        message("no question is open")
    return 0


def _row(question: Question) -> tuple[str, ...]:
    until = "" if question.until is None else moment(question.until)
    text = question.text or "(not captured)"
    if question.tool:
        text += f" {question.tool}({json.dumps(question.arguments, ensure_ascii=False)})"
    kind = takes(question.about, question.answers)
    return line(question.run), line(question.path), question.about, moment(question.since), until, line(text), kind
