"""The ledger, case by case: what is reserved, what is given back, who goes next."""

from __future__ import annotations

import gc
import weakref
from decimal import Decimal, localcontext
from itertools import count

import pytest
from pydantic import TypeAdapter

from swarmlet.policy.account import Account, Keep, Left, Need, Ticket
from swarmlet.policy.amount import NOTHING, Amount, Price, Spent
from swarmlet.policy.budget import Budget
from swarmlet.policy.ledger import BudgetService, Decision, Granted, Ledger, Never, Unpriced, Waiting

CHEAP = Price(Decimal("0.15") / 10**6, Decimal("0.60") / 10**6)


class Desk:
    """A ledger, the decisions it made, and short ways to ask it."""

    def __init__(self) -> None:
        self.decided: list[tuple[Ticket, Decision]] = []
        self.ledger = Ledger(lambda ticket, decision: self.decided.append((ticket, decision)))
        self.calls = count()

    def ask(
        self, account: Account, tokens: int, least: int | None = None, *, keep: tuple[Keep, ...] = ()
    ) -> Granted | Waiting | Never | Unpriced:
        need = Need(input_tokens=0, cap=tokens, least=tokens if least is None else least, price=CHEAP, keep=keep)
        return self.ledger.reserve((f"step[{next(self.calls)}]", 0, 1), account, need)

    def granted(self, account: Account, tokens: int, least: int | None = None, *, keep: tuple[Keep, ...] = ()) -> Ticket:
        outcome = self.ask(account, tokens, least, keep=keep)
        assert isinstance(outcome, Granted)
        return outcome.ticket

    def waiting(self, account: Account, tokens: int, least: int | None = None, *, keep: tuple[Keep, ...] = ()) -> Ticket:
        outcome = self.ask(account, tokens, least, keep=keep)
        assert isinstance(outcome, Waiting)
        return outcome.ticket

    def settle(self, ticket: Ticket, output: int) -> None:
        self.ledger.settle(ticket, Amount(1, 0, output, CHEAP.usd(0, output)))

    def news(self) -> list[Ticket | Never]:
        """What was decided since the last time: the tickets that were granted, and why others never will be."""
        news = [ticket if isinstance(decision, Granted) else decision for ticket, decision in self.decided]
        self.decided.clear()
        return news


@pytest.fixture
def desk() -> Desk:
    return Desk()


def tokens(limit: int, parent: Account | None = None, scope: str = "solve") -> Account:
    return Account(scope, Budget(tokens=limit), parent)


def test_the_ledger_is_a_budget_service(desk: Desk) -> None:
    service: BudgetService = desk.ledger
    assert service is desk.ledger


# Reserving and settling


def test_the_worst_case_is_reserved_and_usage_takes_its_place(desk: Desk) -> None:
    account = Account("solve", Budget(tokens=1000, usd="1"))
    need = Need(input_tokens=100, cap=400, least=400, price=CHEAP)
    outcome = desk.ledger.reserve(("solve/write", 0, 1), account, need)
    assert isinstance(outcome, Granted)
    assert outcome.cap == 400
    worst = Amount(1, 100, 400, Decimal("0.000255"))
    assert (account.reserved, account.used) == (worst, NOTHING)
    assert account.left() == Left(tokens=500, usd=Decimal("0.999745"))
    actual = Amount(1, 100, 50, Decimal("0.000045"))
    desk.ledger.settle(outcome.ticket, actual)
    assert (account.reserved, account.used) == (NOTHING, actual)
    assert account.left() == Left(tokens=850, usd=Decimal("0.999955"))


def test_ten_parallel_calls_do_not_overshoot_one_limit(desk: Desk) -> None:
    account = tokens(1000)
    outcomes = [desk.ask(account, 400) for _ in range(10)]
    assert [type(outcome) for outcome in outcomes] == [Granted, Granted, *[Waiting] * 8]
    assert account.reserved.tokens == 800


