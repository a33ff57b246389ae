"""A swarm's day at the ledger without an event loop: random calls, nested random budgets, a queue of events.

Deterministic for a seed. The tests ask it for overshoot and deadlock, the benchmark for how full the budgets get.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Literal, TypeAlias

from swarmlet.policy.account import Account, Need, Ticket
from swarmlet.policy.amount import NOTHING, Amount, Price
from swarmlet.policy.budget import Budget
from swarmlet.policy.ledger import Decision, Granted, Ledger, Never, Waiting

Caps: TypeAlias = Literal["fixed", "lowered", "mixed"]
"""Whether callers accept a smaller completion cap than they want."""

Fate: TypeAlias = Literal["settled", "unbilled", "maybe", "cancelled"]

PRICE = Price(Decimal("0.15") / 10**6, Decimal("0.60") / 10**6)
ACCOUNTS = 12
DEEPEST = 5
SPAN = 100_000
"""Ticks in which the calls arrive."""


@dataclass(frozen=True)
class Call:
    """What will happen to one call; the ledger hears only of its need."""

    number: int
    account: Account
    need: Need
    output: int
    """Tokens that the model would write if nothing stopped it."""
    ticks: int
    fate: Fate


@dataclass
class Report:
    """What came of one simulation. `attainable` is what a perfect packer would have used of the outermost budget."""

    settled: int = 0
    never: int = 0
    waited: int = 0
    broken: int = 0
    stuck: int = 0
    left_reserved: int = 0
    overshoot: Decimal = Decimal(0)
    used: int = 0
    attainable: int = 0
    limit: int = 0


@dataclass
class Simulation:
    """`failing` and `cancelling` are shares of the calls; `all_kinds` limits accounts in random kinds, else in tokens only."""

    seed: int
    size: int = 1000
    caps: Caps = "mixed"
    failing: float = 0.1
    cancelling: float = 0.1
    all_kinds: bool = True
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.ledger = Ledger(self._hear)
        self.now = 0
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.scheduled = 0
        self.waiting: dict[Ticket, Call] = {}
        plan = self._tree()
        weights = [self._weight() for _ in range(self.size)]
        self.accounts = self._open(plan, weights)
        self.calls = [self._call(number, *weight) for number, weight in enumerate(weights)]

    def run(self) -> Report:
        """Play all events; the report says what came of them."""
        for call in self.calls:
            self._at(self.random.randrange(SPAN), partial(self._arrive, call))
        while self.events:
            self.now, _, happen = heappop(self.events)
            happen()
            self._inspect()
        report = self.report
        report.stuck = len(self.waiting)
        report.left_reserved = sum(account.reserved != NOTHING for account in self.accounts)
        outermost = self.accounts[0]
        report.used = outermost.used.tokens
        report.limit = int(outermost.limits.get("tokens", 0))
        report.attainable = self._attainable(outermost)
        return report

    # The world

    def _tree(self) -> list[int]:
        """The parent of each account; the first is the outermost."""
        parents, depths = [-1], [1]
        while len(parents) < ACCOUNTS:
            parent = self.random.randrange(len(parents))
            if depths[parent] < DEEPEST:
                parents.append(parent)
                depths.append(depths[parent] + 1)
        return parents

    def _weight(self) -> tuple[int, Need, int]:
        prompt, cap = self.random.randint(50, 3000), self.random.randint(100, 2000)
        lowered = self.caps == "lowered" or (self.caps == "mixed" and self.random.random() < 0.5)
        need = Need(input_tokens=prompt, cap=cap, least=cap // 4 if lowered else cap, price=PRICE)
        return self.random.randrange(ACCOUNTS), need, int(cap * self.random.uniform(0.1, 1))

    def _open(self, parents: list[int], weights: list[tuple[int, Need, int]]) -> list[Account]:
        """Accounts with limits between a third and all of what will be asked of them."""
        asked = [NOTHING] * len(parents)
        for index, need, output in weights:
            at = index
            while at >= 0:
                asked[at] += need.amount(min(output, need.cap))
                at = parents[at]
        accounts: list[Account] = []
        for index, parent in enumerate(parents):
            share = Decimal(self.random.randint(30, 100)) / 100 if index else Decimal("0.4")
            budget = self._budget(asked[index], share, outermost=not index)
            accounts.append(Account(f"account{index}", budget, accounts[parent] if index else None))
        return accounts

    def _budget(self, asked: Amount, share: Decimal, *, outermost: bool) -> Budget:
        kinds = {"tokens"}
        if self.all_kinds:
            kinds = set(self.random.sample(["tokens", "input_tokens", "output_tokens", "requests", "usd"], k=2))
            kinds |= {"tokens"} if outermost else set()
        return Budget(
            tokens=int(asked.tokens * share) + 1 if "tokens" in kinds else None,
            input_tokens=int(asked.input_tokens * share) + 1 if "input_tokens" in kinds else None,
            output_tokens=int(asked.output_tokens * share) + 1 if "output_tokens" in kinds else None,
            requests=int(asked.requests * share) + 1 if "requests" in kinds else None,
            usd=asked.usd * share + 1 / Decimal(10**9) if "usd" in kinds else None,
        )

    def _call(self, number: int, index: int, need: Need, output: int) -> Call:
        failing, cancelling = self.failing / 2, self.cancelling
        fates: list[Fate] = ["unbilled", "maybe", "cancelled", "settled"]
        (fate,) = self.random.choices(fates, [failing, failing, cancelling, 1 - 2 * failing - cancelling])
        return Call(number, self.accounts[index], need, output, self.random.randint(1000, 20_000), fate)

    # The events

    def _at(self, tick: int, happen: Callable[[], None]) -> None:
        self.scheduled += 1
        heappush(self.events, (tick, self.scheduled, happen))

    def _arrive(self, call: Call) -> None:
        outcome = self.ledger.reserve(("call", call.number, 1), call.account, call.need)
        if isinstance(outcome, Granted):
            self._start(call, outcome)
        elif isinstance(outcome, Waiting):
            self.report.waited += 1
            self.waiting[outcome.ticket] = call
            if call.fate == "cancelled":
                self._at(self.now + self.random.randint(1, 20_000), lambda: self._give_up(outcome.ticket))
        else:
            self.report.never += 1

    def _hear(self, ticket: Ticket, decision: Decision) -> None:
        call = self.waiting.pop(ticket)
        if isinstance(decision, Never):
            self.report.never += 1
        else:
            self._start(call, decision)

    def _give_up(self, ticket: Ticket) -> None:
        if self.waiting.pop(ticket, None) is not None:
            self.report.broken += 1
            self.ledger.cancel(ticket)

    def _start(self, call: Call, granted: Granted) -> None:
        self._at(self.now + call.ticks, lambda: self._end(call, granted))

    def _end(self, call: Call, granted: Granted) -> None:
        ticket = granted.ticket
        if call.fate == "settled":
            self.report.settled += 1
            output = min(call.output, granted.cap)
            actual = Amount(1, call.need.input_tokens, output, PRICE.usd(call.need.input_tokens, output))
            self.ledger.settle(ticket, actual)
            return
        self.report.broken += 1
        if call.fate == "cancelled":
            self.ledger.cancel(ticket)
        else:
            self.ledger.release(ticket, "maybe" if call.fate == "maybe" else "no")

    def _inspect(self) -> None:
        """The worst overshoot of any limit so far, over what is used and reserved."""
        for account in self.accounts:
            taken = account.used + account.reserved
            for kind, limit in account.limits.items():
                self.report.overshoot = max(self.report.overshoot, Decimal(taken.of(kind)) - Decimal(limit))

    def _attainable(self, account: Account) -> int:
        """Tokens that a packer would use who knows every bill beforehand and may cut calls in pieces: no ledger does better."""
        own = sum(call.need.input_tokens + call.output for call in self.calls if call.account is account)
        inside = sum(self._attainable(child) for child in self.accounts if child.parent is account)
        return min(int(account.limits.get("tokens", own + inside)), own + inside)
