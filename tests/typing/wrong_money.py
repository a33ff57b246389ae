"""Wrong budgets, limits, caches and fits. Each line that is marked must be flagged by every checker, and no other line."""

from collections.abc import Awaitable, Sequence
from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel
from tenacity import stop_after_delay, wait_fixed

from swarmlet import Again, Agent, Budget, BudgetExceeded, Done, DropOldest, Failed, Fitted, Left, Limits, MemoryCache
from swarmlet import Message, Node, OpenAIModel, Partial, Retry, Room, Run, SqliteCache, Summarise, Swarm, Truncate
from swarmlet import Window, agent, best, current, each, graph, match, node, race, run_sync, within
from swarmlet.bridges.limits import RedisLimits
from swarmlet.models.base import ChatReply
from swarmlet.models.cache import ReplyCache
from swarmlet.models.fit import Fit


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


@agent(Report)
def describe(task: Task) -> str:
    return task.text


@agent(str)
def say(task: Task) -> str:
    return task.text


@agent(str)
def translate(text: str, language: str, *, formal: bool = False) -> str:
    return f"{language}: {text} {formal}"


@agent(str)
def brief(text: str) -> str:
    return text


@agent(int)
def guess(text: str) -> str:
    return text


@agent(str)
def brief_of_lines(lines: list[str]) -> str:
    return "\n".join(lines)


@node
def check(code: Code) -> Report:
    return Report(passed=bool(code.source))


@node
def nothing() -> Code:
    return Code(source="")


@node
def with_hints(task: Task, hints: int) -> Code:
    return Code(source=f"{task.text} {hints}")


@node
def cut_short(text: str, language: int) -> str:
    return text[:language]


@node
def on_code(code: Code) -> Report:
    return Report(passed=True, log=code.source)


@node
def on_report(report: Report) -> Report:
    return report


def plain(task: Task) -> Code:
    return Code(source=task.text)


def plain_of_code(code: Code) -> Code:
    return code


def worth(code: Code) -> float:
    return float(len(code.source))


cents = Budget(usd="0.02")


# Budgets

float_usd = Budget(usd=0.02)  # error
float_in_variable = 0.5
float_usd_by_name = Budget(usd=float_in_variable)  # error
usd_of_nothing = Budget(usd=[])  # error
half_a_token = Budget(tokens=0.5)  # error
tokens_in_words = Budget(tokens="1000")  # error
input_in_words = Budget(input_tokens="1000")  # error
output_as_float = Budget(output_tokens=1e3)  # error
requests_as_float = Budget(requests=2.0)  # error
seconds_in_words = Budget(seconds="60")  # error
seconds_as_delta = Budget(seconds=timedelta(minutes=1))  # error
seconds_as_decimal = Budget(seconds=Decimal(3))  # error
by_position = Budget(1000)  # error
by_two_positions = Budget("0.02", 3)  # error
unknown = Budget(dollars=5)  # error
unknown_kind = Budget(tokens=1000, calls=3)  # error
cents.usd = Decimal(1)  # error
more = cents + cents  # error
doubled = cents * 2  # error
limit = cents.dollars  # error
usd_as_text: str = cents.usd  # error


# Options

