"""Evaluator and optimiser: the loop goes round with the advice, stops when it is good, and is bounded."""

from __future__ import annotations

import pytest

from examples.evaluate import STORY, Headline, Mark, Scored, headline, judge_style, judge_truth, write
from swarmlet import run
from swarmlet.testing import Barrier, ScriptedServer
from tests.examples.steps import asked, paths

pytestmark = pytest.mark.anyio


def written(server: ScriptedServer, *texts: str) -> None:
    for text in texts:
        server.when(asked(write), Headline(text=text), times=1)


def judged(server: ScriptedServer, text: str, truth: int, style: int) -> None:
    """Both judges must be at work at once."""
    for judge, points in ((judge_truth, truth), (judge_style, style)):
        mark = Mark(advice=f"{judge.name} of {text}", points=points)
        server.when(asked(judge, f"Headline: {text}"), Barrier(2, mark), times=1)


async def test_a_good_headline_needs_one_round(scripted_server: ScriptedServer) -> None:
    written(scripted_server, "Free bicycles")
    judged(scripted_server, "Free bicycles", 5, 4)
    result = await run(headline, STORY)
    assert (result.output.text, result.output.points) == ("Free bicycles", 4)
    assert paths(result.trace) == {
        f"headline/attempt[0]/{step}" for step in ("write", "judge_truth", "judge_style", "check_length", "decide")
    }


async def test_the_advice_goes_into_the_next_round(scripted_server: ScriptedServer) -> None:
    written(scripted_server, "Bicycles", "Free bicycles for all")
    judged(scripted_server, "Bicycles", 5, 2)
    judged(scripted_server, "Free bicycles for all", 4, 5)
    result = await run(headline, STORY)
    assert result.output.text == "Free bicycles for all"
    again = scripted_server.requests[3].last
    assert "Your last headline: Bicycles" in again
    assert again.endswith("judge_truth of Bicycles\njudge_style of Bicycles")
    assert "headline/attempt[1]/decide" in paths(result.trace)
    assert "headline/attempt/best_so_far" not in paths(result.trace)


async def test_out_of_rounds_the_best_so_far_is_the_result_and_not_the_last(scripted_server: ScriptedServer) -> None:
    written(scripted_server, "One", "Two", "Three")
    judged(scripted_server, "One", 2, 5)
    judged(scripted_server, "Two", 3, 3)
    judged(scripted_server, "Three", 1, 5)
    result = await run(headline, STORY)
    assert result.output == Scored("Two", 3, ("judge_truth of Two", "judge_style of Two"))
    assert "headline/attempt/best_so_far" in paths(result.trace)
    assert result.usage.requests == 9


async def test_a_long_headline_is_never_good_enough_whatever_the_judges_say(scripted_server: ScriptedServer) -> None:
    long = "The library now lends many bicycles to all people"
    written(scripted_server, long, "Free bicycles")
    judged(scripted_server, long, 5, 5)
    judged(scripted_server, "Free bicycles", 5, 5)
    result = await run(headline, STORY)
    assert result.output.text == "Free bicycles"
    assert "9 words: use at most 8" in scripted_server.requests[3].last
