"""Wrong `each`, `loop` and `switch`. Each line that is marked must be flagged by every checker, and no other line."""

from typing import Literal

from pydantic import BaseModel

from swarmlet import Again, Done, Failed, Node, agent, each, graph, loop, node, switch


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


@agent(list[Task])
def split(task: Task) -> str:
    return task.text


@node
async def check(code: Code, strict: bool = False) -> Report:
    return Report(passed=not strict, log=code.source)


@node
def pick(codes: list[Code]) -> Code:
    return codes[0]


@node
def start(task: Task, code: Code) -> Attempt:
    return Attempt(task=task, code=code)


@node
def attempt(state: Attempt) -> Again[Attempt] | Done[Code]:
    return Done(state.code)


@node
def translate(text: str, language: str, *, formal: bool = False) -> str:
    return f"{text} in {language} {formal}"


@node
def nothing() -> str:
    return ""


# each


@graph
def unmapped(task: Task) -> Code:
    return write(split(task))  # error


@graph
def item_for_list(task: Task) -> list[Code]:
    return each(write)(task)  # error


@graph
def wrong_items(tasks: list[Task]) -> list[Report]:
    return each(check)(tasks)  # error


@graph
def wrong_chain(tasks: list[Task]) -> list[Code]:
    return each(write)(each(write)(tasks))  # error


@graph
def list_for_result(tasks: list[Task]) -> Code:
    return each(write)(tasks)  # error


@graph
def wrong_results(tasks: list[Task]) -> list[Report]:
    return each(write)(tasks)  # error


@graph
def kept_for_sure(tasks: list[Task]) -> Code:
    return pick(each(write, on_error="keep")(tasks))  # error


@graph
def kept_returned(tasks: list[Task]) -> list[Code]:
    return each(write, on_error="keep")(tasks)  # error


@graph
def missing_broadcast(texts: list[str]) -> list[str]:
    return each(translate)(texts)  # error


@graph
def wrong_broadcast(texts: list[str]) -> list[str]:
    return each(translate)(texts, 3)  # error


@graph
def wrong_broadcast_keyword(texts: list[str]) -> list[str]:
    return each(translate)(texts, language="fr", polite=True)  # error


@graph
def wrong_broadcast_type(texts: list[str]) -> list[str]:
    return each(translate)(texts, "fr", formal="yes")  # error


@graph
def too_deep(tasks: list[Task]) -> list[list[Code]]:
    return each(each(write))(tasks)  # error


@graph
def too_flat(rows: list[list[Task]]) -> list[Code]:
    return each(each(write))(rows)  # error


@graph
def no_items() -> list[Code]:
    return each(write)()  # error


@graph
def wrong_first(failed: list[Code | Failed]) -> str:
    return failed[0].message  # error


each_of_nothing = each(nothing)  # error
each_of_text = each("write")  # error
each_of_list = each([write])  # error
each_ignored = each(write, on_error="ignore")  # error
each_on_what = each(write, on=ValueError)  # error
each_on_raise = each(write, on_error="raise", on=ValueError)  # error
each_on_text = each(write, on_error="keep", on="ValueError")  # error
each_on_value = each(write, on_error="skip", on=ValueError("x"))  # error
each_on_cancelling = each(write, on_error="skip", on=KeyboardInterrupt)  # error
each_unknown = each(write, parallel=3)  # error
each_slow = each(write, concurrency="3")  # error
each_wrong: Node[..., list[Report]] = each(write)  # error


# loop


@node
def wrong_again(state: Attempt) -> Again[Task] | Done[Code]:
    return Done(state.code)


@node
def plain_body(state: Attempt) -> Attempt:
    return state


@node
def either_body(state: Attempt) -> Again[Attempt] | Code:
    return state.code


@node
def optional_body(state: Attempt) -> Again[Attempt] | Done[Code] | None:
    return Done(state.code)


@node
def with_step(state: int, step: int) -> Again[int] | Done[str]:
    return Again(state + step) if state < 10 else Done(str(state))


@node
def wrong_inside(state: Attempt) -> Again[Attempt] | Done[Code]:
    if state.code.source:
        return Done(state)  # error
    return Again(state.task)  # error


@node
def last_task(state: Attempt) -> Task:
    return state.task


@node
def code_of_task(task: Task) -> Code:
    return Code(source=task.text)


wrong_state = loop(wrong_again, rounds=3)  # error
no_outcome = loop(plain_body, rounds=3)  # error
half_outcome = loop(either_body, rounds=3)  # error
optional_outcome = loop(optional_body, rounds=3)  # error
agent_body = loop(write, rounds=3)  # error
unbounded = loop(attempt)  # error
wrong_rounds = loop(attempt, rounds="3")  # error
wrong_name = loop(attempt, round=3)  # error
wrong_otherwise: Node[..., Code] = loop(attempt, rounds=3, otherwise=last_task)  # error
otherwise_of_other_state = loop(attempt, rounds=3, otherwise=code_of_task)  # error
loop_of_nothing = loop(nothing, rounds=3)  # error


@graph
def wrong_start(task: Task) -> Code:
    return loop(attempt, rounds=5)(task)  # error


@graph
def list_of_starts(attempts: list[Attempt]) -> Code:
    return loop(attempt, rounds=5)(attempts)  # error


@graph
def wrong_result(task: Task) -> Attempt:
    return loop(attempt, rounds=5)(start(task, write(task)))  # error


@graph
def wrapped_result(task: Task) -> Done[Code]:
    return loop(attempt, rounds=5)(start(task, write(task)))  # error


@graph
def unlooped(task: Task) -> Code:
    return attempt(start(task, write(task)))  # error


@graph
def missing_step(state: int) -> str:
    return loop(with_step, rounds=5)(state)  # error


@graph
def wrong_step(state: int) -> str:
    return loop(with_step, rounds=5)(state, "1")  # error


@graph
def use_of_result(state: Attempt) -> Report:
    return check(loop(attempt, rounds=5)(state).value)  # error


@graph
def loop_for_its_result(state: Attempt) -> Report:
    start(state.task, state.code)
    return check(loop(attempt, rounds=5))  # error


# switch


@node
def rate(task: Task) -> Literal["easy", "hard"]:
    return "easy" if task.text else "hard"


@node
def is_short(task: Task) -> bool:
    return len(task.text) < 10


@node
def describe(task: Task) -> Report:
    return Report(passed=True, log=task.text)


wrong_arm: Node[..., Code] = switch(rate, {"easy": write, "hard": describe})  # error
other_arguments = switch(rate, {"easy": write, "hard": check})  # error
more_arguments = switch(rate, {"easy": write, "hard": start})  # error
arm_by_name = switch(rate, {"easy": write, "hard": "solve"})  # error
no_arms = switch(rate)  # error
list_of_arms = switch(rate, [write, write])  # error
wrong_default: Node[..., Code] = switch(rate, {"easy": write}, default=describe)  # error
default_of_other_arguments = switch(rate, {"easy": write}, default=check)  # error
key_is_text = switch("easy", {"easy": write, "hard": write})  # error


@graph
def wrong_switch_input(text: str) -> Code:
    return switch(rate, {"easy": write, "hard": write})(text)  # error


@graph
def wrong_switch_result(task: Task) -> Report:
    return switch(rate, {"easy": write, "hard": write})(task)  # error


@graph
def extra_switch_argument(task: Task) -> Code:
    return switch(is_short, {True: write, False: write})(task, True)  # error
