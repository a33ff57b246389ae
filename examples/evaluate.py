"""Evaluator and optimiser: one agent writes, others judge, and it goes round until the result is good enough.

When to use it: there is a clear measure of "good", and a judge's advice makes the next try better.

What to look at: the body says `Again(state)` or `Done(value)`, so what a round hands to the next is one typed value.
The loop is bounded. Out of rounds, `otherwise` gives the best text so far, because the last is not always the best. Two
judges and a rule in plain code look at each text side by side.
"""

from dataclasses import dataclass

import anyio
from pydantic import BaseModel, Field

from examples._show import model, print_trace, told
from swarmlet import Again, Done, Swarm, agent, graph, loop, node


class Headline(BaseModel):
    text: str = Field(max_length=90)


class Mark(BaseModel):
    advice: str = Field(max_length=100)
    points: int = Field(ge=1, le=5)


@dataclass(frozen=True)
class Scored:
    text: str
    points: int
    advice: tuple[str, ...]


@dataclass(frozen=True)
class Attempt:
    story: str
    last: Scored | None = None
    best: Scored | None = None


@agent(Headline, max_tokens=100)
def write(attempt: Attempt) -> str:
    """You write short headlines."""
    if attempt.last is None:
        return f"Story: {attempt.story}\n\nWrite a headline of at most eight words."
    advice = "\n".join(["Write a better one of at most eight words:", *attempt.last.advice])
    return f"Story: {attempt.story}\n\nYour last headline: {attempt.last.text}\n{advice}"


@agent(Mark, max_tokens=100, temperature=0)
def judge_truth(story: str, headline: Headline) -> str:
    """Is the headline true to the story? Give one short advice, then 1 (false) to 5 (true) points."""
    return f"Story: {story}\n\nHeadline: {headline.text}"


@agent(Mark, max_tokens=100, temperature=0)
def judge_style(headline: Headline) -> str:
    """Does the headline make one want to read on? Give one short advice, then 1 (dull) to 5 (lively) points."""
    return f"Headline: {headline.text}"


@node
def check_length(headline: Headline) -> Mark:
    words = len(headline.text.split())
    return Mark(advice="", points=5) if words <= 8 else Mark(advice=f"{words} words: use at most 8", points=1)


@node
def decide(attempt: Attempt, headline: Headline, marks: list[Mark]) -> Again[Attempt] | Done[Scored]:
    """A text is as good as its worst mark."""
    advice = tuple(mark.advice for mark in marks if mark.advice)
    scored = Scored(headline.text, min(mark.points for mark in marks), advice)
    if scored.points >= 4:
        return Done(scored)
    best = max(filter(None, [attempt.best, scored]), key=lambda one: one.points)
    return Again(Attempt(attempt.story, scored, best))


@node
def best_so_far(attempt: Attempt) -> Scored:
    assert attempt.best is not None, "a loop runs at least one round"
    return attempt.best


@graph
def attempt(state: Attempt) -> Again[Attempt] | Done[Scored]:
    headline = write(state)
    marks = [judge_truth(state.story, headline), judge_style(headline), check_length(headline)]
    return decide(state, headline, marks)


@graph
def headline(story: str) -> Scored:
    return loop(attempt, rounds=3, otherwise=best_so_far)(Attempt(story))


STORY = "The town library lends bicycles from May on. Whoever has a library card may keep one for a week, for free."


async def main() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(headline, STORY)
    print(f"{result.output.text} ({result.output.points} of 5)")
    print_trace(result.trace)


if __name__ == "__main__":
    with told():
        anyio.run(main)