@pytest.mark.parametrize(
    ("budget", "kind", "fits"),
    [
        (Budget(requests=2), "requests", 2),
        (Budget(input_tokens=30), "input_tokens", 3),
        (Budget(output_tokens=45), "output_tokens", 2),
        (Budget(tokens=90), "tokens", 3),
        (Budget(usd="0.9"), "usd", 3),
    ],
)
def test_each_kind_of_limit_holds(desk: Desk, budget: Budget, kind: str, fits: int) -> None:
    account = Account("solve", budget)
    need = Need(input_tokens=10, cap=20, least=20, price=Price(Decimal("0.01"), Decimal("0.01")))
    outcomes = [desk.ledger.reserve(("a", turn, 1), account, need) for turn in range(5)]
    assert [isinstance(outcome, Granted) for outcome in outcomes] == [turn < fits for turn in range(5)]
    for outcome in outcomes:
        if isinstance(outcome, Granted):
            desk.ledger.settle(outcome.ticket, outcome.ticket.reserved)
    assert [decision.kind for _, decision in desk.decided if isinstance(decision, Never)] == [kind] * (5 - fits)


def test_all_enclosing_accounts_are_charged_or_none(desk: Desk) -> None:
    outer = tokens(100, scope="outer")
    middle = Account("middle", None, outer)
    inner = tokens(80, middle, "inner")
    ticket = desk.granted(inner, 60)
    assert [account.reserved.tokens for account in inner.chain] == [60, 60, 60]
    beside = tokens(80, middle, "beside")
    desk.waiting(beside, 50)
    assert beside.reserved == NOTHING
    desk.settle(ticket, 10)
    assert [account.reserved.tokens for account in beside.chain] == [50, 50, 50]
    assert [account.used.tokens for account in inner.chain] == [10, 10, 10]


def test_an_account_without_a_budget_only_counts(desk: Desk) -> None:
    account = Account("run")
    desk.settle(desk.granted(account, 10**9), 7)
    assert account.used.tokens == 7
    assert account.left() == Left()


def test_left_is_the_tightest_of_all_that_encloses() -> None:
    outer = Account("outer", Budget(tokens=100, usd="1", requests=3))
    inner = Account("inner", Budget(tokens=150, input_tokens=40), outer)
    assert inner.left() == Left(tokens=100, input_tokens=40, requests=3, usd=Decimal(1))


# The cap


def test_the_cap_is_lowered_to_what_is_left(desk: Desk) -> None:
    account = tokens(100)
    desk.granted(account, 70)
    assert desk.granted(account, 70, 20).cap == 30
    assert account.left().tokens == 0


def test_the_cap_is_what_the_poorest_account_can_pay(desk: Desk) -> None:
    outer = Account("outer", Budget(usd="0.0006"))
    inner = Account("inner", Budget(output_tokens=2000, tokens=5000), outer)
    need = Need(input_tokens=1000, cap=4000, least=1, price=CHEAP)
    outcome = desk.ledger.reserve(("a", 0, 1), inner, need)
    assert isinstance(outcome, Granted)
    assert outcome.cap == 750
    assert outer.left().usd == 0


def test_a_cap_that_may_not_be_lowered_waits(desk: Desk) -> None:
    account = tokens(100)
    running = desk.granted(account, 70)
    ticket = desk.waiting(account, 50)
    desk.settle(running, 20)
    assert desk.news() == [ticket]
    assert ticket.cap == 50


def test_a_free_model_fits_a_spent_budget_of_money(desk: Desk) -> None:
    account = Account("solve", Budget(usd="0.01"), spent=Spent(Amount(usd=Decimal("0.01"))))
    free = Need(input_tokens=5, cap=5, least=5, price=Price(Decimal(0), Decimal(0)))
    assert isinstance(desk.ledger.reserve(("a", 0, 1), account, free), Granted)


# Never and unpriced


def test_what_can_never_fit_is_told_at_once(desk: Desk) -> None:
    account = tokens(100)
    desk.settle(desk.granted(account, 60), 60)
    desk.granted(account, 40)
    assert desk.ask(account, 41) == Never("tokens", 100, 60, 41, "solve")


def test_never_names_the_account_that_is_too_small(desk: Desk) -> None:
    inner = tokens(500, tokens(100, scope="outer"), "inner")
    assert desk.ask(inner, 300) == Never("tokens", 100, 0, 300, "outer")


