"""`swarmlet answer RUN PATH VALUE`: answer a question of a run that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from swarmlet.cli import journal_of, message, store_of
from swarmlet.errors import JournalError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]

    from pydantic import JsonValue

    from swarmlet.trace.events import RunId


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `answer`."""
    parser = subparsers.add_parser("answer", help="answer a question of a run that waits for it; `resume` then goes on")
    parser.add_argument("run_id", metavar="RUN", help="a run's id, the beginning of it, or `last`")
    parser.add_argument("path", metavar="PATH", help="who asks, as `swarmlet inbox` shows it")
    parser.add_argument("value", metavar="VALUE", help="the answer: yes or no, a word, a number, a text; JSON for the rest")
    parser.add_argument("--module", metavar="MODULE", help="the module whose graph asks, to check the answer by its types")
    parser.add_argument("--by", default="", metavar="NAME", help="who answers")


def run(options: Namespace) -> int:
    """Put the answer into the journal."""
    from swarmlet.swarm.people import inbox, plain

    if options.module is not None:
        from swarmlet.cli.check import imported

        imported(options.module)
    reader = journal_of(options)
    run_id = reader.find(options.run_id).id
    asked = next((one for one in inbox(reader) if (one.run, one.path) == (run_id, options.path)), None)
    value = options.value if asked is None else plain(options.value, asked)
    anyio.run(_answer, options, run_id, value)
    message(f"{options.path!r} is answered; `swarmlet resume {run_id} package.module:graph` goes on with the run")
    return 0


async def _answer(options: Namespace, run_id: RunId, value: JsonValue) -> None:
    from swarmlet.swarm.swarm import Swarm

    swarm = Swarm(journal=store_of(options))
    try:
        await swarm.__aenter__()
    except JournalError as error:
        raise JournalError(f"{error}; the process that writes a journal can take the answer, swarm.answer(...)") from error
    try:
        await swarm.answer(run_id, options.path, value, by=options.by)
    finally:
        await swarm.__aexit__(None, None, None)
