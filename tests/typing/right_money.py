"""Budgets, limits, caches and conversations that are cut to fit, as users write them.

No checker may flag a line; only definitions run when the file is imported.
"""

from collections.abc import Awaitable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel
from tenacity import retry_if_exception_type, stop_after_delay, wait_fixed
from typing_extensions import assert_type

from swarmlet import Again, Agent, Budget, BudgetExceeded, Done, DropOldest, Failed, Fitted, Left, Limits, MemoryCache
from swarmlet import Message, Node, OpenAIModel, Partial, Retry, Room, Run, SqliteCache, Summarise, Swarm, Truncate
from swarmlet import Window, agent, best, cascade, current, each, graph, hedge, loop, match, node, race, run_sync
from swarmlet import switch, vote, within
from swarmlet.bridges.limits import PostgresLimits, RedisLimits
from swarmlet.models.base import ChatReply
from swarmlet.models.cache import ReplyCache
from swarmlet.models.fit import Cut, Fit
from swarmlet.models.pace import Store


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


@agent(Code, max_tokens=1000, min_tokens=200)
def write(task: Task) -> str:
    return task.text


@agent(Code)
async def write_well(task: Task) -> str:
    return task.text


@agent(Report)
def describe(task: Task) -> str:
    return task.text


@agent(str)
def translate(text: str, language: str, *, formal: bool = False) -> str:
    return f"{language}: {text} {formal}"


@agent(str)
def brief(text: str) -> str:
    return text


@node
async def from_cache(task: Task) -> Code:
    return Code(source=task.text)


@node
def for_anything(task: Task | str) -> Code:
    return Code(source=str(task))


@node
def cut_short(text: str, language: str, *, formal: bool = False) -> str:
    return f"{text[:10]} {language} {formal}"


@node
def count(text: str, language: str, *, formal: bool = False) -> int:
    return len(text) + len(language) + formal


@node
def count_only(tasks: Sequence[Task]) -> int:
    return len(tasks)


@node
def on_code(code: Code) -> Report:
    return Report(passed=True, log=code.source)


@node
def on_partial(partial: Partial) -> Report:
    return Report(passed=False, log=partial.message)


@node
def is_short(task: Task) -> bool:
    return len(task.text) < 10


@node
async def attempt(state: Attempt) -> Again[Attempt] | Done[Code]:
    return Done(state.code)


@node
def start(task: Task) -> Attempt:
    return Attempt(task=task, code=Code(source=""))


def by_hand(task: Task) -> Code:
    return Code(source=task.text)


def is_code(result: Code | Partial) -> bool:
    return isinstance(result, Code)


def worth(result: Code | Partial) -> float:
    return 1.0 if isinstance(result, Code) else 0.5


# Budgets

cents = Budget(usd="0.02")
dollars = Budget(usd=5)
exact = Budget(usd=Decimal("0.5"), seconds=2.5)
whole_seconds = Budget(seconds=60)
counted = Budget(tokens=1000, input_tokens=900, output_tokens=300, requests=20)
same: bool = cents == Budget(usd="0.02")
tokens: int | None = counted.tokens
seconds: float | None = counted.seconds
perhaps: str | None = "0.5" if same else None
unset = Budget(tokens=1000, usd=perhaps)


# Options

bounded = write.with_options(budget=cents, reserve=Budget(requests=1, tokens=300), cache=True, priority=3)
bounded_agent: Agent[..., Code] = bounded
hasty = write.with_options(reserve=3.5, priority=-1, cache=False)
hasty_in_whole = write.with_options(reserve=3)
bounded_map = each(write, warm=True).with_options(budget=dollars, cache=True)
bounded_loop = loop(attempt, rounds=3).with_options(budget=exact, fallback=node(lambda state: Code(source=str(state))))
patient = write.with_options(retry=Retry(seconds=30, stop=stop_after_delay(20), wait=wait_fixed(1), on=OSError), budget=counted)
choosy = write.with_options(retry=Retry(on=(OSError, ValueError), longest_wait=3))
by_strategy = write.with_options(retry=Retry(on=retry_if_exception_type(OSError) | retry_if_exception_type(KeyError)))
by_predicate = write.with_options(retry=Retry(on=lambda error: "locked" in str(error)))