number_for_budget = write.with_options(budget=5)  # error
text_for_budget = write.with_options(budget="0.02")  # error
pair_for_budget = write.with_options(budget=(cents, cents))  # error
budget_class = write.with_options(budget=Budget)  # error
left_for_budget = write.with_options(budget=Left(tokens=3))  # error
limits_for_budget = write.with_options(budget=Limits())  # error
reserve_in_words = write.with_options(reserve="0.02")  # error
reserve_as_decimal = write.with_options(reserve=Decimal("0.02"))  # error
reserve_as_delta = write.with_options(reserve=timedelta(seconds=3))  # error
cache_in_words = write.with_options(cache="yes")  # error
cache_object = write.with_options(cache=MemoryCache())  # error
cache_number = write.with_options(cache=1)  # error
priority_in_words = write.with_options(priority="high")  # error
priority_as_float = write.with_options(priority=1.5)  # error
limits_as_option = write.with_options(limits=Limits())  # error
fit_as_option = write.with_options(fit=DropOldest())  # error
usd_as_option = write.with_options(usd="0.02")  # error
retry_seconds_in_words = Retry(seconds="30")  # error
retry_stop_as_number = Retry(stop=30)  # error
retry_stop_as_wait = Retry(stop=wait_fixed(3))  # error
retry_wait_as_number = Retry(wait=1)  # error
retry_wait_as_stop = Retry(wait=stop_after_delay(3))  # error
retry_on_instance = Retry(on=OSError("locked"))  # error
retry_on_list = Retry(on=[OSError])  # error
retry_on_some_text = Retry(on=(OSError, "locked"))  # error
retry_on_judge_of_text = Retry(on=lambda error: error + "")  # error
retry_on_no_judge = Retry(on=lambda: True)  # error
retry_by_position = Retry(3)  # error
retry_for_budget = write.with_options(retry=cents)  # error


@graph
def options_keep_the_type(task: Task) -> Report:
    return write.with_options(budget=cents, cache=True, priority=2)(task)  # error


@graph
def options_keep_the_parameters(task: Task) -> Code:
    return write.with_options(budget=cents, reserve=cents)(task.text)  # error


# within: what it takes

number_for_money = within(write, 5)  # error
text_for_money = within(write, "0.02")  # error
no_budget = within(write)  # error
no_body = within(budget=cents)  # error
none_for_budget = within(write, None)  # error
other_order = within(cents, write)  # error
loose_limits = within(write, usd="0.02")  # error
body_by_name = within("write", cents)  # error
body_list = within([write, describe], cents)  # error
body_value = within(Code(source=""), cents)  # error
two_budgets = within(write, cents, cents)  # error
unknown_argument = within(write, cents, otherwise=describe)  # error
exhausted_by_position = within(write, cents, "raise")  # error
node_by_position = within(write, cents, describe)  # error
unknown_word = within(write, cents, on_exhausted="ignore")  # error
capital_word = within(write, cents, on_exhausted="Raise")  # error
exhausted_none = within(write, cents, on_exhausted=None)  # error
exhausted_value = within(write, cents, on_exhausted=Code(source=""))  # error
exhausted_error = within(write, cents, on_exhausted=ValueError("dear"))  # error
exhausted_list = within(write, cents, on_exhausted=[describe])  # error
exhausted_budget = within(write, cents, on_exhausted=cents)  # error
exhausted_of_others = within(write, cents, on_exhausted=check)  # error
exhausted_of_fewer = within(write, cents, on_exhausted=nothing)  # error
exhausted_of_more = within(write, cents, on_exhausted=with_hints)  # error
exhausted_with_other_type = within(translate, cents, on_exhausted=cut_short)  # error
exhausted_without_keyword = within(translate, cents, on_exhausted=brief)  # error
exhausted_function = within(write, cents, on_exhausted=plain_of_code)  # error
exhausted_lambda = within(write, cents, on_exhausted=lambda: Code(source=""))  # error
exhausted_for_item = within(each(write), cents, on_exhausted=write)  # error
exhausted_for_items = within(write, cents, on_exhausted=each(write))  # error
exhausted_for_other_items = within(each(write), cents, on_exhausted=each(check))  # error
exhausted_by_partial = within(write, cents, on_exhausted=Partial)  # error
partial_for_one: Node[..., Code] = within(write, cents)  # error
partial_for_agent: Agent[..., Code | Partial] = within(write, cents)  # error
partial_of_other: Node[..., Report | Partial] = within(write, cents)  # error
other_for_one: Node[..., Code] = within(write, cents, on_exhausted=describe)  # error
raise_for_one: Node[..., Report] = within(write, cents, on_exhausted="raise")  # error
name_of_within = within(write, cents, name="frugal")  # error


# within: what it gives


@graph
def partial_as_code(task: Task) -> Code:
    return within(write, cents)(task)  # error


@graph
def partial_in_words_as_code(task: Task) -> Code:
    return within(write, cents, on_exhausted="partial")(task)  # error


