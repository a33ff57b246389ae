"""Wrong `race`, `hedge`, `vote`, `best`, `cascade`, maps that end early, and options. No other line may be flagged."""

from collections.abc import AsyncIterable

from pydantic import BaseModel

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


@agent(Code)
def write_text(text: str) -> str:
    return text


@node
def nothing() -> Code:
    return Code(source="")


@node
def finish(task: Task, code: Code) -> Code:
    return code


@node
def with_hints(task: Task, *, hints: int) -> Code:
    return Code(source=f"{task.text} {hints}")


@node
async def check(code: Code, strict: bool = False) -> Report:
    return Report(passed=not strict, log=code.source)


@node
async def inspect(code: Code, strict: bool = False) -> Report:
    return Report(passed=strict, log=code.source)


@node
def attempt(state: Attempt) -> Again[Attempt] | Done[Code]:
    return Done(state.code)


# race

no_runners = race()  # error
race_of_text = race(write, "write_well")  # error
race_of_list = race([write, write_well])  # error
race_of_result = race(write, Code(source=""))  # error
race_of_others = race(write, check)  # error
race_of_other_type = race(write, write_text)  # error
race_with_third_of_others = race(write, write_well, check)  # error
race_with_fourth_of_others = race(write, write_well, describe, write_text)  # error
race_with_fifth_of_others = race(write, write_well, write, write_well, write_text)  # error
race_of_fewer = race(write, nothing)  # error
race_of_more = race(write, finish)  # error
race_of_required_keyword = race(write, with_hints)  # error
race_by_keyword = race(first=write, second=write_well)  # error
race_option = race(write, write_well, of=2)  # error
race_for_one: Node[..., Code] = race(write, describe)  # error
race_for_other: Node[..., Report] = race(write, write_well)  # error


@graph
def wrong_race_input(text: str) -> Code:
    return race(write, write_well)(text)  # error


@graph
def missing_race_input() -> Code:
    return race(write, write_well)()  # error


@graph
def extra_race_input(task: Task) -> Code:
    return race(write, write_well)(task, 3)  # error


@graph
def wrong_race_keyword(code: Code) -> Report:
    return race(check, inspect)(code, strict="very")  # error


@graph
def unknown_race_keyword(code: Code) -> Report:
    return race(check, inspect)(code, lax=True)  # error


@graph
def race_result_for_one(task: Task) -> Code:
    return race(write, describe)(task)  # error


@graph
def race_result_of_three(task: Task) -> Code | Report:
    return race(write, describe, say)(task)  # error


@graph
def race_result_passed_on(task: Task) -> Report:
    return check(race(write, describe)(task))  # error


@graph
def field_of_one_runner(task: Task) -> str:
    return race(write, describe)(task).source  # error


@graph
def race_for_its_result(task: Task) -> Report:
    write(task)
    return check(race(write, write_well))  # error


# hedge

hedge_without_time = hedge(write)  # error
hedge_by_position = hedge(write, 3)  # error
hedge_text = hedge("write", after=3)  # error
hedge_two = hedge(write, write_well, after=3)  # error
hedge_wrong_time = hedge(write, after="3 s")  # error
hedge_wrong_tries = hedge(write, after=3, tries=2.5)  # error
hedge_unknown = hedge(write, after=3, times=2)  # error
hedge_for_other: Node[..., Report] = hedge(write, after=3)  # error


@graph
def wrong_hedge_input(text: str) -> Code:
    return hedge(write, after=3)(text)  # error


@graph
def wrong_hedge_keyword(code: Code) -> Report:
    return hedge(check, after=3)(code, strict="very")  # error


@graph
def wrong_hedge_result(task: Task) -> Report:
    return hedge(write, after=3)(task)  # error


# vote


def key_of_report(report: Report) -> str:
    return report.log


def key_of_two(code: Code, task: Task) -> str:
    return code.source + task.text


