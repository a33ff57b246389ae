"""The graph: write, beside it tests, review, run both versions, and mend the better one for as long as its tests fail."""

from __future__ import annotations

import ast

from examples.coding.agents import NO_REPLY, code_in, mend, no_tests, review, tests_in, write, write_tests
from examples.coding.shapes import Attempt, Code, Solution, Suite, Task
from examples.coding.trial import tried
from swarmlet import Again, Budget, BudgetExceeded, Done, graph, loop, node, switch

ROUNDS = 3


@graph
def written_tests(task: Task) -> Suite:
    return tests_in(write_tests(task))


tests_for = written_tests.with_options(fallback=no_tests, fallback_on=NO_REPLY, name="tests_for")


@graph
def review_of(task: Task, code: Code) -> Code:
    return code_in(review(task, code))


@node
def as_it_was(task: Task, code: Code) -> Code:
    return code


reviewed = review_of.with_options(fallback=as_it_was, fallback_on=(*NO_REPLY, BudgetExceeded), name="reviewed")


@node
def better(one: Attempt, other: Attempt) -> Attempt:
    return better_of(one, other)


def better_of(one: Attempt, other: Attempt) -> Attempt:
    """Whichever passes more tests; the first if they are equal, as a change that bought nothing may have cost something."""
    return other if other.report.passed > one.report.passed else one


@node
def decide(before: Attempt, after: Attempt) -> Again[Attempt] | Done[Solution]:
    """Done when the tests pass, or when the code came back as it was: asked again, the agent would have nothing to add."""
    best = better_of(before, after)
    return Done(solution(best)) if best.report.clean or same_code(before.code, after.code) else Again(best)


def same_code(one: Code, other: Code) -> bool:
    """Whether they differ in nothing but comments, docstrings and layout."""
    return bare(one) == bare(other)


def bare(code: Code) -> str:
    try:
        tree = ast.parse(code.source)
        for part in ast.walk(tree):
            if isinstance(part, ast.FunctionDef) and ast.get_docstring(part) is not None:
                del part.body[0]
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: a model that went on and on with brackets
        return code.source


@node
def settle(best: Attempt) -> Done[Solution]:
    return Done(solution(best))


@node
def give_best(best: Attempt) -> Solution:
    return solution(best)


def solution(best: Attempt) -> Solution:
    return Solution(best.code, best.tests, best.report)


@graph
def mended(best: Attempt) -> Again[Attempt] | Done[Solution]:
    code = code_in(mend(best))
    return decide(best, tried(best.task, code, best.tests))


@node
def clean(best: Attempt) -> bool:
    return best.report.clean


@graph
def attempt(best: Attempt) -> Again[Attempt] | Done[Solution]:
    """One round. Without a reply, or without the money for one, the best attempt so far is the result."""
    mend_or_settle = mended.with_options(fallback=settle, fallback_on=(*NO_REPLY, BudgetExceeded))
    return switch(clean, {True: settle, False: mend_or_settle})(best)


@graph
def solve(task: Task) -> Solution:
    tests = tests_for(task)  # beside the code: neither needs the other
    draft = code_in(write(task))
    second = reviewed(task, draft)
    best = better(tried(task, draft, tests), tried(task, second, tests))  # the draft runs while it is reviewed
    return loop(attempt, rounds=ROUNDS, otherwise=give_best)(best)


bounded = solve.with_options(budget=Budget(tokens=20_000, usd="0.01"), name="solve")
"""`solve` that never spends more than a cent, or twenty thousand tokens."""