@graph
def partial_passed_on(task: Task) -> Report:
    return check(within(write, cents)(task))  # error


@graph
def partial_field(task: Task) -> str:
    return within(write, cents)(task).source  # error


@graph
def partial_message(task: Task) -> str:
    return within(write, cents)(task).message  # error


@graph
def partial_not_matched(task: Task) -> Report:
    return match(on_code, on_report)(within(write, cents)(task))  # error


@graph
def partial_list(tasks: list[Task]) -> list[Code | Partial]:
    return within(each(write), cents)(tasks)  # error


@graph
def list_of_partials(tasks: list[Task]) -> list[Code] | Partial:
    return each(within(write, cents))(tasks)  # error


@graph
def partials_for_failures(tasks: list[Task]) -> list[Code | Failed]:
    return each(within(write, cents), on_error="keep")(tasks)  # error


@graph
def partial_item(tasks: list[Task]) -> Code:
    return within(each(write), cents)(tasks)[0]  # error


@graph
def partial_in_race(task: Task) -> Code:
    return race(within(write, cents), write)(task)  # error


@graph
def partial_argument(task: Task) -> Code | Partial:
    return within(write, cents)(task.text)  # error


@graph
def partial_without_argument() -> Code | Partial:
    return within(write, cents)()  # error


@graph
def partial_keyword(text: str) -> str | Partial:
    return within(translate, cents)(text, language="fr", formal="yes")  # error


@graph
def partial_unknown_keyword(text: str) -> str | Partial:
    return within(translate, cents)(text, "fr", polite=True)  # error


@graph
def another_as_code(task: Task) -> Code:
    return within(write, cents, on_exhausted=describe)(task)  # error


@graph
def another_as_partial(task: Task) -> Code | Partial:
    return within(write, cents, on_exhausted=describe)(task)  # error


@graph
def another_field(task: Task) -> str:
    return within(write, cents, on_exhausted=describe)(task).source  # error


@graph
def another_that_is_partial(task: Task) -> Code | Report:
    return within(write, cents, on_exhausted=within(describe, cents))(task)  # error


@graph
def another_argument(task: Task) -> Code | Report:
    return within(write, cents, on_exhausted=describe)(task.text)  # error


@graph
def raised_as_report(task: Task) -> Report:
    return within(write, cents, on_exhausted="raise")(task)  # error


@graph
def raised_argument(task: Task) -> Code:
    return within(write, cents, on_exhausted="raise")(task.text)  # error


judged_partial = best(within(write, cents), of=3, score=worth)  # error
backed_by_partial = write.with_options(fallback=within(write, cents))  # error
backed_for_partial = within(write, cents).with_options(fallback=check)  # error
backed_raise = within(write, cents, on_exhausted="raise").with_options(fallback=describe)  # error


def of_partial(result: Code | Partial, partial: Partial) -> str:
    print(result.source)  # error
    print(result.message)  # error
    print(partial.output)  # error
    print(partial.kinds)  # error
    print(partial.error.kind)  # error
    print(partial.finished["write"].source)  # error
    print(partial.finished[0])  # error
    partial.kind = "usd"  # error
    partial.finished["write"] = 3  # error
    spent: int = partial.kind  # error
    codes: list[Code] = list(partial.finished.values())  # error
    if isinstance(result, Partial):
        return result.source  # error
    print(result.kind)  # error
    return f"{spent} {codes}"


def of_runs(task: Task) -> Code:
    whole: Run[Code] = run_sync(within(write, cents), task)  # error
    code: Code = run_sync(within(write, cents, on_exhausted=describe), task).output  # error
    print(whole, code)
    return run_sync(within(write, cents), task).output  # error


def of_error(error: BudgetExceeded) -> None:
    print(error.budget)  # error
    kind: int = error.kind  # error
    print(kind)


# Maps that warm the cache of the provider

warm_in_words = each(write, warm="yes")  # error
warm_count = each(write, warm=1)  # error
warm_none = each(write, warm=None, on_error="skip")  # error
warm_kept_in_words = each(write, warm="first", on_error="keep")  # error
warm_unknown = each(write, warmup=True)  # error
warm_by_position = each(write, True)  # error


