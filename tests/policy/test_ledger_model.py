"""The ledger against a model that reckons everything anew from the list of what is open, slowly and plainly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from swarmlet.policy.account import Account, Keep, Key, Need, Ticket
from swarmlet.policy.amount import KINDS, NOTHING, Amount, Price
from swarmlet.policy.budget import Budget
from swarmlet.policy.ledger import Decision, Granted, Ledger, Never, Outcome, Unpriced, Waiting

PRICES = [Price(Decimal("0.003"), Decimal("0.01")), Price(Decimal("0.0007"), Decimal("0.0131")), Price(Decimal(0), Decimal(0))]
LIMITS: dict[str, st.SearchStrategy[int]] = {
    "tokens": st.integers(12, 70),
    "input_tokens": st.integers(6, 30),
    "output_tokens": st.integers(10, 50),
    "requests": st.integers(2, 10),
    "usd": st.integers(8, 60),  # cents
}


@st.composite
def budgets(draw: st.DrawFn) -> Budget | None:
    """Limits of random kinds; sometimes none."""
    kinds = draw(st.sampled_from([*((kind,) for kind in KINDS), ("tokens", "usd"), ("requests", "output_tokens"), ()]))
    limits = {kind: draw(LIMITS[kind]) for kind in kinds}
    if not limits:
        return None
    return Budget(
        tokens=limits.get("tokens"),
        input_tokens=limits.get("input_tokens"),
        output_tokens=limits.get("output_tokens"),
        requests=limits.get("requests"),
        usd=Decimal(limits["usd"]) / 100 if "usd" in limits else None,
    )


@st.composite
def needs(draw: st.DrawFn, chain: tuple[Account, ...]) -> Need:
    """Calls that fit a handful of times."""
    cap = draw(st.integers(1, 14))
    least = draw(st.one_of(st.just(cap), st.integers(0, cap)))
    price = draw(st.sampled_from([*PRICES, *PRICES[:2], *PRICES[:2], None]))
    keep: list[Keep] = []
    if draw(st.sampled_from([False, False, False, True])):
        amounts = st.builds(Amount, st.integers(0, 2), st.integers(0, 5), st.integers(0, 5), st.just(Decimal("0.01")))
        keep = [Keep(stage, draw(amounts)) for stage in draw(st.lists(st.sampled_from(chain), min_size=1, max_size=2))]
    return Need(input_tokens=draw(st.integers(0, 6)), cap=cap, least=least, price=price, keep=tuple(keep))


@dataclass
class Charge:
    """What one ticket weighs in the model's books."""

    ticket: Ticket
    reserved: Amount = NOTHING
    used: Amount = NOTHING
    uncertain: Amount = NOTHING
    overrun: Amount = NOTHING


