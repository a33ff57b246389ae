"""The coding workflow: what runs beside what, what is kept, and when it ends. The code runs in the real sandbox."""

from __future__ import annotations

import subprocess
import sys

import pytest

from examples.coding import agents, flow
from examples.coding.agents import Case, Cases, fenced, is_test, literal
from examples.coding.flow import bounded, same_code, solve
from examples.coding.shapes import Attempt, Code, Report, Solution, Suite, Task
from examples.coding.trial import tried
from swarmlet import Budget, Run, StepFailed, Swarm, run
from swarmlet.testing import Barrier, Say, ScriptedServer
from swarmlet.trace import StepEnded
from tests.examples.steps import asked, paths

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("full_python")]

TASK = Task("Write double(n), which doubles a number.")
RIGHT, WRONG = "def double(n):\n    return n * 2", "def double(n):\n    return n + 2"
CASES = Cases(cases=[Case(call="double(2)", gives="4"), Case(call="double(5)", gives="10")])


def block(source: str) -> str:
    return f"Here it is:\n```python\n{source}\n```\nI hope that it helps."


def scripted(server: ScriptedServer, *, draft: str, review: str, mends: tuple[str, ...] = (), cases: Cases = CASES) -> None:
    server.when(asked(agents.write), Barrier(2, block(draft)), times=1)
    server.when(asked(agents.write_tests), Barrier(2, cases), times=1)
    server.when(asked(agents.review), block(review), times=1)
    for mend in mends:
        server.when(asked(agents.mend), block(mend), times=1)


def verdict(result: Run[Solution]) -> str:
    return result.output.verdict


async def test_code_that_passes_its_tests_is_done_after_three_calls_of_which_two_are_side_by_side(
    scripted_server: ScriptedServer,
) -> None:
    scripted(scripted_server, draft=RIGHT, review=RIGHT)
    result = await run(solve, TASK)
    assert (result.output.code.source, verdict(result)) == (RIGHT, "passes: 2 of 2 of its own tests")
    assert result.usage.requests == 3
    assert "solve/attempt[0]/switch/mended/mend" not in paths(result.trace)


async def test_a_review_that_breaks_the_code_is_not_taken(scripted_server: ScriptedServer) -> None:
    scripted(scripted_server, draft=RIGHT, review=WRONG)
    assert (await run(solve, TASK)).output.code == Code(RIGHT)


async def test_what_fails_goes_back_with_what_it_gave(scripted_server: ScriptedServer) -> None:
    scripted(scripted_server, draft=WRONG, review=WRONG, mends=(RIGHT,))
    result = await run(solve, TASK)
    assert result.output.code == Code(RIGHT)
    prompt = scripted_server.requests[-1].last
    assert WRONG in prompt
    assert "assert double(5) == 10\n  it gave 7" in prompt
    assert "double(2) == 4\n" not in prompt, "it holds for both"


async def test_the_best_attempt_is_kept_and_the_rounds_are_bounded(scripted_server: ScriptedServer) -> None:
    worse = [f"def double(n):\n    return {number}" for number in (1, 2, 3)]
    scripted(scripted_server, draft=WRONG, review=worse[0], mends=tuple(worse))
    result = await run(solve, TASK)
    assert (result.output.code.source, verdict(result)) == (WRONG, "fails: 1 of 2 of its own tests")
    assert result.usage.requests == 3 + flow.ROUNDS


async def test_code_that_comes_back_as_it_was_ends_the_rounds(scripted_server: ScriptedServer) -> None:
    scripted(
        scripted_server, draft=WRONG, review=WRONG, mends=(f'{WRONG}  # as it should\n"""Doubles."""'.replace('\n"""', "\n# "),)
    )
    result = await run(solve, TASK)
    assert result.usage.requests == 4
    assert result.output.code.source == WRONG


async def test_a_round_that_fails_leaves_the_best_attempt_and_its_failure_in_the_trace(scripted_server: ScriptedServer) -> None:
    scripted(scripted_server, draft=WRONG, review=WRONG)
    scripted_server.when(asked(agents.mend), Say("```python", finish="length"), times=1)
    result = await run(solve, TASK)
    assert result.output.code == Code(WRONG)
    step = result.trace.step("solve/attempt[0]/switch/mended/mend")
    assert isinstance(step.ended, StepEnded)
    assert step.ended.error is not None
    assert step.ended.error.type == "ReplyTruncated"


async def test_a_budget_that_runs_out_in_a_round_leaves_the_best_attempt(scripted_server: ScriptedServer) -> None:
    scripted(scripted_server, draft=WRONG, review=WRONG)
    result = await run(solve.with_options(budget=Budget(requests=3)), TASK)
    assert (result.output.code, result.usage.requests) == (Code(WRONG), 3)


async def test_without_tests_the_code_is_given_as_untested(scripted_server: ScriptedServer) -> None:
    scripted(scripted_server, draft=RIGHT, review=WRONG, cases=Cases(cases=[Case(call="double(", gives="4")]))
    result = await run(solve, TASK)
    assert (verdict(result), result.output.code) == ("untested", Code(RIGHT))


async def test_a_tester_or_a_reviewer_that_fails_does_not_cost_the_code(scripted_server: ScriptedServer) -> None:
    scripted_server.when(asked(agents.write), block(RIGHT), times=1)
    for agent in (agents.write_tests, agents.review):
        scripted_server.when(asked(agent), Say("...", finish="length"), times=1)
    result = await run(solve, TASK)
    assert (verdict(result), result.output.code) == ("untested", Code(RIGHT))