@graph
def warm_result(tasks: list[Task]) -> list[Report]:
    return each(write, warm=True)(tasks)  # error


@graph
def warm_argument(task: Task) -> list[Code]:
    return each(write, warm=True)(task)  # error


# Conversations that are cut to fit


def of_messages(messages: tuple[Message, ...]) -> Fitted:
    return Fitted(messages)


def of_three(messages: tuple[Message, ...], room: Room, keep: int) -> Fitted:
    return Fitted(messages[-keep:] if room else messages)


def of_list(messages: list[Message], room: Room) -> Fitted:
    return Fitted(tuple(messages) if room else ())


def of_number(messages: tuple[Message, ...], room: int) -> Fitted:
    return Fitted(messages[-room:])


def of_keyword(messages: tuple[Message, ...], *, room: Room) -> Fitted:
    return Fitted(messages if room else ())


def gives_messages(messages: tuple[Message, ...], room: Room) -> tuple[Message, ...]:
    return messages if room else ()


def gives_perhaps(messages: tuple[Message, ...], room: Room) -> Fitted | None:
    return Fitted(messages) if room else None


def gives_nothing(messages: tuple[Message, ...], room: Room) -> None:
    print(messages, room)


async def gives_messages_later(messages: tuple[Message, ...], room: Room) -> Sequence[Message]:
    return messages if room else ()


def last_two(messages: tuple[Message, ...], room: Room) -> Fitted:
    return Fitted(messages[-2:] if room else messages)


class Cuts:
    def cut(self, messages: tuple[Message, ...], room: Room) -> Fitted:
        return last_two(messages, room)


fit_by_name = agent(Code, fit="oldest")  # error
fit_number = agent(Code, fit=3)  # error
fit_flag = agent(Code, fit=True)  # error
fit_class = agent(Code, fit=DropOldest)  # error
fit_summary_class = agent(Code, fit=Summarise)  # error
fit_truncate_class = agent(Code, fit=Truncate)  # error
fit_class_in_list = agent(Code, fit=[DropOldest])  # error
fit_names = agent(Code, fit=["oldest"])  # error
fit_one_name = agent(Code, fit=[DropOldest(), "longest"])  # error
fit_set = agent(Code, fit={last_two})  # error
fit_node = agent(Code, fit=brief)  # error
fit_nodes = agent(Code, fit=[brief])  # error
fit_object = agent(Code, fit=Cuts())  # error
fit_fitted = agent(Code, fit=Fitted(()))  # error
fit_of_messages = agent(Code, fit=of_messages)  # error
fit_of_three = agent(Code, fit=of_three)  # error
fit_of_list = agent(Code, fit=of_list)  # error
fit_of_number = agent(Code, fit=of_number)  # error
fit_of_keyword = agent(Code, fit=of_keyword)  # error
fit_gives_messages = agent(Code, fit=gives_messages)  # error
fit_gives_perhaps = agent(Code, fit=gives_perhaps)  # error
fit_gives_nothing = agent(Code, fit=gives_nothing)  # error
fit_gives_messages_later = agent(Code, fit=gives_messages_later)  # error
fit_in_list = agent(Code, fit=[last_two, of_messages])  # error
fit_in_tuple = agent(Code, fit=(DropOldest(), gives_messages))  # error
fit_lambda = agent(Code, fit=lambda messages: Fitted(messages))  # error
fit_lambda_of_messages = agent(Code, fit=lambda messages, room: messages[-2:])  # error
fit_annotated: Fit = gives_messages  # error
fit_called = agent(Code, fit=last_two(()))  # error

drop_in_words = DropOldest(keep_task="yes")  # error
drop_count = DropOldest(keep=3)  # error
drop_three = DropOldest(True, True, True)  # error
truncate_part = Truncate("tools")  # error
truncate_number = Truncate(64)  # error
truncate_in_words = Truncate("tool", keep="64")  # error
truncate_half = Truncate(keep=0.5)  # error
fitted_list = Fitted([Message.user("hello")])  # error
fitted_text = Fitted(("hello",))  # error
fitted_message = Fitted(Message.user("hello"))  # error
fitted_cuts = Fitted((), cuts=3)  # error
fitted_nothing = Fitted()  # error