vote_of_text = vote("write")  # error
vote_of_list = vote([write, write_well])  # error
vote_by_position = vote(write, 5)  # error
vote_wrong_number = vote(write, of="5")  # error
vote_wrong_quorum = vote(write, quorum=2.5)  # error
vote_wrong_ties = vote(write, ties="last")  # error
vote_wrong_concurrency = vote(write, concurrency="2")  # error
vote_unknown = vote(write, samples=5)  # error
vote_key_of_other = vote(write, key=key_of_report)  # error
vote_key_of_two = vote(write, key=key_of_two)  # error
vote_key_of_text = vote(write, key=str.lower)  # error
vote_key_by_name = vote(write, key="source")  # error
vote_key_field = vote(write, key=lambda code: code.text)  # error
vote_key_of_nothing = vote(write, key=lambda: 3)  # error
vote_for_other: Node[..., Report] = vote(write)  # error


@graph
def wrong_vote_input(text: str) -> Code:
    return vote(write, of=3)(text)  # error


@graph
def wrong_vote_keyword(code: Code) -> Report:
    return vote(check, of=3)(code, strict="very")  # error


@graph
def vote_result_as_list(task: Task) -> list[Code]:
    return vote(write, of=3)(task)  # error


@graph
def vote_result_as_key(task: Task) -> str:
    return vote(write, key=lambda code: code.source)(task)  # error


# best


def length(code: Code) -> int:
    return len(code.source)


def in_words(code: Code) -> str:
    return code.source


def no_score(code: Code) -> float | None:
    return None if code.source else 1


def log_length(report: Report) -> int:
    return len(report.log)


def score_for_text(code: Code, text: str) -> float:
    return len(code.source) / len(text)


def report_for_task(report: Report, task: Task) -> float:
    return len(report.log) / len(task.text)


def score_and_more(code: Code, task: Task, weight: float) -> float:
    return len(code.source) / len(task.text) * weight


@agent(str)
def judge_in_words(code: Code, task: Task) -> str:
    return f"{code.source} {task.text}"


@agent(float)
def judge_report(report: Report) -> str:
    return report.log


@agent(float)
def judge_strictly(report: Report, code: Code, strict: str = "") -> str:
    return f"{report.log} {code.source} {strict}"


best_without_number = best(write, score=length)  # error
best_without_score = best(write, of=3)  # error
best_by_position = best(write, 3, length)  # error
best_of_text = best("write", of=3, score=length)  # error
best_of_list = best([write, write_well], of=3, score=length)  # error
best_wrong_number = best(write, of="3", score=length)  # error
best_wrong_enough = best(write, of=3, score=length, enough="9")  # error
best_wrong_concurrency = best(write, of=3, score=length, concurrency="2")  # error
best_unknown = best(write, of=3, score=length, key=length)  # error
score_in_words = best(write, of=3, score=in_words)  # error
score_or_none = best(write, of=3, score=no_score)  # error
score_by_name = best(write, of=3, score="length")  # error
score_is_number = best(write, of=3, score=3)  # error
score_of_other = best(write, of=3, score=log_length)  # error
score_of_nothing = best(write, of=3, score=nothing)  # error
score_lambda_in_words = best(write, of=3, score=lambda code: code.source)  # error
score_lambda_field = best(write, of=3, score=lambda code: len(code.text))  # error
score_of_other_input = best(write, of=3, score=score_for_text)  # error
score_of_other_and_input = best(write, of=3, score=report_for_task)  # error
score_of_too_much = best(write, of=3, score=score_and_more)  # error
judged_in_words = best(write, of=3, score=judge_in_words)  # error
judge_of_other = best(write, of=3, score=judge_report)  # error
judge_of_other_keyword = best(check, of=3, score=judge_strictly)  # error
best_for_other: Node[..., Report] = best(write, of=3, score=length)  # error


@graph
def wrong_best_input(text: str) -> Code:
    return best(write, of=3, score=length)(text)  # error


