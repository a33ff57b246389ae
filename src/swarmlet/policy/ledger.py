"""The ledger: who may start a model call, so that no budget is ever exceeded.

Before a call its worst case is reserved in every account that encloses it, in all of them or in none. What it really used
then takes the place of the reservation, and what is given back goes to those who wait.

**The queueing rule.** Each account has a queue, in order of arrival. A request goes outward through its accounts and stops at
the first one which it does not fit now, or at which an earlier request waits. There it waits, and there it holds back later
requests that come through the same account, and no others. It is granted when it passes all its accounts.

- *No overtaking.* Nobody is granted what an earlier request waits for: whoever comes later through that account stops too.
- *No idle budget.* A request that waits at an inner account does not close the outer ones, so its neighbours go on. The first
  in each queue really does not fit there.
- *No starvation.* Take the request that has waited longest. Nothing new gets into the account where it waits, or into those
  inside it, so they only empty. It can only move outward, and is granted at the latest when the calls that run in each of its
  accounts have ended, one account after the other.
- *No deadlock.* The first in a queue waits only while calls run in that account, which may use less than they reserved. When
  none run any more it fits or can never fit, and is told so. No call holds a reservation while it waits for another.

A new request that can never fit is told at once; one that waits, when it is the first in its queue.

A smaller completion cap is taken at once where the caller accepts it, rather than waiting for a larger one.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, final

from swarmlet.policy.account import Ticket
from swarmlet.policy.amount import EXACT, NOTHING, Amount, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from swarmlet.policy.account import Account, Key, Need


@dataclass(frozen=True, slots=True)
class Granted:
    """The call may start, with this completion cap. The ticket is to be settled, released or cancelled."""

    ticket: Ticket
    cap: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The call does not fit now, but running calls may give back enough. The ledger tells what becomes of the ticket."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Never:
    """The call can never fit, even if every running call gave back all it reserved.

    `needed` is the least the call could start with, and what it must leave for steps that come later.
    """

    kind: Kind
    limit: int | Decimal
    used: int | Decimal
    needed: int | Decimal
    scope: str


@dataclass(frozen=True, slots=True)
class Unpriced:
    """The price of the call is not known, so the USD budget of `scope` cannot allow it."""

    scope: str


Decision: TypeAlias = Granted | Never
"""How waiting ends."""

Outcome: TypeAlias = Granted | Waiting | Never | Unpriced


class BudgetService(Protocol):
    """What the engine asks of a ledger, be it in this process or shared by many.

    No method blocks, and decisions on waiting tickets come through the callback that the service was made with, so that a
    store across a network can stand behind the same four calls:

    - `reserve` sends the request and answers `Waiting`; the store's answer comes through the callback. Scope and limits of the
      account's chain travel with it, so the store opens accounts when it first hears of them, and the `Account` here is only
      a handle.
    - `settle`, `release` and `cancel` are messages without an answer, sent again until the store confirms them.
    - Every message may arrive twice or late: the ticket's key makes reserving twice reserve once, and closing twice close once.
      A reservation whose owner is gone for longer than a lease is released as "maybe" billed.
    - The store handles one message of a tree of accounts at a time (one transaction, or one script), in order of arrival.
    """

    def reserve(self, key: Key, account: Account, need: Need) -> Outcome:
        """Ask for one call, once for each key of an account."""
        ...

    def settle(self, ticket: Ticket, actual: Amount) -> None:
        """The call came back, and this is what it used."""
        ...

    def release(self, ticket: Ticket, billed: Literal["no", "maybe"]) -> None:
        """The call failed: it was certainly not billed, or nobody knows."""
        ...

    def cancel(self, ticket: Ticket) -> None:
        """The call will not be sent, whether the ticket still waits or has just been granted."""
        ...


@final
class Ledger:
    """The ledger of one process: exact, in memory, a few microseconds a call. Not for use from several threads.

    One ledger serves all accounts of a tree. `on_decided` hears of each ticket that waited and now need not: in order of
    arrival, when the books are in order, so it may call the ledger again. It must not raise.
    """

    def __init__(self, on_decided: Callable[[Ticket, Decision], None]) -> None:
        self._on_decided = on_decided
        self._arrivals = count(1)

    def reserve(self, key: Key, account: Account, need: Need) -> Outcome:
        """Reserve the worst case of one call in `account` and in all that enclose it.

        A key that is known answers as before and reserves nothing, also when its call has ended. After `Never`, `Unpriced` or
        `cancel` it is free again.
        """
        ticket = account.tickets.get(key)
        if ticket is not None:
            return Waiting(ticket) if ticket.state == "waiting" else Granted(ticket, ticket.cap)
        if need.price is None and account.priced_scope is not None:
            return Unpriced(account.priced_scope)
        ticket = Ticket(key, account, need, next(self._arrivals))
        stop = _stop(ticket)
        if stop is None:
            account.tickets[key] = ticket
            return _grant(ticket)
        never = _never(ticket)
        if never is not None:
            return never
        account.tickets[key] = ticket
        _queue(ticket, stop)
        return Waiting(ticket)

    def settle(self, ticket: Ticket, actual: Amount) -> None:
        """Count what the call used in place of what was reserved for it.

        More than was reserved is counted in full, and as `overrun`. Where the bill in USD is not known, settle with
        `ticket.reserved.usd`. Settling again changes nothing.
        """
        if _close(ticket):
            overrun = actual.above(ticket.reserved)
            for account in ticket.account.chain:
                account.reserved_sum.subtract(ticket.reserved)
                account.used_sum.add(actual)
                if overrun is not NOTHING:
                    account.overrun_sum.add(overrun)
            self._advance(ticket.account.chain)

    def release(self, ticket: Ticket, billed: Literal["no", "maybe"]) -> None:
        """Close the reservation of a call that failed.

        "no" gives everything back. "maybe" is for calls that broke off (a timeout, a lost connection): the whole
        reservation counts as used, and as `uncertain`.
        """
        if _close(ticket):
            for account in ticket.account.chain:
                account.reserved_sum.subtract(ticket.reserved)
                if billed == "maybe":
                    account.used_sum.add(ticket.reserved)
                    account.uncertain_sum.add(ticket.reserved)
            self._advance(ticket.account.chain)

    def cancel(self, ticket: Ticket) -> None:
        """Take back a request that was not sent, and free its key. Nothing happens if it was settled or released."""
        if ticket.state == "closed":
            return
        del ticket.account.tickets[ticket.key]
        if ticket.state == "granted":
            self.release(ticket, "no")
            return
        ticket.state = "closed"
        account = ticket.waits_at
        if account is not None and account.queue[0][1] is ticket:
            _drop_closed(account)
            self._advance((account,))

    def _advance(self, accounts: tuple[Account, ...]) -> None:
        """Decide about those who wait at `accounts`, where something was given back: the earliest first."""
        heads = [(account.queue[0][0], account) for account in accounts if account.queue]
        if not heads:
            return
        heapify(heads)
        decided: list[tuple[Ticket, Decision]] = []
        while heads:
            _, account = heappop(heads)
            _, ticket = heappop(account.queue)
            decision = _decide(ticket)
            if decision is not None:
                decided.append((ticket, decision))
            _drop_closed(account)
            if ticket.waits_at is not account and account.queue:
                heappush(heads, (account.queue[0][0], account))
        for ticket, decision in decided:
            if ticket.state == "granted" or isinstance(decision, Never):  # else one who heard before has cancelled it
                self._on_decided(ticket, decision)


def _stop(ticket: Ticket) -> Account | None:
    """The first account, from inside out, at which the ticket has to wait. If it passes all: `None`, and its cap is set."""
    need = ticket.need
    cap = need.cap
    for account, kept in ticket.stages:
        if account.queue and account.queue[0][0] < ticket.number:
            return account
        cap = min(cap, account.room(need, kept))
        if cap < need.least:
            return account
    ticket.cap = cap
    return None


def _decide(ticket: Ticket) -> Decision | None:
    """What has become of a ticket that was first in its queue; `None` if it waits on, here or at another account."""
    ticket.waits_at = None
    stop = _stop(ticket)
    if stop is None:
        return _grant(ticket)
    never = _never(ticket)
    if never is not None:
        ticket.state = "closed"
        del ticket.account.tickets[ticket.key]
        return never
    _queue(ticket, stop)
    return None


def _grant(ticket: Ticket) -> Granted:
    ticket.state = "granted"
    ticket.reserved = ticket.need.amount(ticket.cap)
    for account in ticket.account.chain:
        account.reserved_sum.add(ticket.reserved)
    return Granted(ticket, ticket.cap)


def _never(ticket: Ticket) -> Never | None:
    """Why the ticket could not be granted even if nothing was reserved."""
    least = ticket.need.amount(ticket.need.least)
    for account, kept in ticket.stages:
        used, needed = account.used, kept + least
        for kind, limit in account.limits.items():
            if EXACT.add(used.of(kind), needed.of(kind)) > limit:
                return Never(kind, limit, used.of(kind), needed.of(kind), account.scope)
    return None


def _queue(ticket: Ticket, account: Account) -> None:
    ticket.waits_at = account
    heappush(account.queue, (ticket.number, ticket))


def _drop_closed(account: Account) -> None:
    """Forget cancelled tickets that have come to the head of the queue."""
    while account.queue and account.queue[0][1].state == "closed":
        heappop(account.queue)


def _close(ticket: Ticket) -> bool:
    """Close a granted ticket; whether it was still open."""
    if ticket.state == "waiting":
        raise ValueError(f"{ticket!r} has not been granted, so there is nothing to settle or release; cancel it")
    was_open = ticket.state == "granted"
    ticket.state = "closed"
    return was_open