@graph
def with_options(task: Task) -> list[Code]:
    code = bounded(task)
    assert_type(code, Code)
    codes = bounded_map([task, task])
    assert_type(codes, list[Code])
    looped = bounded_loop(start(task=task))
    assert_type(looped, Code)
    hastily = [hasty(task=task), hasty_in_whole(task)]
    return [code, codes[0], looped, *hastily, patient(task), choosy(task), by_strategy(task), by_predicate(task)]


# within: the result, or a partial one


@graph
def partial(task: Task) -> Code | Partial:
    result = within(write, cents)(task)
    assert_type(result, Code | Partial)
    return result


@graph
def partial_in_words(task: Task) -> Code | Partial:
    result = within(write, Budget(usd="0.02"), on_exhausted="partial")(task=task)
    assert_type(result, Code | Partial)
    return result


@graph
def partial_text(text: str) -> str | Partial:
    result = within(translate, cents)(text, language="fr", formal=True)
    assert_type(result, str | Partial)
    return result


@graph
def partial_map(tasks: list[Task]) -> list[Code] | Partial:
    results = within(each(write), cents)(tasks)
    assert_type(results, list[Code] | Partial)
    return results


@graph
def map_of_partials(tasks: list[Task]) -> list[Code | Partial]:
    results = each(within(write, cents), warm=True)(tasks)
    assert_type(results, list[Code | Partial])
    return results


@graph
def map_of_partials_and_failures(tasks: list[Task]) -> list[Code | Partial | Failed]:
    results = each(within(write, cents), on_error="keep", warm=True)(tasks)
    assert_type(results, list[Code | Partial | Failed])
    return results


@graph
def both(task: Task) -> tuple[Code, Report]:
    return write(task), describe(task)


@graph
def partial_of_two(task: Task) -> tuple[Code, Report] | Partial:
    result = within(both, cents)(task)
    assert_type(result, tuple[Code, Report] | Partial)
    return result


@graph
def partial_union(task: Task) -> Code | Report | Partial:
    result = within(race(write, describe), cents)(task)
    assert_type(result, Code | Report | Partial)
    return result


@graph
def told_apart(task: Task) -> Report:
    report = match(on_code, on_partial)(within(write, cents)(task))
    assert_type(report, Report)
    return report


@graph
def nested(task: Task) -> Code | Partial:
    result = within(within(write, Budget(requests=1)), Budget(requests=3))(task)
    assert_type(result, Code | Partial)
    return result


@graph
def in_contests(task: Task) -> list[Code | Partial]:
    raced = race(within(write, cents), within(write_well, cents))(task)
    assert_type(raced, Code | Partial)
    hedged = hedge(within(write, cents), after=3)(task)
    assert_type(hedged, Code | Partial)
    voted = vote(within(write, cents), of=3)(task)
    assert_type(voted, Code | Partial)
    chosen = best(within(write, cents), of=3, score=worth)(task)
    assert_type(chosen, Code | Partial)
    cascaded = cascade(within(write, cents), write_well, accept=is_code)(task)
    assert_type(cascaded, Code | Partial)
    return [raced, hedged, voted, chosen, cascaded]


@graph
def of_contests(task: Task) -> list[Code | Partial]:
    voted = within(vote(write, of=3), cents)(task)
    assert_type(voted, Code | Partial)
    cascaded = within(cascade(write, write_well, accept=is_code), cents)(task)
    assert_type(cascaded, Code | Partial)
    switched = within(switch(is_short, {True: write, False: write_well}), cents)(task)
    assert_type(switched, Code | Partial)
    looped = within(loop(attempt, rounds=3), cents)(start(task))
    assert_type(looped, Code | Partial)
    return [voted, cascaded, switched, looped]


annotated: Node[..., Code | Partial] = within(write, cents)
wider: Node[..., Code | Report | Partial] = within(write, cents)
widest: Node[..., object] = within(write, cents)


# within: another node


@graph
def another(task: Task) -> Code:
    result = within(write_well, cents, on_exhausted=write)(task)
    assert_type(result, Code)
    return result