@graph
def best_with_its_score(task: Task) -> float:
    return best(write, of=3, score=length)(task)  # error


@graph
def best_as_list(task: Task) -> list[Code]:
    return best(write, of=3, score=length)(task)  # error


@graph
def wrong_best_keyword(code: Code) -> Report:
    return best(check, of=3, score=log_length)(code, strict="very")  # error


# cascade


def is_long(code: Code) -> bool:
    return len(code.source) > 80


def is_good(report: Report) -> bool:
    return report.passed


def accepts_text(code: Code, text: str) -> bool:
    return text in code.source


def accepts_with_more(code: Code, task: Task, limit: int) -> bool:
    return len(code.source) + len(task.text) < limit


@agent(str)
def comment(code: Code, task: Task) -> str:
    return f"{code.source} {task.text}"


cascade_of_nothing = cascade(accept=is_long)  # error
cascade_of_one = cascade(write, accept=is_long)  # error
cascade_without_accept = cascade(write, write_well)  # error
cascade_by_position = cascade(write, write_well, is_long)  # error
cascade_of_text = cascade(write, "write_well", accept=is_long)  # error
cascade_of_list = cascade([write, write_well], accept=is_long)  # error
cascade_of_others = cascade(write, check, accept=is_long)  # error
cascade_of_other_type = cascade(write, write_text, accept=is_long)  # error
cascade_third_of_others = cascade(write, write_well, check, accept=is_long)  # error
cascade_fourth_of_others = cascade(write, write_well, write, write_text, accept=is_long)  # error
cascade_fifth_of_others = cascade(write, write_well, write, write_well, write_text, accept=is_long)  # error
cascade_of_more = cascade(write, finish, accept=is_long)  # error
cascade_unknown = cascade(write, write_well, accept=is_long, rounds=2)  # error
accept_in_words = cascade(write, write_well, accept=in_words)  # error
accept_number = cascade(write, write_well, accept=length)  # error
accept_by_name = cascade(write, write_well, accept="is_long")  # error
accept_always = cascade(write, write_well, accept=True)  # error
accept_other = cascade(write, write_well, accept=is_good)  # error
accept_lambda_number = cascade(write, write_well, accept=lambda code: len(code.source))  # error
accept_lambda_field = cascade(write, write_well, accept=lambda code: code.passed)  # error
accept_other_input = cascade(write, write_well, accept=accepts_text)  # error
accept_too_much = cascade(write, write_well, accept=accepts_with_more)  # error
accept_with_comment = cascade(write, write_well, accept=comment)  # error
accept_of_last_only = cascade(write, describe, accept=is_good)  # error
accept_of_first_only = cascade(write, describe, say, accept=is_long)  # error
accept_of_second_only = cascade(write, describe, say, accept=is_good)  # error
cascade_for_one: Node[..., Code] = cascade(write, describe, accept=is_long)  # error


@graph
def wrong_cascade_input(text: str) -> Code:
    return cascade(write, write_well, accept=is_long)(text)  # error


@graph
def cascade_result_for_one(task: Task) -> Report:
    return cascade(write, describe, accept=is_long)(task)  # error


@graph
def cascade_result_passed_on(task: Task) -> Report:
    return check(cascade(write, write_well, describe, accept=is_long)(task))  # error


# each, over what arrives, and done with some


@graph
def wrong_stream(tasks: AsyncIterable[Task]) -> list[Report]:
    return each(check)(tasks)  # error


@graph
def stream_of_lists(tasks: AsyncIterable[list[Task]]) -> list[Code]:
    return each(write)(tasks)  # error


@graph
def stream_for_item(tasks: AsyncIterable[Task]) -> Code:
    return write(tasks)  # error


@graph
def set_of_items(texts: set[str]) -> list[Code]:
    return each(write_text)(texts)  # error


