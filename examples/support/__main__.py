"""The chat on a terminal."""

import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator

import anyio
from anyio.to_thread import run_sync

from examples._show import model
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
        while line := await run_sync(_input, abandon_on_cancel=True):
            yield line
        return
    for line in DEMO if script is None else (await script.read_text(encoding="utf-8")).splitlines():
        print(f"\nyou: {line}", end="")
        yield line


def _input() -> str:
    try:
        return input("\nyou: ")
    except EOFError:
        return ""


async def agree(question: Question) -> Approve:
    """Stands for the colleague who is asked, where nobody sits at a terminal."""
    print(f"\n  [a colleague agrees to {question.tool} {question.arguments}]", end="")
    return Approve()


async def main(script: anyio.Path | None = None, state: anyio.Path | None = None) -> None:
    kept = state is not None and await state.exists()
    talk = Talk.model_validate_json(await state.read_text()) if state and kept else Talk(customer="Ada")
    colleague = people.terminal if script is None and sys.stdin.isatty() else agree
    async with Swarm(model=model(), people=colleague, resources={Shop: Shop()}) as swarm:
        async for line in typed(script):
            screen = Screen()
            talk = await answer(swarm, talk, line, screen.tell)
            if talk.escalation or not screen.speaker:
                print(f"\n{talk.lines[-1].who}: {visible(talk.lines[-1].text)}", end="")
            print(f"\n  ({talk.tokens} tokens so far)")
            if state:
                await state.write_text(talk.model_dump_json(indent=2))


if __name__ == "__main__":
    parser = ArgumentParser(prog="python -m examples.support", description="A support chat.")
    parser.add_argument("--script", type=anyio.Path, help="a file with a line for each thing that the customer says")
    parser.add_argument("--state", type=anyio.Path, help="a file that keeps the conversation")
    given = parser.parse_args()
    anyio.run(main, given.script, given.state)