@graph
def another_type(text: str) -> str | int:
    result = within(translate, cents, on_exhausted=count)(text, "fr", formal=True)
    assert_type(result, str | int)
    return result


@graph
def another_of_the_same_type(text: str) -> str:
    result = within(translate, cents, on_exhausted=cut_short)(text, "fr")
    assert_type(result, str)
    return result


@graph
def another_for_more(task: Task) -> Code:
    result = within(write, cents, on_exhausted=for_anything)(task)
    assert_type(result, Code)
    return result


@graph
def another_function(task: Task) -> Code:
    result = within(write, cents, on_exhausted=by_hand)(task)
    assert_type(result, Code)
    return result


@graph
def another_lambda(task: Task) -> Code | int:
    result = within(write, cents, on_exhausted=lambda task: len(task.text))(task)
    assert_type(result, Code | int)
    return result


@graph
def another_for_a_map(tasks: list[Task]) -> list[Code] | list[Report]:
    results = within(each(write), cents, on_exhausted=each(describe))(tasks)
    assert_type(results, list[Code] | list[Report])
    return results


@graph
def another_with_a_budget(task: Task) -> Code | Report | Partial:
    result = within(write, cents, on_exhausted=within(describe, dollars))(task)
    assert_type(result, Code | Report | Partial)
    return result


@graph
def another_of_a_contest(task: Task) -> Code:
    result = within(best(write, of=5, score=lambda code: len(code.source)), dollars, on_exhausted=race(write, from_cache))(task)
    assert_type(result, Code)
    return result


@graph
def in_a_map(tasks: list[Task]) -> list[Code | Report]:
    results = each(within(write, cents, on_exhausted=describe), concurrency=3, warm=True)(tasks)
    assert_type(results, list[Code | Report])
    return results


another_annotated: Node[..., Code | Report] = within(write, cents, on_exhausted=describe)
with_name = within(write, cents, on_exhausted=describe).with_options(name="frugal", timeout=30, budget=dollars)


@graph
def named(task: Task) -> Code | Report:
    result = with_name(task)
    assert_type(result, Code | Report)
    return result


# within: an error


@graph
def raises(task: Task) -> Code:
    code = within(write, cents, on_exhausted="raise")(task)
    assert_type(code, Code)
    return code


@graph
def raises_in_a_map(tasks: list[Task]) -> list[Code | Failed]:
    results = each(within(write, cents, on_exhausted="raise"), on_error="keep")(tasks)
    assert_type(results, list[Code | Failed])
    return results


@graph
def raises_with_fallback(text: str) -> str:
    said = within(translate, cents, on_exhausted="raise").with_options(fallback=cut_short)(text, language="fr")
    assert_type(said, str)
    return said


@graph
def backed(task: Task) -> Code | Report | Partial:
    result = within(race(write, describe), cents).with_options(fallback=describe)(task)
    assert_type(result, Code | Report | Partial)
    return result


raises_annotated: Node[..., Code] = within(write, cents, on_exhausted="raise")


# What a partial result has


def read_partial(result: Code | Partial) -> str:
    if isinstance(result, Partial):
        assert_type(result.kind, str)
        assert_type(result.message, str)
        assert_type(result.finished, Mapping[str, object])
        assert_type(result.error, BudgetExceeded | None)
        codes = [code for code in result.finished.values() if isinstance(code, Code)]
        assert_type(codes, list[Code])
        if result.error is not None:
            return f"{result.error.kind} {result.error.limit} {result.error.used} {result.error.needed} {result.error.scope}"
        return result.finished["write"].source if isinstance(result.finished["write"], Code) else result.message
    assert_type(result, Code)
    return result.source


def handled(tasks: list[Task]) -> list[Code]:
    result = run_sync(within(each(write), cents), tasks)
    assert_type(result, Run[list[Code] | Partial])
    if isinstance(result.output, Partial):
        return []
    return result.output


# Maps that warm the cache of the provider


@graph
def warm(tasks: list[Task]) -> list[Code]:
    codes = each(write, warm=True, enough=2)(tasks)
    assert_type(codes, list[Code])
    others = each(write, warm=False, on_error="skip", at_least=1, enough=2)(tasks)
    assert_type(others, list[Code])
    return [codes[0], others[0]]