@graph
def wrong_nested_stream(rows: list[AsyncIterable[Code]]) -> list[list[Code]]:
    return each(each(write))(rows)  # error


@graph
def enough_for_sure(tasks: list[Task]) -> Code:
    return each(write, enough=1)(tasks)  # error


@graph
def kept_with_bound(tasks: list[Task]) -> list[Code]:
    return each(write, on_error="keep", at_least=2)(tasks)  # error


@graph
def skipped_as_kept(tasks: list[Task]) -> list[Failed]:
    return each(write, on_error="skip", at_least=2)(tasks)  # error


enough_and_keep = each(write, on_error="keep", enough=3)  # error
enough_and_keep_at_least = each(write, on_error="keep", at_least=2, enough=3)  # error
bound_on_raise = each(write, at_least=3)  # error
bound_on_raise_said = each(write, on_error="raise", at_least=3)  # error
enough_by_name = each(write, enough="most")  # error
bound_by_name = each(write, on_error="skip", at_least="most")  # error
half_at_least = each(write, on_error="skip", at_least=0.5)  # error


# All of them in one another

vote_of_map_for_items: Node[..., Code] = vote(each(write), of=3)  # error
vote_of_map_by_item = vote(each(write), key=lambda codes: codes.source)  # error
race_of_map_and_item = race(each(write), write)  # error
best_of_map = best(each(write), of=3, score=length)  # error
cascade_of_loops = cascade(loop(attempt, rounds=1), loop(attempt, rounds=5), accept=is_good)  # error
loop_of_race = loop(race(write, write_well), rounds=3)  # error
hedge_of_race = hedge(race(write, check), after=3)  # error


@graph
def wrong_maps_of_loops(tasks: list[Task]) -> list[Code]:
    return race(each(loop(attempt, rounds=2)), each(loop(attempt, rounds=5)))(tasks)  # error


@graph
def map_of_race_for_one(tasks: list[Task]) -> list[Code]:
    return each(race(write, describe))(tasks)  # error


@graph
def vote_of_map_of_hedge(task: Task) -> list[Code]:
    return vote(each(hedge(write, after=1)), of=3)(task)  # error


# Options

no_deadline = write.with_options(deadline=3)  # error
deadline_in_words = write.with_options(deadline="tomorrow")  # error
reserve_in_words = write.with_options(reserve="2 s")  # error
concurrency_in_words = write.with_options(concurrency="2")  # error
fallback_for_text = write.with_options(fallback=write_well, fallback_on="ValueError")  # error
fallback_for_value = write.with_options(fallback=write_well, fallback_on=ValueError("x"))  # error
fallback_for_cancelling = write.with_options(fallback=write_well, fallback_on=KeyboardInterrupt)  # error
fallback_by_name = write.with_options(fallback="write_well")  # error
fallback_value = write.with_options(fallback=Code(source=""))  # error
fallback_function = write.with_options(fallback=length)  # error
fallback_lambda = write.with_options(fallback=lambda task: Code(source=""))  # error
fallback_of_other_type = write.with_options(fallback=write_text)  # error
fallback_of_others = write.with_options(fallback=check)  # error
fallback_of_fewer = write.with_options(fallback=nothing)  # error
fallback_of_more = write.with_options(fallback=finish)  # error
fallback_with_keyword = write.with_options(fallback=with_hints)  # error
fallback_of_other_result = write.with_options(fallback=describe)  # error
fallback_of_wider_result = write.with_options(fallback=race(write, describe))  # error
fallback_for_items = each(write).with_options(fallback=write)  # error
fallback_of_item = write.with_options(fallback=each(write))  # error
fallback_of_other_items = each(write).with_options(fallback=each(describe))  # error
fallback_of_loop = loop(attempt, rounds=2).with_options(fallback=attempt)  # error


@graph
def with_options(task: Task) -> Report:
    return write.with_options(fallback=write_well, concurrency=2)(task)  # error