async def test_without_a_writer_there_is_nothing(scripted_server: ScriptedServer) -> None:
    scripted_server.when(asked(agents.write), Say("...", finish="length"), times=1)
    scripted_server.when(asked(agents.write_tests), CASES)
    with pytest.raises(StepFailed, match="ReplyTruncated") as caught:
        await run(bounded, TASK)
    assert caught.value.path == "solve/write"


async def test_a_run_that_was_stopped_pays_for_no_call_twice(scripted_server: ScriptedServer, tmp_path: object) -> None:
    journal = f"{tmp_path}/runs.sqlite"
    scripted(scripted_server, draft=WRONG, review=WRONG, mends=(WRONG,))
    async with Swarm(journal=journal) as swarm:
        first = await swarm.run_as("doubling", solve, TASK)
    async with Swarm(journal=journal) as swarm:
        again = await swarm.run_as("doubling", solve, TASK)
    assert again.output == first.output
    assert len(scripted_server.requests) == 4


# The trial


async def trial(code: str, *tests: str, given: str = "") -> Report:
    result = await run(tried, Task("", given), Code(code), Suite(tests))
    output: Attempt = result.output
    return output.report


async def test_each_test_is_reported_on_its_own() -> None:
    report = await trial(
        "def f(x):\n    return 1 // x", "assert f(1) == 1", "assert f(0) == 0", "assert f(2) == 5", given="import os"
    )
    assert (report.passed, report.total) == (1, 3)
    assert report.gave == ("1", "ZeroDivisionError: integer division or modulo by zero", "0")
    assert report.log.splitlines() == [
        "assert f(0) == 0",
        "  it gave ZeroDivisionError: integer division or modulo by zero",
        "assert f(2) == 5",
        "  it gave 0",
    ]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def f(x:", "SyntaxError"),
        ("raise ValueError('no')", "ValueError: no"),
        ("import sys; sys.exit(0)", "the program ended before that"),
        ("def f(x):\n    import os\n    os._exit(0)", "the program ended before that"),
    ],
)
async def test_a_program_that_ends_early_has_passed_nothing(code: str, said: str) -> None:
    report = await trial(code, "assert f(1) == 1")
    assert (report.passed, report.total, report.gave) == (0, 1, ())
    assert said in report.log


async def test_what_the_code_prints_itself_is_not_taken_for_a_report() -> None:
    report = await trial("print('[true, 1]')\ndef f(x):\n    print('[true, \"1\"]')\n    return 2", "assert f(1) == 1")
    assert (report.passed, report.gave) == (0, ("2",))


async def test_a_program_that_forks_has_passed_no_test_twice() -> None:
    report = await trial("import os\nos.fork()\ndef f(x):\n    return 1", "assert f(1) == 1")
    assert (report.passed, report.total, report.gave, report.clean) == (1, 1, ("1",), True)


async def test_a_report_into_which_the_code_has_printed_tells_nothing() -> None:
    loud = "import builtins\ndef print(*said, **how):\n    builtins.print(*said, 'and more', **how)\ndef f(x):\n    return 1"
    report = await trial(loud, "assert f(1) == 1")
    assert (report.passed, report.total, report.gave) == (0, 1, ())


# Plain code


def test_a_fenced_block_is_found_whatever_stands_around_it() -> None:
    assert fenced("Sure!\n```py\nx = 1\n```\nBye") == "x = 1"
    assert fenced("```python\nx = 1\ny =") == "x = 1\ny ="
    assert fenced("x = 1\n") == "x = 1"


@pytest.mark.parametrize(
    "line", ["assert f(1)", "assert 1 == 1", "f(1) == 1", "assert f(1) == 1; import os", "assert f(", "assert f(1) is 1"]
)
def test_what_is_no_comparison_of_a_call_is_no_test(line: str) -> None:
    assert not is_test(line)


def test_text_of_which_the_quotes_were_forgotten_gets_them() -> None:
    assert [literal(text) for text in ("4", "[1, 'a']", "Hello", "'x'")] == ["4", "[1, 'a']", "'Hello'", "'x'"]


def test_code_is_the_same_whatever_is_said_about_it() -> None:
    assert same_code(Code("def f(x):\n    '''Says.'''\n    return x"), Code("def f( x ):\n    return x  # says"))
    assert not same_code(Code("def f(x): return x"), Code("def f(x): return -x"))
    assert not same_code(Code("def f("), Code("def f(x"))


@pytest.mark.parametrize("source", ["-" * 8000, "f" + "()" * 2000, "a" + ".b" * 2000])
def test_code_that_is_nested_without_end_is_compared_as_text(source: str) -> None:
    assert same_code(Code(source), Code(source))
    assert not same_code(Code(source), Code(source + " # says"))


def test_the_command_says_what_came_out(scripted_server: ScriptedServer) -> None:
    scripted(scripted_server, draft=RIGHT, review=RIGHT)
    done = subprocess.run(
        [sys.executable, "-m", "examples.coding", TASK.text], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert RIGHT in done.stdout
    assert "assert double(2) == 4" in done.stdout
    assert "passes: 2 of 2 of its own tests" in done.stdout
    assert "solve/write_tests" in done.stdout or "solve/tests_for/write_tests" in done.stdout
    assert "swarmlet: solve: finished" in done.stderr
