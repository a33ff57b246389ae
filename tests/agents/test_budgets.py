"""Budgets over a real socket: parallel calls never overshoot, what may fit later waits, what never can is decided at once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any, Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import (
    Budget,
    BudgetExceeded,
    Failed,
    GraphError,
    OpenAIModel,
    Partial,
    Retry,
    Run,
    StepFailed,
    Swarm,
    agent,
    current,
    each,
    graph,
    node,
    race,
    vote,
    within,
)
from swarmlet.errors import PriceUnknown, ReplyTruncated
from swarmlet.models.base import ChatModel, ChatReply, ChatRequest, OnText
from swarmlet.models.profiles import Profile, profile_of
from swarmlet.policy.account import Account, Key, Need, Ticket
from swarmlet.policy.amount import Amount
from swarmlet.policy.ledger import Decision, Ledger, Outcome
from swarmlet.testing import Fail, Hang, RateLimit, Say, ScriptedServer, Tokens, call
from swarmlet.trace.events import CallEnded, CallQueued, CallStarted, Event, StepEnded

from .helpers import FAST, outcome

pytestmark = pytest.mark.anyio


@agent(str, max_tokens=100)
def ask(text: str) -> str:
    return text


@node
def count(texts: list[str]) -> int:
    return len(texts)


def events(run: Any, kind: Any) -> list[Any]:  # Any: a run or what is left of one; a class of events
    return [event for event in run.trace.events if isinstance(event, kind)]


def answering(server: ScriptedServer, text: str = "a short answer") -> None:
    server.when("", text)


async def test_parallel_calls_never_overshoot_and_the_rest_is_told_at_once(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)
    run = await outcome(each(ask, on_error="keep").with_options(budget=Budget(tokens=250)), [f"q{i}" for i in range(40)])
    made = [one for one in run.output if isinstance(one, str)]
    lost = [one for one in run.output if isinstance(one, Failed)]
    assert made
    assert lost
    assert len(made) == len(scripted_server.requests)
    assert run.usage.total_tokens <= 250
    assert {one.type for one in lost} == {"BudgetExceeded"}
    assert scripted_server.max_in_flight <= 2


async def test_what_does_not_fit_now_waits_in_order_and_is_in_the_trace(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)
    run = await outcome(each(ask).with_options(budget=Budget(tokens=2000)), [f"q{i}" for i in range(30)])
    assert len(run.output) == 30
    queued = events(run, CallQueued)
    assert queued
    assert {event.scope for event in queued} == {"ask"}
    waited = {event.path: event.budget_waited for event in events(run, CallStarted)}
    assert all(waited[event.path] > 0 for event in queued)


async def test_every_enclosing_budget_must_admit_a_call(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)

    @graph
    def inner(text: str) -> str:
        return ask(text)

    narrow = inner.with_options(budget=Budget(requests=1))
    with pytest.raises(BudgetExceeded) as caught:
        await outcome(each(narrow).with_options(budget=Budget(requests=2)), ["a", "b", "c"])
    assert (caught.value.kind, caught.value.scope, caught.value.limit) == ("requests", "inner", 2)
    assert len(scripted_server.requests) <= 2


async def test_a_budget_of_the_swarm_holds_over_its_runs(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)
    async with Swarm(budget=Budget(requests=2)) as swarm:
        await swarm.run(ask, "a")
        await swarm.run(ask, "b")
        with pytest.raises(BudgetExceeded, match="the budget of 'the swarm'"):
            await swarm.run(ask, "c")


async def test_the_cap_is_lowered_only_where_the_agent_allows_it(scripted_server: ScriptedServer) -> None:
    @agent(str, max_tokens=1000, min_tokens=20)
    def brief(text: str) -> str:
        return text

    answering(scripted_server)
    run = await outcome(brief.with_options(budget=Budget(output_tokens=50)), "hi")
    assert scripted_server.requests[0].body["max_completion_tokens"] == 50
    assert events(run, CallStarted)[0].max_tokens == 50
    with pytest.raises(BudgetExceeded) as caught:
        await outcome(brief.with_options(budget=Budget(output_tokens=19)), "hi")
    assert (caught.value.kind, caught.value.needed) == ("output_tokens", 20)
    with pytest.raises(BudgetExceeded):
        await outcome(ask.with_options(budget=Budget(output_tokens=99)), "hi")


async def test_a_reply_that_a_lowered_cap_cut_off_says_so(scripted_server: ScriptedServer) -> None:
    @agent(str, max_tokens=1000, min_tokens=1)
    def brief(text: str) -> str:
        return text

    scripted_server.script(Say("one two three four five six"))
    with pytest.raises(StepFailed) as caught:
        await outcome(brief.with_options(budget=Budget(output_tokens=3)), "hi")
    assert isinstance(caught.value.__cause__, ReplyTruncated)
    assert "its budget left no more" in str(caught.value.__cause__)


async def test_refused_calls_cost_requests_and_nothing_else(scripted_server: ScriptedServer) -> None:
    scripted_server.script(RateLimit(retry_after_ms=1), Fail(500), "fine")

    @node
    async def spend(text: str) -> str:
        answer = await current().run(ask.with_options(retry=FAST), text)
        left = current().budget
        assert left.requests == 7
        return f"{answer} {left.tokens}"

    run = await outcome(spend.with_options(budget=Budget(requests=10, tokens=10_000)), "hi")
    uncertain = 10_000 - run.usage.total_tokens - int(run.output.split()[1])
    assert uncertain > 100  # a 500 may have been billed, so its worst case counts


async def test_a_call_that_broke_off_may_have_been_billed(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Hang())

    @node
    async def spend(text: str) -> int:
        async def broken_off() -> None:
            await current().run(ask, text)

        async with anyio.create_task_group() as group:
            group.start_soon(broken_off)
            await scripted_server.wait_for_async(in_flight=1)
            group.cancel_scope.cancel()
        return current().budget.tokens or 0

    left = (await outcome(spend.with_options(budget=Budget(tokens=1000)), "hi")).output
    assert left < 900


async def test_losers_of_a_race_that_were_not_sent_give_everything_back(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)

    @node
    async def at_once(text: str) -> str:
        return text

    @node
    async def spend(text: str) -> int | None:
        await current().run(race(at_once, ask), text)
        return current().budget.requests

    assert (await outcome(spend.with_options(budget=Budget(requests=5)), "hi")).output in (4, 5)


async def test_a_slice_is_kept_for_the_join(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)

    @agent(str, max_tokens=100)
    def report(texts: list[str]) -> str:
        return " ".join(texts)

    @graph
    def whole(texts: list[str]) -> str:
        items = each(ask.with_options(reserve=Budget(requests=1)), on_error="skip")(texts)
        return report(items)

    run = await outcome(whole.with_options(budget=Budget(requests=4)), [f"q{i}" for i in range(9)])
    assert run.output == "a short answer"
    assert len(scripted_server.requests) == 4
    assert run.trace.step("whole/report").state == "finished"


# USD


async def test_a_budget_in_usd_is_exact(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Say("ok", usage=Tokens(input=1000, output=10)))

    @node
    async def spend(text: str) -> Decimal | None:
        await current().run(ask, text)
        return current().budget.usd

    run = await outcome(spend.with_options(budget=Budget(usd="1")), "hi")
    assert run.output == 1 - run.usage.usd
    assert run.usage.usd == Decimal("0.000156")


async def test_an_unknown_price_is_refused_under_a_budget_in_usd_unless_one_is_given(scripted_server: ScriptedServer) -> None:
    mystery = OpenAIModel("mystery", base_url=scripted_server.base_url, api_key=scripted_server.api_key)
    async with Swarm(model=mystery) as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(ask.with_options(budget=Budget(usd="1")), "hi")
    assert isinstance(caught.value.__cause__, PriceUnknown)
    assert "give the model a profile with prices" in str(caught.value.__cause__)
    assert not scripted_server.requests


# within


async def test_a_partial_result_has_all_that_is_finished_and_lets_running_calls_end(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)

    @graph
    def whole(texts: list[str]) -> int:
        return count(each(ask, concurrency=2)(texts))

    run = await outcome(within(whole, Budget(requests=3)), ["a", "b", "c", "d", "e"])
    assert isinstance(run.output, Partial)
    assert run.output.kind == "requests"
    assert sorted(run.output.finished) == ["within/whole/ask[0]", "within/whole/ask[1]", "within/whole/ask[2]"]
    assert isinstance(run.output.error, BudgetExceeded)
    assert {event.state for event in events(run, CallEnded)} == {"finished"}
    assert run.trace.state == "finished"


async def test_within_its_budget_a_node_gives_its_result(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)
    assert (await outcome(within(ask, Budget(requests=1)), "hi")).output == "a short answer"


async def test_another_node_may_take_the_place_of_one_whose_budget_ran_out(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)

    @node
    async def offline(text: str) -> str:
        return f"cannot say: {text}"

    @node
    async def twice(text: str) -> str:
        return await current().run(ask, text) + await current().run(ask, text)

    run = await outcome(within(twice, Budget(requests=1), on_exhausted=offline), "hi")
    assert run.output == "cannot say: hi"
    assert run.trace.step("within/~offline").state == "finished"
    with pytest.raises(BudgetExceeded):
        await outcome(within(twice, Budget(requests=1), on_exhausted="raise"), "hi")


async def test_the_budget_of_somebody_else_is_not_handled(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)

    @graph
    def twice(text: str) -> int:
        return count([ask(text), ask(text)])

    with pytest.raises(BudgetExceeded) as caught:
        await outcome(within(twice, Budget(requests=9)).with_options(budget=Budget(requests=1)), "hi")
    assert caught.value.scope == "within"
    inner = twice.with_options(budget=Budget(requests=1))
    with pytest.raises(BudgetExceeded):
        await outcome(within(each(inner), Budget(requests=9)), ["a"])


async def test_a_failure_that_is_handled_nearer_by_is_not_the_budget_s(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)
    kept = each(ask, concurrency=1, on_error="keep")
    run = await outcome(within(kept, Budget(requests=2)), ["a", "b", "c"])
    assert isinstance(run.output, list)
    assert [type(one).__name__ for one in run.output] == ["str", "str", "Failed"]


async def test_a_budget_that_runs_out_in_a_map_that_does_not_name_it_gives_the_partial_result(
    scripted_server: ScriptedServer,
) -> None:
    answering(scripted_server)

    @node
    async def others_fail(text: str) -> str:
        with anyio.fail_after(5):
            while not any(map(is_failed_item, current().recorder.events)):  # noqa: ASYNC110  # the record has no event for it
                await anyio.sleep(0.001)
        return text

    @node
    async def after(text: str) -> int:
        return len(text)

    @graph
    def item(text: str) -> int:
        return after(others_fail(ask(text)))

    named = each(item, on_error="keep", on=(ValueError, BudgetExceeded))
    kept = (await outcome(within(named, Budget(requests=1)), ["a", "b", "c"])).output
    assert isinstance(kept, list)
    assert sorted(str(one.type if isinstance(one, Failed) else one) for one in kept) == [
        "14",
        "BudgetExceeded",
        "BudgetExceeded",
    ]
    run = await outcome(within(each(item, on_error="keep", on=ValueError), Budget(requests=1)), ["a", "b", "c"])
    assert isinstance(run.output, Partial)
    assert any(path.endswith("/ask") for path in run.output.finished), "what ran has finished"
    assert not [step for step in run.trace.steps() if step.name == "after"], (
        "and nothing is started when the budget has run out"
    )
    assert run.trace.state == "finished"


def is_failed_item(event: Event) -> bool:
    return isinstance(event, StepEnded) and event.state == "failed" and event.path.endswith("]")


async def test_another_failure_is_a_failure(scripted_server: ScriptedServer) -> None:
    @node
    async def broken(text: str) -> str:
        raise ValueError(text)

    with pytest.raises(StepFailed, match="ValueError"):
        await outcome(within(broken, Budget(requests=2)), "hi")


async def test_seconds_are_a_budget_too() -> None:
    @node
    async def slow(text: str) -> str:
        await anyio.sleep_forever()
        return text

    with pytest.raises(BudgetExceeded, match=r"gives it 0\.02 s"):
        await outcome(slow.with_options(budget=Budget(seconds=0.02)), "hi")
    run: Run[Any] = await outcome(within(slow, Budget(seconds=0.02)), "hi")
    assert run.output.kind == "seconds"


async def test_the_retry_of_a_step_reserves_anew(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)
    tried = 0

    @node
    async def flaky(text: str) -> int | None:
        nonlocal tried
        tried += 1
        await current().run(ask, text)
        if tried < 3:
            raise ValueError("again")
        return current().budget.requests

    patient = flaky.with_options(retry=Retry(attempts=5, on=ValueError, wait=FAST.wait), budget=Budget(requests=10))
    assert (await outcome(patient, "hi")).output == 7


async def test_an_agent_with_tools_is_counted_turn_by_turn(scripted_server: ScriptedServer) -> None:
    def look(word: str) -> str:
        return word * 50

    @agent(str, tools=[look], max_tokens=100)
    def search(text: str) -> str:
        return text

    scripted_server.script(call("look", word="a"), call("look", word="b"), "done")
    run = await outcome(search.with_options(budget=Budget(tokens=5000)), "hi")
    estimated = [event.estimated for event in events(run, CallStarted)]
    assert estimated == sorted(estimated)
    assert len(set(estimated)) == 3


@pytest.mark.parametrize("budget", [5, "1", {"tokens": 3}])
def test_a_budget_is_a_budget(budget: Any) -> None:
    with pytest.raises(GraphError, match="budget= is a Budget"):
        ask.with_options(budget=budget)
    with pytest.raises(GraphError, match="it takes a Budget"):
        within(ask, budget)


class Told(ChatModel):
    """A model that tells the usage that the test gives it."""

    def __init__(self, input_tokens: int = 0) -> None:
        self.input_tokens = input_tokens
        self.asked = 0

    @property
    def name(self) -> str:
        return "gpt-4o-mini"

    @property
    def profile(self) -> Profile:
        return profile_of("gpt-4o-mini")

    async def ready(self) -> None: ...

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        self.asked += 1
        await checkpoint()
        return ChatReply(text="hi", input_tokens=self.input_tokens)

    async def aclose(self) -> None: ...


async def test_a_reply_that_tells_no_usage_counts_as_its_worst_case() -> None:
    silent = Told()
    async with Swarm(model=silent, budget=Budget(tokens=300)) as swarm:
        run = await swarm.run(each(ask, on_error="keep", concurrency=1), ["q"] * 20)
    assert silent.asked == 2
    assert [event.unknown_cost for event in events(run, CallEnded)] == [True, True]


async def test_figures_of_no_sense_do_not_hold_up_the_others() -> None:
    odd = Told(input_tokens=-10)
    async with Swarm(model=odd, budget=Budget(tokens=300)) as swarm:
        with anyio.fail_after(5):
            run = await swarm.run(each(ask, on_error="keep"), ["q"] * 4)
    assert {one.type for one in run.output if isinstance(one, Failed)} == {"ValueError", "BudgetExceeded"}


async def test_nested_partial_results_know_all_that_is_finished(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)
    inner = within(ask, Budget(requests=5))
    run = await outcome(within(each(inner, concurrency=1), Budget(requests=2)), ["1", "2", "3"])
    assert isinstance(run.output, Partial)
    assert [path for path in run.output.finished if path.endswith("/ask")] == [
        "within/within[0]/within/ask",
        "within/within[1]/within/ask",
    ] or len(run.output.finished) >= 2
    assert {event.state for event in events(run, CallEnded)} == {"finished"}


async def test_a_budget_that_ends_all_ways_of_a_race_has_run_out(scripted_server: ScriptedServer) -> None:
    run = await outcome(within(race(ask, ask.with_options(name="other")), Budget(tokens=50)), "x")
    assert isinstance(run.output, Partial)
    voted = await outcome(within(vote(ask, of=3), Budget(tokens=50)), "x")
    assert isinstance(voted.output, Partial)
    assert not scripted_server.requests


async def test_steps_behind_a_bound_do_not_start_when_the_budget_has_run_out(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)
    bounded = each(ask).with_options(concurrency=2)
    run = await outcome(within(bounded, Budget(requests=3)), [f"q{i}" for i in range(20)])
    assert isinstance(run.output, Partial)
    assert len(run.trace.not_started()) >= 14


async def test_a_slice_of_tokens_counts_against_a_limit_of_either_side(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)
    frugal = ask.with_options(reserve=Budget(tokens=200))

    @node
    async def left(text: str) -> int | None:
        await current().run(each(frugal, on_error="skip"), [text] * 90)
        return current().budget.output_tokens

    rest = (await outcome(left.with_options(budget=Budget(output_tokens=400)), "hi")).output
    assert rest is not None
    assert rest >= 200


def test_within_does_not_replace_a_budget_and_a_swarm_s_has_no_seconds() -> None:
    with pytest.raises(GraphError, match="it has a budget of its own"):
        within(ask.with_options(budget=Budget(requests=2)), Budget(requests=100))
    with pytest.raises(GraphError, match="has no seconds"):
        Swarm(budget=Budget(seconds=3))


async def test_a_pause_that_is_longer_than_the_patience_fails_at_once(scripted_server: ScriptedServer) -> None:
    scripted_server.script(RateLimit(retry_after_ms=3_600_000))

    @node
    async def offline(text: str) -> str:
        return "offline"

    hasty = ask.with_options(fallback=offline, retry=Retry(attempts=2, longest_wait=1))
    async with Swarm() as swarm:
        with anyio.fail_after(5):
            assert (await swarm.run(hasty, "x")).output == "offline"
            run = await swarm.run(hasty, "y")
    assert run.output == "offline"
    assert "the server has asked for a pause" in str(run.trace.step("ask").notes)


async def test_money_does_not_depend_on_the_application_s_precision(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Say("ok", usage=Tokens(input=12345, output=77)))
    with localcontext() as context:
        context.prec = 2
        run = await outcome(ask.with_options(budget=Budget(usd="1")), "hi")
    assert events(run, CallEnded)[0].usd == "0.00189795"


class Audited:
    """A service that stands in the place of the ledger, as a shared store would."""

    def __init__(self, on_decided: Callable[[Ticket, Decision], None]) -> None:
        self.books = Ledger(on_decided)
        self.log: list[str] = []
        audits.append(self.log)

    def reserve(self, key: Key, account: Account, need: Need) -> Outcome:
        self.log.append("reserve")
        return self.books.reserve(key, account, need)

    def settle(self, ticket: Ticket, actual: Amount) -> None:
        self.log.append("settle")
        self.books.settle(ticket, actual)

    def release(self, ticket: Ticket, billed: Literal["no", "maybe"]) -> None:
        self.log.append("release")
        self.books.release(ticket, billed)

    def cancel(self, ticket: Ticket) -> None:
        self.log.append("cancel")
        self.books.cancel(ticket)


audits: list[list[str]] = []


async def test_the_books_may_be_kept_by_another_service(scripted_server: ScriptedServer) -> None:
    answering(scripted_server)
    async with Swarm(budget=Budget(requests=5), ledger=Audited) as swarm:
        await swarm.run(each(ask), ["a", "b"])
    assert sorted(audits.pop()) == ["reserve", "reserve", "settle", "settle"]