summary_of_nothing = Summarise()  # error
summary_by_name = Summarise("brief")  # error
summary_by_text_class = Summarise(by=3)  # error
summary_of_task = Summarise(say)  # error
summary_of_lines = Summarise(brief_of_lines)  # error
summary_of_two = Summarise(translate)  # error
summary_of_none = Summarise(nothing)  # error
summary_to_number = Summarise(guess)  # error
summary_to_code = Summarise(plain)  # error
summary_to_partial = Summarise(within(brief, cents))  # error
summary_to_list = Summarise(each(brief))  # error
summary_called = Summarise(brief("text"))  # error
summary_lambda_of_two = Summarise(lambda text, language: f"{text} {language}")  # error
summary_lambda_to_number = Summarise(lambda text: len(text))  # error
summary_keep = Summarise(brief, keep="6")  # error
summary_half = Summarise(brief, keep=1.5)  # error
summary_unknown = Summarise(brief, model="small")  # error
summary_twice = Summarise(brief, 3, 4)  # error


async def number_later(text: str) -> int:
    return len(text)


def list_of(text: str) -> Sequence[str]:
    return [text]


summary_to_number_later = Summarise(number_later)  # error
summary_to_sequence = Summarise(list_of)  # error

min_in_words = agent(Code, min_tokens="few")  # error
min_as_float = agent(Code, min_tokens=1e3)  # error
min_of_turns = agent(Code, min_turns=3)  # error
budget_of_agent = agent(Code, budget=cents)  # error
fits_of_agent = agent(Code, fits=DropOldest())  # error


@graph
def fitted_argument(task: Task) -> Code:
    return agent(Code, fit=DropOldest())(plain_prompt)(task.text)  # error


def plain_prompt(task: Task) -> str:
    return task.text


def of_room(room: Room, messages: tuple[Message, ...]) -> int:
    print(room.left)  # error
    print(room.limit())  # error
    print(room.tokens())  # error
    print(room.tokens("text"))  # error
    print(room.holds(messages[0]))  # error
    room.limit = 3  # error
    held: int = room.holds  # error
    later: Awaitable[int] = room.tokens(messages)  # error
    print(held, later)
    return room.counter  # error


# What is left


@node
async def of_left(state: Attempt) -> Again[Attempt] | Done[Code]:
    step = current()
    print(step.budget.dollars)  # error
    print(step.budget.seconds)  # error
    print(step.budget.token)  # error
    print(step.budget["usd"])  # error
    print(step.budget())  # error
    print(step.budget.tokens - 100)  # error
    print(step.budget.requests > 1)  # error
    print(step.budget.usd * 2)  # error
    print(step.budget.left)  # error
    tokens: int = step.budget.tokens  # error
    cost: float | None = step.budget.usd  # error
    given: Budget = step.budget  # error
    step.budget = cents  # error
    step.budget.tokens = 3  # error
    print(step.seconds_left())  # error
    seconds: int = step.seconds_left  # error
    step.seconds_left = 3.5  # error
    print(step.history())  # error
    print(step.history("Attempt"))  # error
    print(step.history(state))  # error
    print(step.history(Attempt, Code))  # error
    print(step.history[Attempt])  # error
    print(step.history(Attempt)[0].source)  # error
    print(step.history(Code)[0].task)  # error
    earlier: list[Attempt] = step.history(Attempt)  # error
    codes: tuple[Code, ...] = step.history(Attempt)  # error
    result: Code = await step.run(within(write, cents), state.task)  # error
    await step.run(within(write, cents), state)  # error
    print(tokens, cost, given, seconds, earlier, codes, result)
    return step.history(Attempt)[-1]  # error


left_in_words = Left(tokens="3")  # error
left_as_float = Left(usd=0.5)  # error
left_by_position = Left(3)  # error
left_of_seconds = Left(seconds=3)  # error


# What a swarm shares


