"""Nodes that the tests of workers run in processes of their own, and the swarms in which those run them."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
from pydantic import BaseModel

from swarmlet import Again, Budget, Done, Limits, OpenAIModel, Swarm, agent, current, each, graph, loop, node
from swarmlet.bridges.journals import PostgresJournal
from swarmlet.bridges.limits import PostgresLimits

URL = "SWARMLET_WORKERS_URL"
LEASE = "SWARMLET_TEST_LEASE"
FOLDER = "SWARMLET_TEST_FOLDER"
HERE = "tests.bridges.worker_flows"


def mark(name: str) -> None:
    """Leave a line that tests can count, whatever becomes of this process."""
    with (Path(os.environ[FOLDER]) / "marks").open("a") as file:
        file.write(f"{os.getpid()} {name}\n")


class Note(BaseModel):
    text: str
    number: int = 0


class Progress(BaseModel):
    left: int
    said: list[str] = []


@agent(str)
def say(word: str) -> str:
    """You say one word."""
    return f"Say: {word}"


@graph
def choir(words: list[str]) -> list[str]:
    return each(say, concurrency=2)(words)


@node
def advance(state: Progress, said: str) -> Again[Progress] | Done[list[str]]:
    told = [*state.said, said]
    return Again(Progress(left=state.left - 1, said=told)) if state.left > 1 else Done(told)


@node
def word_of(state: Progress) -> str:
    return f"word {len(state.said) + 1}"


@graph
def relay_round(state: Progress) -> Again[Progress] | Done[list[str]]:
    return advance(state, say(word_of(state)))


relay = loop(relay_round, rounds=50)
thrifty = relay.with_options(name="thrifty", budget=Budget(requests=6))


@node
async def greet(note: Note) -> Note:
    return Note(text=note.text.upper(), number=note.number + 1)


@node
def traced() -> str:
    """The span under which this is traced."""
    from swarmlet.bridges.otel import traceparent

    return traceparent() or ""


@node
async def where() -> int:
    return os.getpid()


@node
async def fail(text: str) -> str:
    raise ValueError(f"no {text} here")


@node
async def crash(text: str) -> str:
    mark("crash")
    os._exit(3)


@node
async def tick(seconds: float) -> float:
    """Waits, in a step that leaves a mark when it begins and when it ends."""
    mark(f"begin {current().path}")
    await anyio.sleep(seconds)
    mark(f"end {current().path}")
    return seconds


@graph
def ticks(seconds: list[float]) -> list[float]:
    return each(tick, concurrency=1)(seconds)


@node
async def impossible(number: int) -> object:
    return object()


@agent(str)
def shout(word: str) -> str:
    """You shout one word."""
    return f"Shout: {word}"


@node
async def twice(word: str) -> str:
    first = await current().run(shout, word)
    return f"{first} {await current().run(shout, word)}"


away = twice.with_options(name="away", queue="special", budget=Budget(requests=4))
far = where.with_options(name="far", queue="special")
broken = fail.with_options(name="broken", queue="special")


@node
async def plain(text: str) -> str:
    return f"plain {text}"


@graph
def split(word: str) -> tuple[str, str]:
    return say(word), away(word)


@graph
def places() -> tuple[int, int]:
    return where(), far()


def make_swarm() -> Swarm:
    """A swarm as a worker of these tests has it."""
    return Swarm(journal=PostgresJournal(os.environ[URL], lease=float(os.environ.get(LEASE, "2"))))


TOGETHER = 3
"""Calls that all workers have in flight together."""


def make_limited() -> Swarm:
    """One whose model calls are limited together with those of all other workers."""
    url = os.environ[URL]
    model = OpenAIModel("gpt-4o-mini", limits=Limits(concurrency=TOGETHER))
    return Swarm(model=model, journal=PostgresJournal(url, lease=2), limit_store=PostgresLimits(url))
