"""Answers a thread of mails."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import anyio

from examples._show import print_trace, reason, told
from examples.email.desk import desk
from examples.email.flow import reply
from examples.email.shapes import Thread
from swarmlet import Suspended
from swarmlet.swarm import people

CHAIRS = Path(__file__).parent / "data" / "chairs.json"
LATER = """\
It waits for a person. Anybody may answer, from any process, at any time:

    swarmlet inbox
    swarmlet answer {run} {path} send --module examples.email.flow
    swarmlet resume {run} examples.email.flow:reply --swarm examples.email.desk:desk"""


def load(path: Path) -> Thread:
    try:
        return Thread.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {reason(error)}") from error


async def answer(thread: Thread, *, later: bool) -> None:
    try:
        async with desk(None if later else people.terminal) as swarm:
            result = await swarm.run(reply, thread, progress=True)
    except Suspended as suspended:
        if suspended.run is not None:
            print(LATER.format(run=suspended.run.id, path=suspended.questions[0]))
            print_trace(suspended.run.trace)
    else:
        print(result.output)
        print_trace(result.trace)


def main(arguments: list[str] | None = None) -> None:
    parser = ArgumentParser(prog="python -m examples.email", description="Answer a mail.")
    parser.add_argument("thread", metavar="THREAD.json", nargs="?", type=Path, default=CHAIRS)
    parser.add_argument("--later", action="store_true", help="ask nobody now: the answer comes by `swarmlet answer`")
    options = parser.parse_args(arguments)
    thread = load(options.thread)
    anyio.run(lambda: answer(thread, later=options.later))


if __name__ == "__main__":
    with told():
        main()
