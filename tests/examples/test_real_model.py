"""The examples against a real model: what is asserted is structure, because a small model is not clever."""

from __future__ import annotations

from examples import chain, evaluate, orchestrate, parallel, route
from examples._show import model
from swarmlet import Swarm, each
from tests.examples.real import REAL_MODEL, check, overlap

pytestmark = REAL_MODEL


async def test_chain() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(chain.describe, chain.LAMP)
    steps = check(result)
    assert result.output.english
    passed = chain.numbers(result.output.english) <= chain.numbers(chain.LAMP.name, *chain.LAMP.facts)
    assert passed
    assert (result.output.french is None) == ("describe/switch/hold" in steps)


async def test_route() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(each(route.answer), route.MAILS)
    steps = check(result)
    assert len(result.output) == len(route.MAILS)
    for index, mail in enumerate(route.MAILS):
        kind = result.trace.output(f"answer[{index}]/switch/classify")
        arms = {path.split("/")[2] for path in steps if path.startswith(f"answer[{index}]/")} - {"classify"}
        assert arms == {{"billing": "billing", "technical": "technical", "other": "forward"}[str(kind)]}, mail
    assert overlap(steps["answer[0]/switch/classify"], steps["answer[1]/switch/classify"])


async def test_parallel() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(parallel.review, parallel.CHANGE)
    steps = check(result)
    assert set(result.output.findings) == {"security", "naming", "errors"}
    assert [line.partition(":")[0] for line in result.output.files] == ["users.py", "app.py"]
    assert overlap(steps["review/security"], steps["review/errors"])
    assert overlap(steps["review/security"], steps["review/summarise[1]"])


async def test_orchestrate() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(orchestrate.research, orchestrate.QUESTION)
    steps = {step.path: step for step in result.trace.steps()}
    assert result.output.text
    planned = result.trace.output("research/plan")
    workers = [path for path in steps if path.startswith("research/work[")]
    assert len(workers) == len(orchestrate.Plan.model_validate(planned).tasks) <= 3


async def test_evaluate() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(evaluate.headline, evaluate.STORY)
    steps = check(result)
    rounds = [path for path in steps if path.endswith("/decide")]
    assert 1 <= len(rounds) <= 3
    assert 1 <= result.output.points <= 5
    assert (result.output.points >= 4) == ("headline/attempt/best_so_far" not in steps)
    assert overlap(steps["headline/attempt[0]/judge_truth"], steps["headline/attempt[0]/judge_style"])