def test_a_waiter_that_can_no_longer_fit_is_told_never(desk: Desk) -> None:
    account = tokens(100)
    running = desk.granted(account, 70)
    desk.waiting(account, 50)
    desk.settle(running, 51)
    assert desk.news() == [Never("tokens", 100, 51, 50, "solve")]


def test_never_lets_those_behind_go_on(desk: Desk) -> None:
    account = tokens(100)
    running = desk.granted(account, 70)
    desk.waiting(account, 50)
    small = desk.waiting(account, 30)
    desk.settle(running, 60)
    never, granted = desk.news()
    assert isinstance(never, Never)
    assert granted is small


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_call_without_a_price_is_refused_under_any_budget_of_money(desk: Desk, depth: int) -> None:
    account = Account("paid", Budget(usd="1"))
    for level in range(depth):
        account = tokens(100, account, f"level{level}")
    assert desk.ledger.reserve(("a", 0, 1), account, Need(input_tokens=1, cap=1, least=1)) == Unpriced("paid")


def test_a_call_without_a_price_may_run_under_other_limits(desk: Desk) -> None:
    outcome = desk.ledger.reserve(("a", 0, 1), tokens(10), Need(input_tokens=1, cap=1, least=1))
    assert isinstance(outcome, Granted)


# Failing, breaking off, taking back


def test_a_call_that_was_not_billed_gives_all_back(desk: Desk) -> None:
    account = Account("solve", Budget(tokens=100, requests=1))
    desk.ledger.release(desk.granted(account, 70), "no")
    assert account.left() == Left(tokens=100, requests=1)
    assert account.uncertain == NOTHING


def test_a_call_that_may_have_been_billed_counts_in_full(desk: Desk) -> None:
    account = tokens(100)
    ticket = desk.granted(account, 70)
    desk.ledger.release(ticket, "maybe")
    assert account.used == account.uncertain == ticket.reserved
    assert account.reserved == NOTHING
    assert account.left().tokens == 30


def test_more_than_was_reserved_is_recorded_and_reported(desk: Desk) -> None:
    inner = tokens(100, tokens(1000, scope="outer"), "inner")
    ticket = desk.granted(inner, 60)
    desk.ledger.settle(ticket, Amount(1, 50, 55, Decimal("0.001")))
    for account in inner.chain:
        assert account.used == Amount(1, 50, 55, Decimal("0.001"))
        assert account.overrun == Amount(0, 50, 0, Decimal("0.001") - CHEAP.usd(0, 60))
    assert inner.left().tokens == 0
    assert desk.ask(inner, 1) == Never("tokens", 100, 105, 1, "inner")


def test_closing_twice_changes_nothing(desk: Desk) -> None:
    account = tokens(100)
    ticket = desk.granted(account, 70)
    desk.settle(ticket, 10)
    desk.settle(ticket, 20)
    desk.ledger.release(ticket, "maybe")
    desk.ledger.cancel(ticket)
    assert (account.used.tokens, account.reserved, account.uncertain) == (10, NOTHING, NOTHING)


def test_reserving_twice_reserves_once(desk: Desk) -> None:
    account = tokens(100)
    need = Need(input_tokens=0, cap=60, least=60)
    first = desk.ledger.reserve(("a", 0, 1), account, need)
    waits = desk.ledger.reserve(("b", 0, 1), account, need)
    assert desk.ledger.reserve(("a", 0, 1), account, need) == first
    assert desk.ledger.reserve(("b", 0, 1), account, need) == waits
    assert account.reserved.tokens == 60
    assert len(account.queue) == 1
    assert isinstance(first, Granted)
    desk.settle(first.ticket, 5)
    assert desk.ledger.reserve(("a", 0, 1), account, need) == first
    assert account.used.tokens == 5


def test_turns_and_attempts_are_reservations_of_their_own(desk: Desk) -> None:
    account = tokens(100)
    need = Need(input_tokens=0, cap=10, least=10)
    for key in [("a", 0, 1), ("a", 0, 2), ("a", 1, 1)]:
        desk.ledger.reserve(key, account, need)
    assert account.reserved == Amount(3, 0, 30)


