"""One way over all problems, as one run of the journal: parallel, bounded, and taken up again where it was stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from examples._show import model
from examples.coding.agents import NO_REPLY
from examples.coding.shapes import Code
from examples.coding.trial import BOX
from examples.humaneval.problems import Problem
from examples.humaneval.score import Score, score
from examples.humaneval.ways import WAYS
from swarmlet import Limits, Node, Run, Swarm, each, graph, node

AT_ONCE = 8
"""Problems at the same time."""


@node
def no_answer(problem: Problem) -> Code:
    """What there is when the model has not answered as it was asked to: nothing, which passes no test."""
    return Code("")


def over(way: Node[[Problem], Code]) -> Node[[Sequence[Problem]], list[Score]]:
    """The graph that answers and scores each problem."""

    @graph
    def answered(problem: Problem) -> Score:
        return score(problem, way.with_options(fallback=no_answer, fallback_on=NO_REPLY)(problem))

    @graph
    def study(problems: Sequence[Problem]) -> list[Score]:
        return each(answered, concurrency=AT_ONCE)(problems)

    return study


def run_id(way: str, problems: Sequence[Problem]) -> str:
    """Names the piece of work: which way, over which problems."""
    named = hashlib.sha256(" ".join(problem.id for problem in problems).encode()).hexdigest()[:8]
    return f"humaneval-{way}-{named}"


async def run_study(way: str, problems: Sequence[Problem], journal: str, limits: Limits) -> Run[list[Score]]:
    """Run it, or go on with it, or give its result, if the journal has it."""
    BOX.check()
    async with Swarm(model=model(), journal=journal, limits=limits) as swarm:
        return await swarm.run_as(run_id(way, problems), over(WAYS[way]), list(problems), progress=True)
