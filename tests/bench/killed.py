"""The workflow that `tests/bench/kills.py` kills: about 300 steps of every kind, and what the server answers to it.

Each prompt begins with the run and the step that it is of, so that the server can count the requests of one turn.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import cast

from pydantic import BaseModel
from tenacity import wait_none

from swarmlet import Again, Budget, Done, Retry, agent, current, each, graph, loop, node, race, tool, vote, within
from swarmlet.testing import CallTools, Fail, Request, Say, Slow, call

FAST = Retry(wait=wait_none(), attempts=4)
LEDGER = "SWARMLET_KILLS_LEDGER"
"""The environment variable with the path of the file that the tools with effects append to."""
SCARCE = 4
"""Requests that the part under a scarce budget may make, all processes together."""
AMPLE = Budget(requests=4_000, tokens=40_000_000, usd="50")
_MARK = re.compile(r"\[(\S+) (\S+)\]")


class Draft(BaseModel):
    text: str
    rounds: int = 0


class Verdict(BaseModel):
    good: bool


class Flaky(Exception):
    """What the first attempts fail with."""


def marked(text: str) -> str:
    step = current()
    return f"[{step.run_id} {step.path}] {text}"


def lookup(word: str) -> str:
    """Look a word up."""
    time.sleep(0.001)  # in a worker thread
    return f"{word} is a word"


def act(what: str) -> None:
    line = f"{what} {current().idempotency_key} {os.getpid()}\n"
    file = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def post(text: str) -> str:
    """Post a text. It may be posted again if nobody knows whether it was."""
    act("post")
    return f"posted {len(text)}"


def pay(amount: int) -> str:
    """Pay. Never twice."""
    act("pay")
    return f"paid {amount}"


@agent(Draft, tools=[lookup, tool(post, effects=True, on_lost="retry")])
def research(topic: str) -> str:
    """You research."""
    return marked(f"RESEARCH {topic}")


@agent(str, tools=[tool(pay, effects=True, on_lost="fail")])
def settle(topic: str) -> str:
    """You settle."""
    return marked(f"SETTLE {topic}")


@node
def unsettled(topic: str) -> str:
    """Nobody knows whether it was paid: the tool was lost."""
    return f"settled {topic}"


@agent(Verdict)
def judge(draft: Draft) -> str:
    """You judge."""
    return marked(f"JUDGE {draft.rounds} {draft.text}")


@agent(str)
def shorten(point: str) -> str:
    """You shorten."""
    return marked(f"SHORTEN {point}")


@agent(str)
def slogan(topic: str) -> str:
    """You invent slogans."""
    return marked(f"SLOGAN {topic}")


@node
def decide(draft: Draft, verdict: Verdict) -> Again[Draft] | Done[Draft]:
    return Done(draft) if verdict.good else Again(Draft(text=f"{draft.text}!", rounds=draft.rounds + 1))


@graph
def improve(draft: Draft) -> Again[Draft] | Done[Draft]:
    return decide(draft, judge(draft))


@node
def points(draft: Draft) -> list[str]:
    return [f"{draft.text} {letter}" for letter in "abc"]


@node
async def flaky(topic: str) -> str:
    """It fails after it has run a child that cost something, and is tried again."""
    said = await current().run(shorten, f"{topic} {current().attempt}")
    if current().attempt < 3:
        raise Flaky(said)
    return said


@node
def broken(topic: str) -> str:
    raise Flaky(topic)


@node
def instead(topic: str) -> str:
    return f"instead of {topic}"


@node
def scarce_topics(topic: str) -> list[str]:
    return [f"{topic} scarce {number}" for number in range(6)]


@node
def nothing(topic: str) -> list[str]:
    return []


@node
def join(draft: Draft, short: Sequence[str], fastest: str, agreed: str, stubborn: str, other: str, bill: str) -> str:
    return "|".join([draft.text, *short, fastest, agreed, stubborn, other, bill])


@graph
def section(topic: str) -> str:
    draft = loop(improve, rounds=3)(research(topic))
    return join(
        draft,
        each(shorten, concurrency=2)(points(draft)),
        race(slogan, slogan.with_options(name="other"))(topic),
        vote(slogan, of=3, quorum=2)(topic),
        flaky.with_options(retry=Retry(wait=wait_none(), attempts=5, on=Flaky))(topic),
        broken.with_options(fallback=instead)(topic),
        settle.with_options(fallback=unsettled)(topic),
    )


@graph
def scarcely(topic: str) -> list[str]:
    return each(shorten, concurrency=2)(scarce_topics(topic))


@node
def sections(topic: str, count: int) -> list[str]:
    return [f"{topic}{number}" for number in range(count)]


@node
def whole(parts: Sequence[str], scarce: Sequence[str]) -> str:
    return "\n".join(parts)


@graph
def killed(topic: str, count: int) -> str:
    parts = each(section, concurrency=6)(sections(topic, count))
    return whole(parts, within(scarcely, Budget(requests=SCARCE), on_exhausted=nothing)(topic))


workflow = killed.with_options(budget=AMPLE, retry=FAST)


def expected(topic: str, count: int) -> str:
    """What the workflow gives, whatever happens to it."""
    parts = (f"{topic}{number}" for number in range(count))
    return "\n".join(_section(part) for part in parts)


def _section(topic: str) -> str:
    text = f"on {topic}!"
    short = [f"short {text} {letter}" for letter in "abc"]
    buy = f"buy {topic}"
    return "|".join([text, *short, buy, buy, f"short {topic} 3", f"instead of {topic}", f"settled {topic}"])


class Answers:
    """What the server says: by the request's own words alone, but for a failure now and then. It counts what it is asked."""

    def __init__(self, fail_every: int = 17, pace: float = 0.01) -> None:
        self.seen: Counter[tuple[str, str, int]] = Counter()
        """Requests by run, path and turn."""
        self._fail_every = fail_every
        self._pace = pace
        self._count = 0
        self._lock = Lock()

    def __call__(self, request: Request) -> object:
        first = _first_user(request)
        found = _MARK.search(first)
        assert found is not None, first
        turn = 1 + sum(message.get("role") == "assistant" for message in request.messages)
        with self._lock:
            self._count += 1
            self.seen[found[1], found[2], turn] += 1
            fails = self._count % self._fail_every == 0
        if fails:
            return Fail(503)
        words = first[found.end() :].split()
        if words[0] == "RESEARCH":
            return self._research(turn, words[1])
        return Slow(_said(words, turn), self._pace)

    def _research(self, turn: int, topic: str) -> object:
        if turn == 1:
            return CallTools([call("lookup", word=topic), call("post", text=topic)])
        if turn == 2:
            return Say("this is no JSON")  # it is sent back
        return Say(Draft(text=f"on {topic}").model_dump_json())


def _said(words: list[str], turn: int) -> object:
    if words[0] == "JUDGE":
        return Say(Verdict(good=words[1] == "1").model_dump_json())
    if words[0] == "SETTLE":
        return CallTools([call("pay", amount=3)]) if turn == 1 else Say(f"settled {words[1]}")
    if words[0] == "SHORTEN":
        return Say(f"short {' '.join(words[1:])}")
    return Say(f"buy {words[1]}")


def _first_user(request: Request) -> str:
    return next(str(message.get("content")) for message in request.messages if message.get("role") == "user")


def acted(ledger: Path) -> Counter[tuple[str, str]]:
    """How often each call of a tool with effects has acted: by tool and idempotency key."""
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return Counter(cast("tuple[str, str]", tuple(line.split()[:2])) for line in lines)