def test_a_waiter_cannot_be_settled(desk: Desk) -> None:
    account = tokens(100)
    desk.granted(account, 100)
    ticket = desk.waiting(account, 100)
    with pytest.raises(ValueError, match="has not been granted"):
        desk.settle(ticket, 1)
    with pytest.raises(ValueError, match="cancel it"):
        desk.ledger.release(ticket, "no")


def test_a_cancelled_waiter_frees_the_way_and_its_key(desk: Desk) -> None:
    account = tokens(100)
    desk.granted(account, 60)
    big = desk.waiting(account, 80)
    small = desk.waiting(account, 40)
    desk.ledger.cancel(big)
    assert desk.news() == [small]
    again = desk.ledger.reserve(big.key, account, big.need)
    assert isinstance(again, Waiting)
    assert again.ticket is not big


def test_a_waiter_cancelled_in_the_middle_is_skipped(desk: Desk) -> None:
    account = tokens(100)
    running = desk.granted(account, 100)
    first, second, third = (desk.waiting(account, 30) for _ in range(3))
    desk.ledger.cancel(second)
    assert desk.news() == []
    desk.settle(running, 0)
    assert desk.news() == [first, third]


def test_cancelling_what_has_just_been_granted_gives_it_back(desk: Desk) -> None:
    account = tokens(100)
    running = desk.granted(account, 100)
    first, second = desk.waiting(account, 80), desk.waiting(account, 80)
    desk.settle(running, 0)
    assert desk.news() == [first]
    desk.ledger.cancel(first)
    assert desk.news() == [second]
    assert account.reserved.tokens == 80


def test_the_callback_may_use_the_ledger() -> None:
    account = tokens(100)
    heard: list[Ticket] = []

    def on_decided(ticket: Ticket, decision: Decision) -> None:
        assert isinstance(decision, Granted)
        heard.append(ticket)
        ledger.settle(ticket, Amount(1, 0, 1))

    ledger = Ledger(on_decided)
    need = Need(input_tokens=0, cap=60, least=60)
    outcomes = [ledger.reserve(("a", turn, 1), account, need) for turn in range(4)]
    assert isinstance(outcomes[0], Granted)
    ledger.settle(outcomes[0].ticket, Amount(1, 0, 1))
    assert [ticket.key[1] for ticket in heard] == [1, 2, 3]
    assert (account.used, account.reserved) == (Amount(4, 0, 4), NOTHING)


def test_who_hears_first_may_cancel_the_others() -> None:
    account = tokens(100)
    heard: list[Ticket] = []

    def on_decided(ticket: Ticket, _: Decision) -> None:
        heard.append(ticket)
        for other in list(account.tickets.values()) if len(heard) == 1 else ():
            if other is not ticket:
                ledger.cancel(other)

    ledger = Ledger(on_decided)
    first = ledger.reserve(("a", 0, 1), account, Need(input_tokens=0, cap=100, least=100))
    for turn in (1, 2):
        ledger.reserve(("a", turn, 1), account, Need(input_tokens=0, cap=40, least=40))
    assert isinstance(first, Granted)
    ledger.release(first.ticket, "no")
    assert [ticket.key[1] for ticket in heard] == [1]
    assert account.reserved.tokens == 40


# Who goes next


def test_a_later_small_request_does_not_overtake(desk: Desk) -> None:
    account = tokens(100)
    desk.granted(account, 60)
    desk.waiting(account, 80)
    desk.waiting(account, 10)
    assert account.reserved.tokens == 60


def test_waiters_are_granted_in_order_of_arrival(desk: Desk) -> None:
    account = tokens(100)
    running = desk.granted(account, 100)
    waiters = [desk.waiting(account, size) for size in (30, 10, 50, 20, 5)]
    desk.settle(running, 0)
    assert desk.news() == waiters[:3]


def test_arrival_counts_across_siblings(desk: Desk) -> None:
    outer = tokens(100, scope="outer")
    left, right = tokens(100, outer, "left"), tokens(100, outer, "right")
    running = desk.granted(left, 100)
    waiters = [desk.waiting(account, 30) for account in (right, left, outer, right)]
    desk.settle(running, 0)
    assert desk.news() == waiters[:3]


