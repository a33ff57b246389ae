"""`race`, `hedge`, `vote`, `best` and `cascade` as users write them, and maps that end early or over what arrives.

No checker may flag a line; importing the file builds every graph.
"""

from collections.abc import AsyncIterable, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel
from typing_extensions import assert_type

from swarmlet import Again, Done, Failed, Node, agent, best, cascade, each, graph, hedge, loop, node, race, vote


class Task(BaseModel):
    text: str


class Code(BaseModel):
    source: str


class Report(BaseModel):
    passed: bool
    log: str = ""


class Attempt(BaseModel):
    task: Task
    code: Code


@agent(Code)
def write(task: Task) -> str:
    return task.text


@agent(Code)
async def write_well(task: Task) -> str:
    return task.text


@agent(Report)
def describe(task: Task) -> str:
    return task.text


@agent(str)
def say(task: Task) -> str:
    return task.text


@agent(int)
def guess(task: Task) -> str:
    return task.text


@node
async def from_cache(task: Task) -> Code:
    return Code(source=task.text)


@node
def for_anything(task: Task | str) -> Code:
    return Code(source=str(task))


def by_hand(task: Task) -> Code:
    return Code(source=task.text)


build_task = node(Task)


@node
async def check(code: Code, strict: bool = False) -> Report:
    return Report(passed=not strict, log=code.source)


@node
async def inspect(code: Code, strict: bool = False) -> Report:
    return Report(passed=strict, log=code.source)


@node
def translate(text: str, language: str, *, formal: bool = False) -> str:
    return f"{text} in {language} {formal}"


@node
def retell(text: str, language: str, *, formal: bool = False) -> str:
    return f"{text} in {language} {formal}"


# race


@graph
def raced(task: Task) -> Code:
    code = race(write, write_well)(task)
    assert_type(code, Code)
    return code


@graph
def raced_by_name(task: Task) -> Code:
    return race(write, write_well, from_cache)(task=task)


@graph
def race_of_two_kinds(task: Task) -> Code | Report:
    result = race(write, describe)(task)
    assert_type(result, Code | Report)
    return result


@graph
def race_of_three_kinds(task: Task) -> Code | Report | str:
    result = race(write, describe, say)(task)
    assert_type(result, Code | Report | str)
    return result


@graph
def race_of_four_kinds(task: Task) -> Code | Report | str | int:
    result = race(write, describe, say, guess)(task)
    assert_type(result, Code | Report | str | int)
    return result


@graph
def race_of_many(task: Task) -> Code:
    code = race(write, write_well, from_cache, write, write_well, by_hand)(task)
    assert_type(code, Code)
    return code


@graph
def race_of_one(task: Task) -> Code:
    return race(write)(task)


@graph
def race_of_functions(task: Task) -> Code:
    code = race(by_hand, write)(task)
    assert_type(code, Code)
    return race(write, by_hand)(build_task(text=code.source))


@graph
def race_with_keywords(code: Code, text: str) -> tuple[Report, str]:
    report = race(check, inspect)(code, strict=True)
    assert_type(report, Report)
    return report, race(translate, retell)(text, "fr", formal=True)


raced_node: Node[..., Code | Report] = race(write, describe)


# hedge


@graph
def hedged(task: Task, code: Code) -> tuple[Code, Report]:
    written = hedge(write, after=2.5)(task=task)
    assert_type(written, Code)
    report = hedge(check, after=1, tries=3)(code, strict=True)
    assert_type(report, Report)
    return written, report


# vote


def normal(code: Code) -> str:
    return code.source.strip()


@graph
def voted(task: Task) -> Code:
    code = vote(write)(task)
    assert_type(code, Code)
    return vote(write, of=7, quorum=3, ties="first", concurrency=2)(build_task(text=code.source))


@graph
def voted_by_key(task: Task, code: Code) -> tuple[Code, Code, Report, str]:
    by_function = vote(write, of=3, key=normal)(task)
    assert_type(by_function, Code)
    by_lambda = vote(write, of=3, key=lambda code: code.source.lower())(task)
    assert_type(by_lambda, Code)
    report = vote(check, key=lambda report: report.passed)(code, strict=True)
    assert_type(report, Report)
    return by_function, by_lambda, report, vote(say, key=str.lower)(task)


@graph
def voted_literally(task: Task) -> int:
    return vote(guess, of=5, quorum=2, key=lambda number: round(number, -1))(task)


# best


def length(code: Code) -> int:
    return len(code.source)