@graph
def warm_and_kept(tasks: list[Task]) -> list[Code | Failed]:
    results = each(write, on_error="keep", warm=True, concurrency=4, at_least=1)(tasks)
    assert_type(results, list[Code | Failed])
    return results


# Conversations that are cut to fit


def last_two(messages: tuple[Message, ...], room: Room) -> Fitted:
    return Fitted(messages[-2:] if not room.holds(messages) else messages)


async def last_later(messages: Sequence[Message], room: Room, /, keep: int = 1) -> Fitted:
    tokens: int = room.tokens(messages) - room.limit
    summary = await current().run(brief, messages[0].text)
    return Fitted((Message.user(summary), *messages[-keep:]), (Cut(0, messages[0].role, tokens, 0),))


def either(messages: tuple[Message, ...], room: Room) -> Fitted | Awaitable[Fitted]:
    return last_later(messages, room) if len(messages) > 3 else last_two(messages, room)


class Newest:
    def __init__(self, keep: int) -> None:
        self.keep = keep

    def __call__(self, messages: tuple[Message, ...], room: Room, /) -> Fitted:
        return Fitted(messages[-self.keep :])


class NewestLater:
    async def __call__(self, messages: tuple[Message, ...], room: Room, /) -> Fitted:
        return await last_later(messages, room)


def sum_up(text: str) -> str:
    return text[:100]


async def sum_up_later(text: str, limit: int = 100) -> str:
    return text[:limit]


@node
def sum_up_by_node(text: str) -> str:
    return text[:100]


@graph
def sum_up_by_graph(text: str) -> str:
    return brief(sum_up_by_node(text))


policies: list[Fit] = [Truncate("tool", keep=32), DropOldest(keep_task=False), last_two, Newest(3)]
of_agent: Fit = Summarise(brief)
of_function: Fit = last_two


@agent(Code, fit=DropOldest())
def dropping(task: Task) -> str:
    return task.text


@agent(Code, fit=[Truncate("tool"), Truncate(), Summarise(brief, keep=4), DropOldest(keep_system=False), last_two, last_later])
def in_order(task: Task) -> str:
    return task.text


@agent(str, fit=(Summarise(sum_up), Summarise(sum_up_later), Summarise(by=sum_up_by_node), Summarise(sum_up_by_graph)))
def summed_up(text: str) -> str:
    return text


@agent(str, fit=policies, min_tokens=None)
def with_policies(text: str) -> str:
    return text


@agent(str, fit=last_two)
def by_function(text: str) -> str:
    return text


@agent(str, fit=last_later)
def by_async_function(text: str) -> str:
    return text


@agent(str, fit=[either, Newest(3), NewestLater(), Truncate("longest")])
def by_objects(text: str) -> str:
    return text


@agent(str, fit=lambda messages, room: Fitted(messages[-1:]) if room.holds(messages[-1:]) else Fitted(messages))
def by_lambda(text: str) -> str:
    return text


@agent(str, fit=())
def not_cut(text: str) -> str:
    return text


@agent(str, fit=None, max_tokens=10, min_tokens=1)
def not_cut_either(text: str) -> str:
    return text


frugal_summary = Summarise(within(brief, cents, on_exhausted=sum_up), keep=2)
strict_summary = Summarise(within(brief, cents, on_exhausted="raise"))
lambda_summary = Summarise(lambda text: text[:100])
bounded_summary = Summarise(brief.with_options(budget=cents, cache=True))


@graph
def cut(task: Task) -> list[str]:
    code = dropping(task)
    assert_type(code, Code)
    other = in_order(task)
    assert_type(other, Code)
    text = summed_up(code.source)
    assert_type(text, str)
    texts = [with_policies(text), by_function(text), by_async_function(text), by_objects(text), by_lambda(text)]
    return [other.source, *texts, not_cut(text), not_cut_either(text)]


# What is left


