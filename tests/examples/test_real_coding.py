"""The coding workflow and HumanEval against a real model."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples._show import model
from examples.coding.flow import bounded
from examples.coding.shapes import Task
from examples.humaneval.problems import load
from examples.humaneval.study import run_study
from examples.humaneval.table import read, table
from swarmlet import Limits, Swarm
from swarmlet.trace import Journal
from tests.examples.real import REAL_MODEL, overlap

pytestmark = [*REAL_MODEL, pytest.mark.usefixtures("full_python")]


async def test_a_task_becomes_code_that_was_run() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(bounded, Task("double(n: int) -> int gives twice the number n: double(4) == 8."))
    solution = result.output
    assert "def double" in solution.code.source
    assert solution.report.total == len(solution.tests.asserts)
    assert 3 <= result.usage.requests <= 6
    steps = {step.path: step for step in result.trace.steps()}
    assert overlap(steps["solve/write"], steps["solve/tests_for/write_tests"])


async def test_a_study_of_two_problems_has_a_table(tmp_path: Path) -> None:
    journal = str(tmp_path / "study.sqlite")
    result = await run_study("single", load()[:2], journal, Limits(concurrency=2))
    assert [score.id for score in result.output] == [problem.id for problem in load()[:2]]
    assert "| single | 2 | " in table(read(Journal(journal)))