class Books(RuleBasedStateMachine):
    """Random calls against random nested accounts."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(self.hear)
        self.accounts: list[Account] = []
        self.charges: list[Charge] = []
        self.open: list[Charge] = []
        self.waiting: list[Ticket] = []
        self.closed: list[Ticket] = []
        self.passes: list[Ticket] = []
        self.asked: list[tuple[Key, Account, Need]] = []

    @initialize(data=st.data(), size=st.integers(1, 6))
    def found(self, data: st.DataObject, size: int) -> None:
        """Open the accounts: a tree at most five deep."""
        for number in range(size):
            parents = [account for account in self.accounts if len(account.chain) < 5]
            deepest = parents[-1:] * 2
            parent = data.draw(st.sampled_from(parents + deepest)) if parents else None
            self.accounts.append(Account(f"account{number}", data.draw(budgets()), parent))

    # What the model knows without the ledger

    def total(self, account: Account, what: Literal["reserved", "used", "uncertain", "overrun"]) -> Amount:
        amounts: Iterable[Amount] = (getattr(charge, what) for charge in self.charges if account in charge.ticket.account.chain)
        return sum(amounts, start=NOTHING)

    def within(self, account: Account, asked: Amount, *, reserved: bool = True) -> bool:
        """Whether `asked` fits one account now, or (without what is reserved) at best."""
        taken = self.total(account, "used") + asked
        if reserved:
            taken += self.total(account, "reserved")
        return all(taken.of(kind) <= limit for kind, limit in account.limits.items())

    def fits(self, need: Need, account: Account, at: Account, cap: int, *, reserved: bool = True) -> bool:
        """Whether a call from `account` fits `at`, with all that it must leave there."""
        inside = account.chain[: account.chain.index(at) + 1]
        kept = sum((keep.amount for keep in need.keep if keep.account in inside), start=NOTHING)
        return self.within(at, need.amount(cap) + kept, reserved=reserved)

    def largest_cap(self, need: Need, account: Account) -> int | None:
        """The largest cap that fits the whole chain, found by trying all."""
        caps = range(need.cap, need.least - 1, -1)
        return next((cap for cap in caps if all(self.fits(need, account, at, cap) for at in account.chain)), None)

    def hopeless(self, need: Need, account: Account) -> bool:
        return not all(self.fits(need, account, at, need.least, reserved=False) for at in account.chain)

    # What is heard from the ledger

    def hear(self, ticket: Ticket, decision: Decision) -> None:
        self.waiting.remove(ticket)
        assert all(ticket.number > earlier.number for earlier in self.passes), "decided out of order"
        self.passes.append(ticket)
        if isinstance(decision, Granted):
            assert decision.ticket is ticket
            self.check_grant(decision)
        else:
            self.check_never(ticket.need, ticket.account, decision)

    def check_grant(self, granted: Granted) -> None:
        ticket = granted.ticket
        assert granted.cap == ticket.cap == self.largest_cap(ticket.need, ticket.account)
        assert ticket.reserved == ticket.need.amount(granted.cap)
        overtaken = [other for other in self.waiting if other.number < ticket.number and other.waits_at in ticket.account.chain]
        assert not overtaken, f"{ticket} was granted before {overtaken}, which came earlier"
        charge = Charge(ticket, reserved=ticket.reserved)
        self.charges.append(charge)
        self.open.append(charge)

    def check_never(self, need: Need, account: Account, never: Never) -> None:
        assert self.hopeless(need, account)
        (at,) = (stage for stage in account.chain if stage.scope == never.scope)
        assert never.limit == at.limits[never.kind]
        assert never.used == self.total(at, "used").of(never.kind)
        assert never.used + never.needed > never.limit

    # What callers do

    @rule(data=st.data(), times=st.integers(1, 4))
    def reserve(self, data: st.DataObject, times: int) -> None:
        for _ in range(times):
            account = data.draw(st.sampled_from(self.accounts))
            need = data.draw(needs(account.chain))
            key = ("step", len(self.asked), 1)
            self.asked.append((key, account, need))
            self.judge(self.ledger.reserve(key, account, need), account, need)

    def judge(self, outcome: Outcome, account: Account, need: Need) -> None:
        paid = [at.scope for at in account.chain if "usd" in at.limits]
        match outcome:
            case Unpriced():
                assert need.price is None
                assert outcome.scope == paid[0]
                return
            case Granted():
                self.check_grant(outcome)
            case Never():
                self.check_never(need, account, outcome)
            case Waiting():
                assert not self.hopeless(need, account)
                behind = any(other.waits_at in account.chain for other in self.waiting)
                assert behind or self.largest_cap(need, account) is None, "waits though it fits and nobody is before it"
                self.waiting.append(outcome.ticket)
        assert need.price is not None or not paid

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def reserve_again(self, data: st.DataObject) -> None:
        """A known key reserves nothing; one that was refused or cancelled is asked anew."""
        key, account, need = data.draw(st.sampled_from(self.asked))
        ticket = account.tickets.get(key)
        outcome = self.ledger.reserve(key, account, need)
        if ticket is None:
            self.judge(outcome, account, need)
        else:
            assert isinstance(outcome, Granted | Waiting)
            assert outcome.ticket is ticket
            assert isinstance(outcome, Waiting) == (ticket in self.waiting)

    def close(self, data: st.DataObject) -> Charge:
        charge = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        charge.reserved = NOTHING
        self.closed.append(charge.ticket)
        self.passes.clear()
        return charge

    @precondition(lambda self: self.open)
    @rule(data=st.data(), share=st.integers(0, 4))
    def settle(self, data: st.DataObject, share: int) -> None:
        charge = self.close(data)
        ticket = charge.ticket
        tokens = ticket.need.input_tokens * share // 4, ticket.cap * share // 4
        charge.used = Amount(1, *tokens, ticket.need.price.usd(*tokens) if ticket.need.price else Decimal(0))
        self.ledger.settle(ticket, charge.used)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), more=st.integers(1, 3), unlikely=st.integers(0, 9))
    def settle_above(self, data: st.DataObject, more: int, unlikely: int) -> None:
        """The server counted more tokens than were expected."""
        if unlikely:
            return
        charge = self.close(data)
        charge.overrun = Amount(0, more, 0, Decimal("0.001"))
        charge.used = charge.ticket.reserved + charge.overrun
        self.ledger.settle(charge.ticket, charge.used)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), maybe=st.booleans())
    def release(self, data: st.DataObject, maybe: bool) -> None:
        charge = self.close(data)
        if maybe:
            charge.used = charge.uncertain = charge.ticket.reserved
        self.ledger.release(charge.ticket, "maybe" if maybe else "no")

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel_granted(self, data: st.DataObject) -> None:
        self.ledger.cancel(self.close(data).ticket)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel_waiter(self, data: st.DataObject) -> None:
        ticket = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.closed.append(ticket)
        self.passes.clear()
        self.ledger.cancel(ticket)

    @precondition(lambda self: self.closed)
    @rule(data=st.data())
    def close_again(self, data: st.DataObject) -> None:
        """Nothing comes of it: the invariants compare all books."""
        ticket = data.draw(st.sampled_from(self.closed))
        self.ledger.settle(ticket, Amount(5, 5, 5, Decimal(5)))
        self.ledger.release(ticket, "maybe")
        self.ledger.cancel(ticket)

    # What always holds

    @invariant()
    def books_agree(self) -> None:
        for account in self.accounts:
            for what in ("reserved", "used", "uncertain", "overrun"):
                assert getattr(account, what) == self.total(account, what)

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        for account in self.accounts:
            taken, overrun = account.used + account.reserved, account.overrun
            for kind, limit in account.limits.items():
                assert taken.of(kind) <= limit + overrun.of(kind)

    @invariant()
    def everybody_waits_for_a_reason(self) -> None:
        """The first in each queue does not fit there, though it would if running calls gave back enough: no deadlock."""
        for account in self.accounts:
            here = [ticket for ticket in self.waiting if ticket.waits_at is account]
            assert bool(here) == bool(account.queue)
            if here:
                first = min(here, key=lambda ticket: ticket.number)
                assert account.queue[0][1] is first
                assert not self.fits(first.need, first.account, account, first.need.least)
                assert self.fits(first.need, first.account, account, first.need.least, reserved=False)
                assert account.reserved != NOTHING
        assert all(ticket.waits_at in ticket.account.chain for ticket in self.waiting)

    @invariant()
    def the_oldest_only_moves_outward(self) -> None:
        """Nothing new gets into the accounts inside the one where the oldest waits, so it still fits them: no starvation."""
        if self.waiting and not any(charge.overrun != NOTHING for charge in self.charges):
            oldest = min(self.waiting, key=lambda ticket: ticket.number)
            assert oldest.waits_at is not None
            for inside in oldest.account.chain[: oldest.account.chain.index(oldest.waits_at)]:
                assert self.fits(oldest.need, oldest.account, inside, oldest.need.least)

    def teardown(self) -> None:
        """Once nothing runs nobody waits and nothing is reserved."""
        while self.open:
            charge = self.open.pop()
            charge.reserved, charge.used = NOTHING, Amount(1)
            self.passes.clear()
            self.ledger.settle(charge.ticket, charge.used)
            self.everybody_waits_for_a_reason()
        assert not self.waiting
        assert all(account.reserved == NOTHING and not account.queue for account in self.accounts)
        self.books_agree()


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
