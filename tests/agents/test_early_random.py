"""Lists that are written in many ways, with work on them that takes as long as it likes: the result is always the same."""

from __future__ import annotations

import json
from random import Random
from typing import Annotated, Any

import anyio
import pytest
from pydantic import Field

from swarmlet import Node, Retry, RunError, Swarm, agent, current, each, graph, node
from swarmlet.errors import ModelUnavailable
from swarmlet.models.base import ChatReply, ChatRequest, OnText
from swarmlet.models.profiles import Profile
from swarmlet.trace.events import StepEnded, StepStarted

from .helpers import FAST

pytestmark = pytest.mark.anyio

BAD = 7
TOO_MUCH = 100


class Writer:
    """A model that says one reply after the other, in pieces, with pauses; after `None` its connection breaks."""

    name = "writer"
    profile = Profile(name="writer")

    def __init__(self, random: Random, replies: list[tuple[list[int], bool]]) -> None:
        self.random = random
        self.replies = replies

    async def ready(self) -> None:
        return

    async def aclose(self) -> None:
        return

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        numbers, breaks_off = self.replies.pop(0)
        text = json.dumps({"value": numbers})
        at = 0
        assert on_text is not None
        while at < len(text):
            size = self.random.randint(1, 9)
            if breaks_off and at > len(text) // 2:
                raise ModelUnavailable("the connection broke")
            on_text(text[at : at + size])
            at += size
            if self.random.random() < 0.5:
                await anyio.sleep(self.random.random() * 0.002)
        return ChatReply(text=text, input_tokens=10, output_tokens=10)


@agent(list[Annotated[int, Field(lt=TOO_MUCH)]], early=True, repairs=5)
def numbers(task: str) -> str:
    return task


class Worker:
    """Does something with a number, for a while, and is slow to stop."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.at_work: dict[str, int] = {}
        self.most = 0

    async def work(self, number: int) -> int:
        path = current().path
        assert path not in self.at_work, "no path runs twice at once"
        self.at_work[path] = number
        self.most = max(self.most, len(self.at_work))
        try:
            for _ in range(self.random.randint(0, 3)):
                await anyio.sleep(self.random.random() * 0.002)
            if number == BAD:
                raise ValueError("bad")
            return number * 10
        finally:
            if self.random.random() < 0.3:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.001)
            del self.at_work[path]


def scripted(random: Random) -> tuple[list[tuple[list[int], bool]], list[int]]:
    """Replies that are broken off or do not fit, then one that does."""

    def some() -> list[int]:
        return [random.randint(0, 6) for _ in range(random.randint(0, 5))]

    final = [BAD if random.random() < 0.05 else one for one in some()]
    earlier: list[tuple[list[int], bool]] = []
    for _ in range(random.randint(0, 2)):
        guess = [*(final[: random.randint(0, 5)] if random.random() < 0.5 else some()), *some()]
        guess = [BAD if random.random() < 0.1 else one for one in guess]
        earlier.append((guess, True) if random.random() < 0.5 and len(guess) > 3 else ([*guess, TOO_MUCH], False))
    return [*earlier, (final, False)], final


@pytest.mark.parametrize("seed", range(40))
async def test_the_result_is_that_of_the_last_reply(seed: int) -> None:
    random = Random(seed)
    replies, final = scripted(random)
    worker = Worker(random)
    concurrency = random.choice([None, 1, 2])
    inner = node(worker.work, name="work")

    @graph
    def twice(number: int) -> int:
        return inner(number)

    body: Node[[int], int] = random.choice([inner, twice])
    mapped = each(body, concurrency=concurrency)

    @graph
    def whole(task: str) -> list[int]:
        return mapped(numbers(task))

    outcome: Any = None
    with anyio.fail_after(30):
        async with Swarm(model=Writer(random, replies)) as swarm:
            try:
                run: Any = await swarm.run(whole.with_options(retry=Retry(attempts=5, wait=FAST.wait)), "x")
                outcome = run.output
            except RunError as error:
                run = error.run

    assert not worker.at_work
    assert not replies
    assert outcome == (None if BAD in final else [number * 10 for number in final])
    assert concurrency is None or worker.most <= concurrency
    begun = [event.path for event in run.trace.events if isinstance(event, StepStarted)]
    ended = [event.path for event in run.trace.events if isinstance(event, StepEnded)]
    assert sorted(begun) == sorted(ended)