class NoDrop:
    async def ready(self) -> None: ...

    async def get(self, key: str) -> ChatReply | None:
        return None

    async def put(self, key: str, reply: ChatReply) -> None: ...

    async def aclose(self) -> None: ...


class NotAsync:
    def ready(self) -> None: ...

    def get(self, key: str) -> ChatReply | None:
        return None

    def put(self, key: str, reply: ChatReply) -> None: ...

    def drop(self, key: str) -> None: ...

    def aclose(self) -> None: ...


class NoClose:
    def store(self, name: str) -> Limits:
        return Limits() if name else Limits()


swarm_number = Swarm(budget=5)  # error
swarm_text = Swarm(budget="5")  # error
swarm_usd = Swarm(usd="5")  # error
swarm_left = Swarm(budget=Left())  # error
swarm_by_position = Swarm(cents)  # error
cache_flag = Swarm(cache=True)  # error
cache_path = Swarm(cache="replies.db")  # error
cache_class = Swarm(cache=MemoryCache)  # error
cache_dict = Swarm(cache={})  # error
cache_without_drop = Swarm(cache=NoDrop())  # error
cache_not_async = Swarm(cache=NotAsync())  # error
cache_annotated: ReplyCache = NoDrop()  # error
limits_number = Swarm(limits=3)  # error
limits_window = Swarm(limits=Window(600))  # error
limits_budget = Swarm(limits=cents)  # error
limits_class = Swarm(limits=Limits)  # error
store_url = Swarm(limit_store="redis://localhost")  # error
store_limits = Swarm(limit_store=Limits())  # error
store_class = Swarm(limit_store=RedisLimits)  # error
store_cache = Swarm(limit_store=MemoryCache())  # error
store_without_close = Swarm(limit_store=NoClose())  # error
store_unknown = Swarm(store=RedisLimits("redis://localhost"))  # error

minute_in_words = Limits(requests_per_minute="500")  # error
minute_as_float = Limits(tokens_per_minute=2e5)  # error
one_window = Limits(requests=Window(10, 300))  # error
windows_as_list = Limits(requests=[Window(10, 300)])  # error
windows_as_pairs = Limits(tokens=((10, 300),))  # error
windows_as_numbers = Limits(tokens=(10, 300))  # error
concurrency_none = Limits(concurrency=None)  # error
concurrency_in_words = Limits(concurrency="many")  # error
tools_in_words = Limits(tools="8")  # error
unknown_limit = Limits(usd_per_minute=3)  # error
limits_by_position = Limits(500)  # error
window_in_words = Window("10")  # error
window_of_nothing = Window()  # error
window_as_delta = Window(10, timedelta(minutes=5))  # error
window_burst = Window(10, burst="all")  # error
window_unknown = Window(10, minutes=5)  # error
model_limits = OpenAIModel("small", limits=3)  # error
model_window = OpenAIModel("small", limits=Window(10))  # error
model_budget = OpenAIModel("small", budget=cents)  # error
memory_in_words = MemoryCache(max_bytes="1 MB")  # error
memory_by_position = MemoryCache(1000)  # error
memory_ttl = MemoryCache(ttl=timedelta(hours=1))  # error
no_file = SqliteCache()  # error
file_number = SqliteCache(3)  # error
file_ttl = SqliteCache("replies.db", ttl="1h")  # error
redis_of_nothing = RedisLimits()  # error
redis_number = RedisLimits(6379)  # error
redis_lease = RedisLimits("redis://localhost", lease_seconds="600")  # error


async def in_a_swarm(task: Task) -> None:
    async with Swarm(budget=cents, cache=MemoryCache()) as swarm:
        swarm.drain(5)  # error
        await swarm.drain("5 s")  # error
        await swarm.drain(timedelta(seconds=5))  # error
        await swarm.drain(seconds=5)  # error
        drained: bool = await swarm.drain(5)  # error
        await swarm.run(write, task, budget=cents)  # error
        code: Code = (await swarm.run(within(write, cents), task)).output  # error
        print(swarm.budget, code, drained)  # error
        async with swarm.stream(within(write, cents), task) as stream:
            partial: Partial = stream.output  # error
            print(partial)