def test_who_waits_inside_does_not_hold_back_the_neighbours(desk: Desk) -> None:
    outer = tokens(1000, scope="outer")
    left, right = tokens(50, outer, "left"), tokens(500, outer, "right")
    running = desk.granted(left, 50)
    blocked = desk.waiting(left, 40)
    desk.granted(right, 200)
    desk.granted(outer, 200)
    desk.waiting(left, 1)
    desk.settle(running, 10)
    assert desk.news() == [blocked]


def test_an_earlier_request_that_comes_out_of_its_account_goes_first(desk: Desk) -> None:
    outer = tokens(100, scope="outer")
    inner = tokens(50, outer, "inner")
    inside, outside = desk.granted(inner, 40), desk.granted(outer, 60)
    early = desk.waiting(inner, 50)
    late = desk.waiting(outer, 60)
    assert (early.waits_at, late.waits_at) == (inner, outer)
    desk.settle(inside, 0)
    assert desk.news() == []
    assert (early.waits_at, late.waits_at) == (outer, outer)
    desk.settle(outside, 0)
    assert desk.news() == [early]


def test_a_big_request_is_not_starved_by_a_stream_of_small_ones(desk: Desk) -> None:
    outer = tokens(10_000, scope="outer")
    inner, beside = tokens(1000, outer, "inner"), tokens(9500, outer, "beside")
    running = [desk.granted(account, 500) for account in (inner, inner)] + [desk.granted(beside, 500) for _ in range(18)]
    big = desk.waiting(inner, 900)
    settled = 0
    while big not in running:
        small = desk.ask(inner if settled % 2 else beside, 100)
        if isinstance(small, Granted):
            running.append(small.ticket)
        desk.settle(running.pop(0), 1)
        settled += 1
        assert settled <= 20
        running.extend(ticket for ticket in desk.news() if isinstance(ticket, Ticket))


def test_a_request_that_has_passed_inside_can_be_sent_back_inside(desk: Desk) -> None:
    """An earlier one from deeper inside may take what it had passed; it then waits there again and lets others through."""
    outer = tokens(100, scope="outer")
    middle = tokens(60, outer, "middle")
    deep = tokens(50, middle, "deep")
    inside, outside = desk.granted(deep, 20), desk.granted(outer, 60)
    first = desk.waiting(deep, 40)
    second = desk.waiting(middle, 30)
    third = desk.waiting(outer, 30)
    assert [ticket.waits_at for ticket in (first, second, third)] == [deep, outer, outer]
    desk.settle(inside, 0)
    assert desk.news() == [first]
    desk.settle(outside, 0)
    assert desk.news() == [third]
    assert second.waits_at is middle
    desk.settle(first, 0)
    assert desk.news() == [second]


def test_waiters_settle_one_after_the_other_when_nothing_is_left(desk: Desk) -> None:
    account = tokens(100)
    running = desk.granted(account, 90)
    for _ in range(3):
        desk.waiting(account, 90)
    desk.settle(running, 90)
    assert [type(news) for news in desk.news()] == [Never] * 3


# Slices kept for later steps


def test_a_slice_is_kept_for_the_step_that_follows(desk: Desk) -> None:
    account = tokens(100)
    keep = (Keep(account, Amount(1, 10, 20)),)
    assert desk.granted(account, 100, 1, keep=keep).cap == 70
    desk.waiting(account, 1, keep=keep)
    other = desk.ask(account, 30)
    assert isinstance(other, Waiting)


def test_the_step_it_was_kept_for_takes_it(desk: Desk) -> None:
    account = tokens(100)
    keep = (Keep(account, Amount(1, 10, 20)),)
    desk.settle(desk.granted(account, 70, keep=keep), 70)
    assert desk.ask(account, 1, keep=keep) == Never("tokens", 100, 70, 31, "solve")
    assert desk.granted(account, 30).cap == 30


def test_a_slice_is_kept_in_its_account_and_above_but_not_below(desk: Desk) -> None:
    outer = tokens(1000, scope="outer")
    middle = tokens(100, outer, "middle")
    inner = tokens(50, middle, "inner")
    keep = (Keep(middle, Amount(output_tokens=60)),)
    assert desk.granted(inner, 50, 1, keep=keep).cap == 40
    assert desk.granted(inner, 10).cap == 10