def match_of(code: Code, task: Task) -> float:
    return 1.0 if task.text in code.source else 0.0


def any_score(result: object) -> float:
    return float(bool(result))


@node
async def measured(code: Code) -> float:
    return len(code.source) / 2


@agent(float)
def judge(code: Code, task: Task) -> str:
    return f"{code.source} {task.text}"


@agent(int)
def rate(code: Code) -> str:
    return code.source


@node
def fairness(report: Report, code: Code, strict: bool = False) -> float:
    return len(report.log) if strict else len(code.source)


@node
def fluency(said: str, text: str, language: str, *, formal: bool = False) -> float:
    return len(said) / len(text) if formal else len(language)


@graph
def best_of_all(task: Task) -> list[Code]:
    first = best(write, of=3, score=length)(task)
    assert_type(first, Code)
    return [
        first,
        best(write, of=3, score=any_score)(task),
        best(write, of=3, score=measured, enough=9)(task),
        best(write, of=3, score=rate, concurrency=2)(task=task),
        best(by_hand, of=3, score=length)(task),
        best(write, of=3, score=lambda code: len(code.source))(task),
    ]


@graph
def best_for_the_task(task: Task) -> list[Code]:
    judged = best(write, of=3, score=judge, enough=0.9)(task)
    assert_type(judged, Code)
    return [
        judged,
        best(write, of=3, score=match_of)(task),
        best(write, of=3, score=lambda code, task: len(code.source) - len(task.text))(task),
    ]


@graph
def best_with_more(code: Code, text: str, task: Task) -> tuple[Report, Report, str, str]:
    report = best(check, of=2, score=fairness)(code, strict=True)
    assert_type(report, Report)
    other = best(check, of=2, score=lambda report: len(report.log))(code)
    return report, other, best(translate, of=3, score=fluency)(text, "fr", formal=True), best(say, of=2, score=len)(task)


# cascade


def is_long(code: Code) -> bool:
    return len(code.source) > 80


def answers(code: Code, task: Task) -> bool:
    return task.text in code.source


@node
async def compiles(code: Code) -> bool:
    return bool(code.source)


@agent(bool)
def convinces(code: Code, task: Task) -> str:
    return f"{code.source} {task.text}"


def either_is_good(result: Code | Report) -> bool:
    return result.passed if isinstance(result, Report) else bool(result.source)


def fits_task(result: Code | Report | str, task: Task) -> bool:
    return str(result) != task.text


@graph
def cascaded(task: Task) -> list[Code]:
    code = cascade(write, write_well, accept=is_long)(task)
    assert_type(code, Code)
    judged = cascade(write, write_well, accept=convinces)(task=task)
    assert_type(judged, Code)
    return [
        code,
        judged,
        cascade(write, by_hand, accept=answers)(task),
        cascade(by_hand, write, accept=compiles)(task),
        cascade(write, write_well, accept=lambda code: bool(code.source))(task),
        cascade(write, write_well, accept=lambda code, task: code.source != task.text)(task),
    ]


@graph
def cascade_of_many(task: Task) -> list[Code]:
    code = cascade(from_cache, write, write_well, accept=is_long)(task)
    assert_type(code, Code)
    last = cascade(from_cache, write, write_well, by_hand, by_hand, accept=answers)(task)
    assert_type(last, Code)
    return [code, last, cascade(from_cache, write, write, write, write_well, accept=compiles)(task)]


@graph
def cascade_of_kinds(task: Task) -> tuple[Code | Report, Code | Report, Code | Report | str, Code | Report | str | int]:
    two = cascade(write, describe, accept=is_long)(task)
    assert_type(two, Code | Report)
    judged = cascade(write, describe, accept=convinces)(task)
    assert_type(judged, Code | Report)
    three = cascade(write, describe, say, accept=either_is_good)(task)
    assert_type(three, Code | Report | str)
    four = cascade(write, describe, say, guess, accept=fits_task)(task)
    assert_type(four, Code | Report | str | int)
    return two, judged, three, four


@graph
def cascade_with_more(code: Code) -> Report:
    return cascade(check, inspect, accept=lambda report: report.passed)(code, strict=True)


# each, over what arrives, and done with some


@graph
def arriving(tasks: AsyncIterable[Task]) -> list[Code]:
    codes = each(write)(tasks)
    assert_type(codes, list[Code])
    return codes


@graph
def either_source(tasks: Sequence[Task] | AsyncIterable[Task]) -> list[Code]:
    return each(write, concurrency=3)(tasks)


