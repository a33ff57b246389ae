"""HumanEval, four ways: what counts as solved, what each way asks for, and what is read from the journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.coding import agents
from examples.coding.agents import Case, Cases
from examples.coding.shapes import Code
from examples.humaneval import ways
from examples.humaneval.figures import Interval, paired, wilson
from examples.humaneval.problems import Problem, load
from examples.humaneval.score import score
from examples.humaneval.study import over, run_id, run_study
from examples.humaneval.table import Row, read, same_problems, table
from swarmlet import Limits, Node, StepFailed, run
from swarmlet.testing import Fail, Say, ScriptedServer
from swarmlet.trace import Journal
from tests.examples.steps import asked, paths

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("full_python")]

LIMITS = Limits(concurrency=8)


def problem(number: int, name: str) -> Problem:
    prompt = f'import math\n\ndef {name}(x):\n    """Gives {number} times x."""\n'
    return Problem(f"Test/{number}", prompt, name, f"def check(candidate):\n    assert candidate(7) == {7 * number}\n")


DOUBLE, TRIPLE = problem(2, "double"), problem(3, "triple")
RIGHT, WRONG = "def double(x):\n    return x * 2", "def double(x):\n    return x + 2"


def block(source: str) -> str:
    return f"```python\n{source}\n```"


async def solved(way: Node[[Problem], Code]) -> tuple[bool, int, set[str]]:
    result = await run(over(way), [DOUBLE])
    return result.output[0].passed, result.usage.requests, paths(result.trace)


# Scoring


@pytest.mark.parametrize(
    ("code", "passed", "why"),
    [
        (RIGHT, True, ""),
        ("def double(x):\n    return math.floor(x) * 2", True, ""),
        (WRONG, False, "AssertionError"),
        ("", False, "NameError: name 'double' is not defined"),
        ("import sys; sys.exit(0)", False, "it ended before its tests did"),
        ("def check(candidate): pass", False, "NameError: name 'double' is not defined"),
    ],
)
async def test_an_answer_counts_if_the_hidden_tests_run_to_their_end(code: str, passed: bool, why: str) -> None:
    result = (await run(score, DOUBLE, Code(code))).output
    assert (result.passed, result.why) == (passed, why)


def test_the_problems_are_those_of_the_package_in_a_fixed_order() -> None:
    problems = load()
    assert len({one.id for one in problems}) == 164
    assert [one.id for one in problems] == [one.id for one in load()]
    for one in problems:
        assert one.prompt.startswith(one.given)
        assert one.prompt[len(one.given) :].startswith(f"def {one.name}(")
        assert one.hidden not in one.task.text
    assert "def encode_cyclic" in next(one for one in problems if one.name == "decode_cyclic").given


# The ways


async def test_a_single_call_is_one_call(scripted_server: ScriptedServer) -> None:
    scripted_server.when(asked(agents.write), block(RIGHT), times=1)
    assert (await solved(ways.single))[:2] == (True, 1)


async def test_the_best_of_some_is_the_one_that_passes_its_own_tests_and_ends_it(scripted_server: ScriptedServer) -> None:
    cases = Cases(cases=[Case(call="double(3)", gives="6"), Case(call="double(2)", gives="4")])
    scripted_server.when(asked(agents.write_tests), cases, times=1)
    scripted_server.when(asked(ways.sample), block(WRONG), times=2)
    scripted_server.when(asked(ways.sample), block(RIGHT))
    passed, calls, steps = await solved(ways.best_of)
    assert passed
    assert calls <= 5, "not the fifth sample"
    assert not any("sampled[4]" in path for path in steps)


async def test_a_vote_takes_what_most_do_although_the_tests_say_otherwise(scripted_server: ScriptedServer) -> None:
    scripted_server.when(asked(agents.write_tests), Cases(cases=[Case(call="double(3)", gives="5")]), times=1)
    scripted_server.when(asked(ways.sample), block(WRONG), times=1)
    for source in ("def double(x):\n    return x * 2", "def double(x):\n    return x + x", "def double(x):\n    return 2 * x"):
        scripted_server.when(asked(ways.sample), block(source), times=1)
    assert (await solved(ways.voted))[0]


async def test_the_workflow_has_tests_of_its_own(scripted_server: ScriptedServer) -> None:
    scripted_server.when(asked(agents.write), block(WRONG), times=1)
    scripted_server.when(asked(agents.write_tests), Cases(cases=[Case(call="double(3)", gives="6")]), times=1)
    scripted_server.when(asked(agents.review), block(WRONG), times=1)
    scripted_server.when(asked(agents.mend), block(RIGHT), times=1)
    assert (await solved(ways.worked))[:2] == (True, 4)
    assert not any("candidate" in request.last or "14" in request.last for request in scripted_server.requests)


@pytest.mark.parametrize("way", ways.WAYS.values(), ids=list(ways.WAYS))
async def test_a_way_that_gets_no_answer_has_not_solved_it(way: Node[[Problem], Code], scripted_server: ScriptedServer) -> None:
    scripted_server.when("", Say("...", finish="length"))
    assert not (await solved(way))[0]


# The study and its table


async def test_a_study_that_was_stopped_goes_on_and_pays_for_nothing_twice(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    journal = str(tmp_path / "study.sqlite")
    scripted_server.when("double", block(RIGHT), times=1)
    scripted_server.when("triple", Fail(401), times=1)
    with pytest.raises(StepFailed, match="401"):  # a key that is refused says nothing about the model
        await run_study("single", [DOUBLE, TRIPLE], journal, Limits(concurrency=1))
    assert [len(row.answers) for row in read(Journal(journal)).values()] in ([], [1])
    scripted_server.when("triple", block("def triple(x):\n    return x * 3"), times=1)
    done = await run_study("single", [DOUBLE, TRIPLE], journal, LIMITS)
    assert [score.passed for score in done.output] == [True, True]
    assert [len(rows.answers) for rows in read(Journal(journal)).values()] == [2]


async def test_time_in_which_a_study_was_stopped_is_not_counted(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    journal = str(tmp_path / "study.sqlite")
    scripted_server.when("double", Fail(401), times=1)
    with pytest.raises(StepFailed, match="401"):
        await run_study("single", [DOUBLE], journal, LIMITS)
    scripted_server.when("double", block(RIGHT), times=1)
    await run_study("single", [DOUBLE], journal, LIMITS)
    trace = Journal(journal).trace(run_id("single", [DOUBLE]))
    (row,) = read(Journal(journal)).values()
    (answer,) = row.answers
    assert trace.critical_path().split.away > 0
    assert row.wall is not None
    assert row.wall == pytest.approx(trace.seconds - trace.critical_path().split.away)
    assert answer.timing is None, "nobody can tell what it took"
    assert "| single | 1 | " in table({"single": row})


async def test_the_table_reads_the_journal(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    journal = str(tmp_path / "study.sqlite")
    scripted_server.when("double", block(RIGHT))
    scripted_server.when("triple", block("def triple(x):\n    return x * 2"))
    done = await run_study("single", [DOUBLE, TRIPLE], journal, LIMITS)
    again = await run_study("single", [DOUBLE, TRIPLE], journal, LIMITS)
    assert again.output == done.output
    assert len(scripted_server.requests) == 2
    rows = read(Journal(journal))
    assert set(rows) == {"single"}
    found = {answer.problem: (answer.passed, answer.timing) for answer in rows["single"].answers}
    assert {name: passed for name, (passed, _) in found.items()} == {"Test/2": True, "Test/3": False}
    for _, timing in found.values():
        assert timing is not None
        assert (timing.in_a_row, timing.seconds > 0) == (1, True)
    assert rows["single"].usage == done.usage
    assert "| single | 2 | 50.0% (9.5% to 90.5%) |" in table(rows)


async def test_rows_are_compared_over_the_problems_that_all_have(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    journal = str(tmp_path / "study.sqlite")
    scripted_server.when(asked(agents.write), block(RIGHT))
    scripted_server.when(asked(agents.write_tests), Cases(cases=[Case(call="double(3)", gives="6")]))
    scripted_server.when(asked(agents.review), block(RIGHT))
    await run_study("single", [DOUBLE, TRIPLE], journal, LIMITS)
    await run_study("workflow", [DOUBLE], journal, LIMITS)
    alike = same_problems(read(Journal(journal)))
    assert [(way, len(row.answers)) for way, row in alike.items()] == [("single", 1), ("workflow", 1)]
    assert alike["workflow"].over(alike["single"]).value == 0
    assert alike["workflow"].wall is not None
    assert alike["single"].wall is None, "that run answered more than these"
    assert "| workflow | 1 | 100.0% (20.7% to 100.0%) | +0.0 (+0.0 to +0.0) | 3 |" in table(read(Journal(journal)))


async def test_of_two_answers_to_a_problem_the_newest_counts(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    journal = str(tmp_path / "study.sqlite")
    scripted_server.when("double", block(WRONG), times=1)
    scripted_server.when("triple", block("def triple(x):\n    return x * 3"), times=1)
    await run_study("single", [DOUBLE, TRIPLE], journal, LIMITS)
    scripted_server.when("double", block(RIGHT), times=1)
    await run_study("single", [DOUBLE], journal, LIMITS)
    (row,) = read(Journal(journal)).values()
    assert {answer.problem: answer.passed for answer in row.answers} == {"Test/2": True, "Test/3": True}


# Figures


@pytest.mark.parametrize(
    ("passed", "total", "low", "high"),
    [(50, 100, 0.4038, 0.5962), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilsons_interval(passed: int, total: int, low: float, high: float) -> None:
    found = wilson(passed, total)
    assert [found.low, found.high] == pytest.approx([low, high], abs=1e-4)


def test_the_difference_of_the_same_problems() -> None:
    assert paired([True] * 9, [True] * 9) == Interval(0, 0, 0)
    gain = paired([False] * 50 + [True] * 50, [True] * 60 + [False] * 40)
    assert gain.value == pytest.approx(0.1)
    assert gain.low < 0.1 < gain.high
    assert Row("one", [], None).passed == Interval(0, 0, 1)