@node
async def careful(state: Attempt) -> Again[Attempt] | Done[Code]:
    step = current()
    left = step.budget
    assert_type(left, Left)
    assert_type(left.tokens, int | None)
    assert_type(left.input_tokens, int | None)
    assert_type(left.output_tokens, int | None)
    assert_type(left.requests, int | None)
    assert_type(left.usd, Decimal | None)
    assert_type(step.seconds_left, float)
    earlier = step.history(Attempt)
    assert_type(earlier, tuple[Attempt, ...])
    if left.requests is not None and left.requests < 2 or step.seconds_left < 10:
        return Done(earlier[-1].code)
    if left.usd is not None and left.usd < Decimal("0.01"):
        return Done(state.code)
    result = await step.run(within(write, cents), state.task)
    assert_type(result, Code | Partial)
    code = await step.run(within(write, cents, on_exhausted=from_cache), state.task)
    assert_type(code, Code)
    return Again(Attempt(task=state.task, code=code)) if isinstance(result, Partial) else Done(result)


@node
def count_down(state: int) -> Again[int] | Done[int]:
    rounds = current().history(int)
    assert_type(rounds, tuple[int, ...])
    return Done(len(rounds)) if state == 0 else Again(state - 1)


# What a swarm shares


class KeepsNothing:
    async def ready(self) -> None: ...

    async def get(self, key: str) -> ChatReply | None:
        return None

    async def put(self, key: str, reply: ChatReply) -> None: ...

    async def drop(self, key: str) -> None: ...

    async def aclose(self) -> None: ...


class Shared:
    def store(self, name: str) -> Store:
        raise NotImplementedError(name)

    async def aclose(self) -> None: ...


window = Window(600)
azure = Window(10, 300)
bursting = Window(600, burst=300)
fractional = Window(0.5, seconds=1.5, burst=0.25)
paced = Limits(requests_per_minute=500, tokens_per_minute=200_000, concurrency=32, tools=4)
windowed = Limits(requests=(azure, Window(1000, 86_400)), tokens=(Window(90_000),), requests_per_minute=None)
own_limits = OpenAIModel("small", model="gpt-4o-mini", limits=Limits(requests=(Window(10, 300),), concurrency=4))
cache: ReplyCache = MemoryCache(max_bytes=1_000_000, ttl=3600)
in_process = MemoryCache()
kept: int = len(in_process) + in_process.size


async def in_a_swarm(task: Task, path: Path) -> Code:
    async with Swarm(budget=dollars, cache=in_process, limits=paced, models=[own_limits]) as swarm:
        result = await swarm.run(within(write, cents), task)
        assert_type(result, Run[Code | Partial])
        assert_type(result.output, Code | Partial)
        async with swarm.stream(within(write, cents, on_exhausted=describe), task) as stream:
            async for event in stream:
                print(event.at)
            assert_type(stream.output, Code | Report)
        await swarm.drain()
        await swarm.drain(5)
        await swarm.drain(timeout=2.5)
        await swarm.drain(timeout=None)
        raised = await swarm.run(within(write, cents, on_exhausted="raise"), task)
        assert_type(raised.output, Code)
    async with Swarm(budget=Budget(usd="5"), cache=SqliteCache(path / "replies.db"), limit_store=RedisLimits("redis://here")):
        pass
    async with Swarm(cache=SqliteCache("replies.db", max_bytes=10**9, ttl=86_400.0), limit_store=PostgresLimits("here")):
        pass
    async with Swarm(cache=KeepsNothing(), limit_store=Shared(), limits=windowed):
        pass
    async with Swarm(cache=None, limit_store=None, budget=None, limits=None):
        pass
    return raised.output


async def from_settings(task: Task, budget: Budget | None, replies: ReplyCache | None) -> Decimal:
    async with Swarm(budget=budget, cache=replies) as swarm:
        result = await swarm.run(write.with_options(budget=budget, cache=replies is not None), task)
        return result.usage.usd


async def exceeded(task: Task) -> str:
    async with Swarm() as swarm:
        try:
            return (await swarm.run(bounded, task)).output.source
        except BudgetExceeded as error:
            assert_type(error.kind, str)
            assert_type(error.scope, str)
            assert_type(error.path, str)
            return f"{error.kind} of {error.scope}: {error.used} of {error.limit}, {error.needed} needed"