@graph
def arriving_rows(rows: AsyncIterable[Sequence[Task]], streams: list[AsyncIterable[Task]]) -> list[list[list[Code]]]:
    codes = each(each(write))(rows)
    assert_type(codes, list[list[Code]])
    return [codes, each(each(write))(streams)]


@graph
def enough(tasks: list[Task]) -> list[Code]:
    codes = each(write, enough=2)(tasks)
    assert_type(codes, list[Code])
    return codes


@graph
def enough_and_skip(tasks: AsyncIterable[Task]) -> list[Code]:
    codes = each(write, on_error="skip", at_least=2, enough=5)(tasks)
    assert_type(codes, list[Code])
    return each(for_anything, on_error="skip", at_least=1)([codes[0].source, codes[1].source])


@graph
def keep_at_least(tasks: list[Task]) -> list[Code | Failed]:
    results = each(write, on_error="keep", at_least=3, concurrency=2)(tasks)
    assert_type(results, list[Code | Failed])
    return results


# All of them in one another


@node
def start(task: Task) -> Attempt:
    return Attempt(task=task, code=Code(source=""))


@node
def judge_attempt(state: Attempt, code: Code, report: Report) -> Again[Attempt] | Done[Code]:
    return Done(code) if report.passed else Again(Attempt(task=state.task, code=code))


@graph
def attempt(state: Attempt) -> Again[Attempt] | Done[Code]:
    code = race(write, write_well)(state.task)
    return judge_attempt(state, code, hedge(check, after=3)(code))


@graph
def solve(task: Task) -> Code:
    return loop(attempt, rounds=3)(start(task))


@graph
def race_of_maps_of_loops(states: list[Attempt]) -> list[Code]:
    codes = race(each(loop(attempt, rounds=2)), each(loop(attempt, rounds=5)))(states)
    assert_type(codes, list[Code])
    return codes


@graph
def race_of_maps(tasks: list[Task]) -> list[Code] | list[Report]:
    results = race(each(solve), each(describe))(tasks)
    assert_type(results, list[Code] | list[Report])
    return results


@graph
def vote_of_maps_of_hedges(tasks: list[Task]) -> list[Code]:
    codes = vote(each(hedge(write, after=2)), of=3, key=len)(tasks)
    assert_type(codes, list[Code])
    return codes


@graph
def map_of_contests(tasks: AsyncIterable[Task]) -> list[Code | Report]:
    results = each(race(best(write, of=2, score=judge), describe), on_error="skip", at_least=1)(tasks)
    assert_type(results, list[Code | Report])
    return results


@graph
def map_of_cascades(tasks: list[Task]) -> list[Code | Report | Failed]:
    results = each(cascade(vote(write), race(solve, describe), accept=is_long), on_error="keep")(tasks)
    assert_type(results, list[Code | Report | Failed])
    return results


@graph
def cascade_of_contests(task: Task) -> Code:
    code = cascade(hedge(write, after=1), vote(write, of=3), best(solve, of=2, score=match_of), accept=convinces)(task)
    assert_type(code, Code)
    return code


# Options

in_time = race(write, write_well).with_options(deadline=datetime.now(UTC) + timedelta(minutes=2), reserve=3.5, concurrency=4)
backed = write.with_options(fallback=write_well)
backed_for_some = write.with_options(fallback=write_well, fallback_on=(TimeoutError, ValueError))
backed_for_one = write.with_options(fallback=write_well, fallback_on=TimeoutError)
backed_by_wider = write.with_options(fallback=for_anything)
backed_solve = solve.with_options(fallback=backed.with_options(timeout=3), name="solve-or-write")
backed_union = race(write, describe).with_options(fallback=write)
backed_map = each(write).with_options(fallback=each(from_cache), concurrency=2)
backed_loop = loop(attempt, rounds=3).with_options(fallback=node(lambda state: Code(source=str(state))))


@graph
def with_options(task: Task) -> list[Code]:
    code = in_time(task)
    assert_type(code, Code)
    other = backed(task=task)
    assert_type(other, Code)
    codes = backed_map([task, task])
    assert_type(codes, list[Code])
    looped = backed_loop(start(task))
    assert_type(looped, Code)
    return [code, other, backed_by_wider(task), backed_solve(task), codes[0], looped]


@graph
def with_union_options(task: Task) -> Code | Report:
    result = backed_union(task)
    assert_type(result, Code | Report)
    return result
