"""Where a checker is wrong about right code, or blind to wrong code; each marked line says for which checkers it is an error.

What no checker flags here that is wrong raises `GraphError` when the graph is defined. A checker that gets better fails the
test, and then the line moves to one of the other files.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Literal

from pydantic import BaseModel

from swarmlet import (
    Again,
    Agent,
    Budget,
    Done,
    DropOldest,
    Limits,
    Message,
    Node,
    Said,
    Window,
    agent,
    best,
    cascade,
    current,
    each,
    graph,
    loop,
    match,
    node,
    race,
    switch,
    team,
    vote,
    within,
)


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


class Level(Enum):
    LOW = 1
    HIGH = 2


@agent(Code)
def write(task: Task) -> str:
    return task.text


@node
def describe(task: Task) -> Report:
    return Report(passed=bool(task.text))


@node
def rate(task: Task) -> Literal["easy", "hard"]:
    return "easy" if task.text else "hard"


@node
def level_of(task: Task) -> Level:
    return Level.LOW if task.text else Level.HIGH


@node
def is_short(task: Task) -> bool:
    return len(task.text) < 10


@node
def show(value: Code | Report) -> str:
    return str(value)


# Right code. ty takes parameter lists as invariant, names included: `(task: Task)` is no `[Task]`. A helper that is generic
# in P and T, or that takes a `Callable`, is fine.

named: Node[[Task], Code] = write  # error: ty
named_agent: Agent[[Task], Code] = write  # error: ty


# Right code. pyright takes them as invariant too: a map takes a list or an async iterable, so it also takes a list.

mapped: Node[[Sequence[Task]], list[Code]] = each(write)  # error: pyright, ty
mapped_in_full = each(write)


# Right code. mypy does not take `...` for a first parameter and others, where the node is made. Write it out, or leave it out.


@agent(Code)
def triage(chat: Sequence[Message], user: str) -> list[Message]:
    return [*chat, Message.user(user)]


@agent(Report)
def billing(chat: Sequence[Message], user: str) -> list[Message]:
    return [*chat, Message.user(user)]


@node
def on_code(code: Code) -> Task:
    return Task(text=code.source)


@node
def on_report(report: Report) -> str:
    return report.log


any_team: Node[..., Said[Code | Report]] = team(triage, billing)  # error: mypy
any_match: Node[..., Task | str] = match(on_code, on_report)  # error: mypy
made_team = team(triage, billing)
made_match = match(on_code, on_report)
any_made_team: Node[..., Said[Code | Report]] = made_team
any_made_match: Node[..., Task | str] = made_match


# Right code. For the checkers the names of arguments are part of what a node takes, as it can be called with them; what is
# made of nodes with other names takes its arguments by position. So give arms, and judges of the result and its arguments,
# the names that the first node has. (A fallback is called as the node itself, and an arm's value is given by position.)


@agent(Code)
def write_from(assignment: Task) -> str:
    return assignment.text


raced_names = race(write, write_from)  # error
cascaded_names = cascade(write, write_from, accept=lambda code: code.source != "")  # error
scored_names = best(write, of=3, score=lambda code, t: len(code.source) - len(t.text))  # error
scored_with_same_names = best(write, of=3, score=lambda code, task: len(code.source) - len(task.text))
fallback_names = write.with_options(fallback=write_from)  # error
exhausted_names = within(write, Budget(requests=1), on_exhausted=write_from)  # error


# Right code. A plain async function is no different from a sync one for a combinator, but its result is a coroutine for a
# checker. Make it a node.


async def is_enough(code: Code) -> bool:
    return code.source != ""


accepted_later = cascade(write, write, accept=is_enough)  # error
accepted_by_node = cascade(write, write, accept=node(is_enough))


async def write_later(task: Task) -> Code:
    return Code(source=task.text)


@graph
def exhausted_later(task: Task) -> Code:
    return within(write, Budget(requests=1), on_exhausted=write_later)(task)  # error


@graph
def exhausted_by_node(task: Task) -> Code:
    return within(write, Budget(requests=1), on_exhausted=node(write_later))(task)


# Right code. What is asked for at run time is a class for a checker, and a union is none. Ask for `object` and tell them apart.


@node
def told_apart(state: Code | Report) -> Again[Code | Report] | Done[int]:
    current().history(Code | Report)  # error
    earlier = [one for one in current().history(object) if isinstance(one, Code)]
    return Done(len(earlier) if isinstance(state, Code) else 0)


# Right code. ty decides on what the arms take by what the node is wanted for. Give the `match` a name first.


@node
def again(code: Code) -> Again[Code | Report] | Done[Task]:
    return Done(Task(text=code.source))


@node
def enough(report: Report) -> Again[Code | Report] | Done[Task]:
    return Done(Task(text=report.log))


matched_in_loop = loop(match(again, enough), rounds=2)  # error: ty
matched_as: Node[[Code | Report], Again[Code | Report] | Done[Task]] = match(again, enough)  # error: ty
again_or_enough = match(again, enough)
loop_of_match = loop(again_or_enough, rounds=2)


# Right code. mypy joins the results of the arms to their nearest common base, where the others make a union. The type of
# the node, written down, helps it.


@graph
def joined(task: Task) -> Code | Report:
    return switch(rate, {"easy": write, "hard": describe})(task)  # error: mypy


written_down: Node[[Task], Code | Report] = switch(rate, {"easy": write, "hard": describe})


@graph
def not_joined(task: Task) -> str:
    return show(written_down(task))


# Right code. The same for five runners or rungs of different results; four have a union. Race races.


@agent(str)
def say(task: Task) -> str:
    return task.text


@agent(int)
def guess(task: Task) -> str:
    return task.text


@graph
def five_joined(task: Task) -> Code | Report | str | int:
    return race(write, describe, say, guess, say)(task)  # error: mypy


@graph
def five_not_joined(task: Task) -> Code | Report | str | int:
    return race(write, describe, say, race(guess, say))(task)


# Right code. The same for two kinds of `Done`; `Done[Code | Report]` is fine.


@node
def two_results(state: Attempt) -> Again[Attempt] | Done[Code] | Done[Report]:
    return Done(state.code)


@graph
def two_results_joined(state: Attempt) -> Code | Report:
    return loop(two_results, rounds=2)(state)  # error: mypy


# Wrong code. The keys of the arms widen the type of the key: a result type is covariant, so `Literal["easy", "hard"]` counts
# as `str`. mypy alone decides on the key first.

wrong_key = switch(rate, {"easy": write, "medium": write, "hard": write})  # error: mypy
wrong_enum_key = switch(level_of, {Level.LOW: write, "high": write}, default=write)  # error: mypy
wrong_key_type = switch(is_short, {True: write, "no": write, False: write})  # error: mypy


# Wrong code. What `otherwise` gives must be what the loop gives. mypy says so here; for the others the result is the union
# of both, which they flag where it is used as `Code`.


@node
def attempt(state: Attempt) -> Again[Attempt] | Done[Code]:
    return Done(state.code)


@node
def give_up(state: Attempt) -> Report:
    return Report(passed=not state.code)


wider_result = loop(attempt, rounds=3, otherwise=give_up)  # error: mypy


@graph
def wider_result_used(state: Attempt) -> Code:
    return wider_result(state)  # error: pyright, ty


# Wrong code. All arms take what the first one takes. pyright and ty take what all of them can be called with, and flag a
# call of the result that the strictest arm does not take.


@node
def write_any(task: Task | str) -> Code:
    return Code(source=str(task))


@agent(Code)
def improve(code: Code) -> str:
    return code.source


@node
def write_more(task: Task, hints: int = 3) -> Code:
    return Code(source=task.text * hints)


@node
def on_code_with_tone(code: Code, tone: str = "dry") -> str:
    return f"{code} {tone}"


@node
def score_by_keyword(code: Code, *, task: Task) -> float:
    return len(code.source) / len(task.text)


@node
def score_hints(code: Code, task: Task, hints: int) -> float:
    return len(code.source) / len(task.text) * hints


@node
def write_by_keyword(*, task: Task) -> Code:
    return Code(source=task.text)


@graph
def write_any_of_both(task: Task | str) -> Code:
    return improve(write_any(task))


narrower_runner = race(write_any, write)  # error: mypy
shorter_runner = race(write_more, write)  # error: mypy
shorter_arm = match(on_code_with_tone, on_report)  # error: mypy
keyword_judge = best(write, of=3, score=score_by_keyword)  # error: mypy
stricter_judge = best(write_more, of=3, score=score_hints)  # error: mypy
narrower_exhausted = within(write_any_of_both, Budget(requests=1), on_exhausted=write)  # error: mypy
exhausted_by_keyword = within(write, Budget(requests=1), on_exhausted=write_by_keyword)  # error: mypy


@graph
def narrower_runner_used() -> Code:
    return narrower_runner("text")  # error: pyright, ty


@graph
def narrower_exhausted_used() -> Code:
    return narrower_exhausted("text")  # error: pyright, ty


@graph
def exhausted_by_keyword_used(task: Task) -> Code:
    return exhausted_by_keyword(task)  # error: pyright, ty


# Wrong code. A fit gives `Fitted`, and no messages. ty looks into a lambda, but not into one in a list.

fit_lambda_in_list = agent(Code, fit=[lambda messages, room: messages[-2:]])  # error: pyright, mypy
fit_lambda_after_another = agent(Code, fit=[DropOldest(), lambda messages, room: messages[-2:]])  # error: pyright, mypy


# Wrong code. mypy takes what the members of a team have in common, which here is nothing: it flags each use.


@agent(Report)
def other_user(chat: Sequence[Message], user: int) -> str:
    return f"{chat} {user}"


team_of_users = team(triage, other_user)  # error: pyright, ty


@graph
def no_team(user: str) -> Said[Code | Report]:
    return team(triage, other_user)([], user)  # error


# Wrong code that nobody sees: for a checker an arm may take more than it is given, if it can be left out.

longer_runner = race(write, write_more)
longer_fallback = write.with_options(fallback=write_more)
longer_exhausted = within(write, Budget(requests=1), on_exhausted=write_more)


# Wrong code that nobody sees. The type system has no word for "every value has an arm", for "not taken before", for "at
# least 1", for "has a time zone", for "another name", for "one of these at least", for "an amount", for "a number but no bool",
# for "not above that one", for "calls a model".


@node
def on_anything(value: object) -> str:
    return str(value)


never_reached = match(on_anything, on_code)
never_agreed = vote(write, of=3, quorum=4)
no_zone = write.with_options(deadline=datetime(2030, 1, 1))
one_name = team(triage, triage)
not_covered = switch(rate, {"easy": write})
no_rounds = loop(attempt, rounds=0)
no_limit = Budget()
no_tokens = Budget(tokens=0)
a_true_token = Budget(tokens=True)
no_amount = Budget(usd="two cents")
two_windows = Limits(requests=(Window(10, 60), Window(20, 60)))
min_above_max = agent(Code, max_tokens=100, min_tokens=200)
priority_flag = write.with_options(priority=True)
nothing_to_pay = within(write_any, Budget(requests=1))


# Wrong code that nobody sees: for a checker a ref is the value, so it cannot know what has no value yet.


@graph
def too_early(task: Task) -> Code:
    if write(task).source == "":
        return write(Task(text=f"{task.text}!"))
    return write(task)
