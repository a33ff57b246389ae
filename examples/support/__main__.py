"""The chat on a terminal."""

import os
import select
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator
from threading import Event as Flag

import anyio
from anyio.to_thread import run_sync

from examples._show import model, reason, told
from examples.support.shop import Shop
from examples.support.talk import Talk, answer
from swarmlet import Approve, Question, Swarm
from swarmlet.swarm import people
from swarmlet.trace import Decided, Event, TextDelta, ToolStarted, visible

DEMO = [
    "Hello, where is my order 1043?",
    "Good. I sent the lamp of order 1042 back, I would like my 49 euros.",
    "And my router does not connect since this morning.",
]
LOOKS = 0.2
"""Seconds between two looks whether a line is still wanted."""


class Screen:
    """Prints words as they come, and who says them."""

    def __init__(self) -> None:
        self.speaker = ""

    def tell(self, event: Event) -> None:
        match event:
            case TextDelta():
                name = event.path.rpartition("/")[2].partition("~")[0]  # the second time that it speaks it is `orders~2`
                text = visible(event.text)
                print(text if name == self.speaker else f"\n{name}: {text}", end="", flush=True)
                self.speaker = name
            case ToolStarted():
                print(f"\n  [{event.tool}]", end="", flush=True)
            case Decided():
                print(f"\n  [{event.reason}]", end="", flush=True)
            case _:
                pass


async def typed(script: anyio.Path | None) -> AsyncIterator[str]:
    """What the customer says: from a file, from the terminal, or the demonstration."""
    if script is None and sys.stdin.isatty():
        unwanted = Flag()
        try:
            while line := await run_sync(_input, unwanted, abandon_on_cancel=True):
                yield line
        finally:
            unwanted.set()
        return
    for line in DEMO if script is None else (await _text(script)).splitlines():
        print(f"\nyou: {line}", end="")
        yield line


def _input(unwanted: Flag) -> str:
    """A line, in a worker thread, which looks now and then whether it is wanted: else Ctrl-C would not end the program."""
    print("\nyou: ", end="", flush=True)
    while sys.platform != "win32" and not select.select([sys.stdin], [], [], LOOKS)[0]:
        if unwanted.is_set():
            return ""
    return os.read(sys.stdin.fileno(), 65536).decode(errors="replace").strip()


async def _text(file: anyio.Path) -> str:
    try:
        return await file.read_text(encoding="utf-8")
    except ValueError as error:
        raise ValueError(f"{file}: {reason(error)}") from error


async def _kept(file: anyio.Path) -> Talk:
    try:
        return Talk.model_validate_json(await file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: {reason(error)}") from error


async def agree(question: Question) -> Approve:
    """Stands for the colleague who is asked, where nobody sits at a terminal."""
    print(f"\n  [a colleague agrees to {question.tool} {question.arguments}]", end="")
    return Approve()


async def main(script: anyio.Path | None = None, state: anyio.Path | None = None) -> None:
    talk = await _kept(state) if state and await state.exists() else Talk(customer="Ada")
    colleague = people.terminal if script is None and sys.stdin.isatty() else agree
    async with Swarm(model=model(), people=colleague, resources={Shop: Shop()}) as swarm:
        async for line in typed(script):
            screen, before = Screen(), talk.escalation
            talk = await answer(swarm, talk, line, screen.tell)
            if talk.escalation or not screen.speaker:
                print(f"\n{talk.lines[-1].who}: {visible(talk.lines[-1].text)}", end="")
            print(f"\n  ({talk.tokens} tokens so far)", flush=True)
            if talk.escalation and not before:
                print(f"  [for the colleague: {visible(talk.escalation.error)}]", file=sys.stderr)
            if state:
                await state.write_text(talk.model_dump_json(indent=2))


if __name__ == "__main__":
    parser = ArgumentParser(prog="python -m examples.support", description="A support chat.")
    parser.add_argument("--script", type=anyio.Path, help="a file with a line for each thing that the customer says")
    parser.add_argument("--state", type=anyio.Path, help="a file that keeps the conversation")
    given = parser.parse_args()
    with told():
        anyio.run(main, given.script, given.state)