def test_slices_of_several_levels_add_up(desk: Desk) -> None:
    outer = tokens(100, scope="outer")
    inner = tokens(100, outer, "inner")
    keep = (Keep(outer, Amount(output_tokens=10)), Keep(inner, Amount(output_tokens=20)))
    assert desk.granted(inner, 100, 1, keep=keep).cap == 70


def test_a_slice_of_an_account_that_does_not_enclose_the_call_is_a_mistake(desk: Desk) -> None:
    with pytest.raises(ValueError, match="nothing can be kept in 'elsewhere'"):
        desk.ask(tokens(100), 1, keep=(Keep(tokens(5, scope="elsewhere"), NOTHING),))


# Going on, and being exact


def test_a_resumed_account_goes_on_from_what_was_spent(desk: Desk) -> None:
    account = Account("solve", Budget(tokens=100, usd="0.5"))
    desk.settle(desk.granted(account, 30), 10)
    desk.ledger.release(desk.granted(account, 5), "maybe")
    running = desk.granted(account, 20)
    adapter = TypeAdapter(Spent)
    spent = adapter.validate_json(adapter.dump_json(account.checkpoint()))
    resumed = Account("solve", Budget(tokens=100, usd="0.5"), spent=spent)
    assert resumed.used.output_tokens == 35
    assert resumed.used.usd == CHEAP.usd(0, 35)
    assert resumed.uncertain.output_tokens == 25
    desk.settle(running, 1)
    assert adapter.validate_json(adapter.dump_json(account.checkpoint())) == account.checkpoint()


def test_an_account_that_is_overspent_from_the_start_grants_nothing(desk: Desk) -> None:
    account = Account("solve", Budget(tokens=100), spent=Spent(Amount(5, 100, 100)))
    assert desk.ask(account, 1) == Never("tokens", 100, 200, 1, "solve")
    assert account.left().tokens == 0


def test_money_is_exact_whatever_precision_the_application_has_set(desk: Desk) -> None:
    account = Account("solve", Budget(usd="1000000"))
    with localcontext(prec=3):
        for _ in range(1000):
            desk.settle(desk.granted(account, 12_345), 12_345)
        left = account.left().usd
    assert account.used.usd == Decimal("0.0000006") * 12_345 * 1000
    assert left == 1_000_000 - account.used.usd


def test_the_last_token_that_money_buys_is_granted_and_no_more(desk: Desk) -> None:
    account = Account("solve", Budget(usd="0.0000029"))
    need = Need(input_tokens=3, cap=100, least=0, price=CHEAP)
    outcome = desk.ledger.reserve(("a", 0, 1), account, need)
    assert isinstance(outcome, Granted)
    assert outcome.cap == 4
    assert account.left().usd == Decimal("0.00000005")


def test_accounts_and_tickets_vanish_when_they_are_done(desk: Desk) -> None:
    outer = tokens(1000, scope="outer")
    inner = tokens(100, outer, "inner")
    desk.settle(desk.granted(inner, 10), 10)
    gone = weakref.ref(inner)
    del inner
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "need",
    [
        {"input_tokens": -1, "cap": 1, "least": 1},
        {"input_tokens": 1, "cap": 1, "least": 2},
        {"input_tokens": 1, "cap": 1, "least": -1},
    ],
)
def test_a_need_that_makes_no_sense_is_refused(need: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a call needs 0 <="):
        Need(input_tokens=need["input_tokens"], cap=need["cap"], least=need["least"])


@pytest.mark.parametrize("figures", [(-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_amounts_are_never_negative(figures: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="never negative"):
        Amount(*figures)
    with pytest.raises(ValueError, match="never negative"):
        Amount(usd=Decimal("-0.1"))


@pytest.mark.parametrize("price", ["-1", "NaN", "inf", "1e6", "1e-61"])
def test_prices_are_sane(price: str) -> None:
    with pytest.raises(ValueError, match="the price of a token"):
        Price(Decimal(0), Decimal(price))
