"""Accounts of budgets in force, and what a call asks of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, final

from swarmlet.policy.amount import EXACT, NOTHING, Amount, Kind, Price, Spent, Sum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swarmlet.policy.budget import Budget

Key: TypeAlias = tuple[str, int, int]
"""Step path, turn, attempt: names one reservation of an account, so that asking twice reserves once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What calls may still take: limit less used less reserved, never below 0. `None` where nothing limits it."""

    tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    requests: int | None = None
    usd: Decimal | None = None


@final
class Account:
    """One execution of a node that has a budget. `scope` names it, and `parent` is the account around it.

    What is used or reserved here is so in every account of `chain`: this one, its parent, and so on to the outermost.
    Without a budget an account only counts; a run has such a one, so that its keys are its own. `spent` is what an
    earlier process had spent on the same execution. `started` is carried for the deadline that `budget.seconds` sets.

    Only a ledger writes to an account. A parent knows nothing of its children, so they vanish when they are done.
    """

    __slots__ = (
        "__weakref__",
        "_input_tokens",
        "_output_tokens",
        "_requests",
        "_tokens",
        "_usd",
        "budget",
        "chain",
        "limits",
        "overrun_sum",
        "parent",
        "priced_scope",
        "queue",
        "reserved_sum",
        "scope",
        "started",
        "tickets",
        "uncertain_sum",
        "unkept",
        "used_sum",
    )

    def __init__(
        self,
        scope: str,
        budget: Budget | None = None,
        parent: Account | None = None,
        *,
        spent: Spent | None = None,
        started: float | None = None,
    ) -> None:
        spent = spent or Spent()
        self.scope: str = scope
        self.budget: Budget | None = budget
        self.parent: Account | None = parent
        self.started: float | None = started
        self.chain: tuple[Account, ...] = (self, *(parent.chain if parent else ()))
        self.unkept: tuple[tuple[Account, Amount], ...] = tuple((account, NOTHING) for account in self.chain)
        self.limits: Mapping[Kind, int | Decimal] = budget.limits if budget else {}
        self.used_sum: Sum = Sum(spent.used)
        self.reserved_sum: Sum = Sum()
        self.uncertain_sum: Sum = Sum(spent.uncertain)
        self.overrun_sum: Sum = Sum(spent.overrun)
        self.queue: list[tuple[int, Ticket]] = []
        """Who waits at this account: a heap by order of arrival, whose first is always still waiting."""
        self.tickets: dict[Key, Ticket] = {}
        self._tokens = budget.tokens if budget else None
        self._input_tokens = budget.input_tokens if budget else None
        self._output_tokens = budget.output_tokens if budget else None
        self._requests = budget.requests if budget else None
        self._usd = cast("Decimal | None", budget.usd if budget else None)
        self.priced_scope: str | None = scope if self._usd is not None else parent.priced_scope if parent else None
        """Scope of the nearest budget in USD, under which no call without a price can be judged."""

    def __repr__(self) -> str:
        return f"<Account {self.scope!r} used={self.used} reserved={self.reserved}>"

    @property
    def used(self) -> Amount:
        """What was billed, or may have been."""
        return self.used_sum.amount()

    @property
    def reserved(self) -> Amount:
        """The worst case of the calls that are running."""
        return self.reserved_sum.amount()

    @property
    def uncertain(self) -> Amount:
        """The part of `used` that may not have been billed: the whole reservation of calls that broke off."""
        return self.uncertain_sum.amount()

    @property
    def overrun(self) -> Amount:
        """The part of `used` that servers billed above what had been reserved."""
        return self.overrun_sum.amount()

    def left(self) -> Left:
        """What calls under this account may still take: the least that it or an account around it has left."""

        def count(kind: Kind) -> int | None:
            spare = self._least_spare(kind)
            return None if spare is None else int(spare)

        return Left(
            tokens=count("tokens"),
            input_tokens=count("input_tokens"),
            output_tokens=count("output_tokens"),
            requests=count("requests"),
            usd=self._least_spare("usd"),
        )

    def carry(self, spent: Spent) -> None:
        """Count what an earlier process has spent under it. Before any call under it asks for something."""
        self.used_sum.add(spent.used)
        self.uncertain_sum.add(spent.uncertain)
        self.overrun_sum.add(spent.overrun)

    def checkpoint(self) -> Spent:
        """What to open this account with again if the process is lost now: running calls count as uncertain."""
        return Spent(self.used + self.reserved, self.uncertain + self.reserved, self.overrun)

    def room(self, need: Need, kept: Amount) -> int:
        """The largest completion cap that fits here now, beside `kept`: at most `need.cap`, and negative if none does."""
        used, held = self.used_sum, self.reserved_sum
        cap = need.cap
        if self._requests is not None and used.requests + held.requests + kept.requests + 1 > self._requests:
            return -1
        if self._input_tokens is not None:
            taken = used.input_tokens + held.input_tokens + kept.input_tokens
            if taken + need.input_tokens > self._input_tokens:
                return -1
        if self._output_tokens is not None:
            cap = min(cap, self._output_tokens - used.output_tokens - held.output_tokens - kept.output_tokens)
        if self._tokens is not None:
            taken = used.input_tokens + used.output_tokens + held.input_tokens + held.output_tokens
            cap = min(cap, self._tokens - taken - kept.tokens - need.input_tokens)
        if self._usd is not None and need.price is not None:
            left = EXACT.subtract(EXACT.subtract(EXACT.subtract(self._usd, used.usd), held.usd), kept.usd)
            cap = min(cap, _affordable(left, need, need.price))
        return cap

    def _least_spare(self, kind: Kind) -> Decimal | None:
        spares: list[Decimal] = []
        for account in self.chain:
            limit = account.limits.get(kind)
            if limit is not None:
                taken = account.used + account.reserved
                spares.append(max(EXACT.subtract(limit, taken.of(kind)), Decimal(0)))
        return min(spares, default=None)


@dataclass(frozen=True, slots=True)
class Keep:
    """A slice that a call must leave untouched in `account` and in all that enclose it, for a step that comes later."""

    account: Account
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The worst case of one model call: one request, its counted prompt and the completion that it is allowed.

    `cap` is the completion cap that is wanted and `least` the smallest that is accepted instead, the same where it may not
    be lowered. `price` is `None` where nobody knows it; then no budget in USD lets the call through.
    """

    input_tokens: int
    cap: int
    least: int
    price: Price | None = None
    keep: tuple[Keep, ...] = ()

    def __post_init__(self) -> None:
        if self.input_tokens < 0 or not 0 <= self.least <= self.cap:
            raise ValueError(f"a call needs 0 <= input_tokens and 0 <= least <= cap: {self!r}")

    def amount(self, cap: int) -> Amount:
        """What is reserved for the call with this cap."""
        return Amount(1, self.input_tokens, cap, self.price.usd(self.input_tokens, cap) if self.price else Decimal(0))


@final
class Ticket:
    """One reservation, or the wait for one. `key` names it within `account`."""

    __slots__ = ("account", "cap", "key", "need", "number", "reserved", "stages", "state", "waits_at")

    def __init__(self, key: Key, account: Account, need: Need, number: int) -> None:
        self.key: Key = key
        self.account: Account = account
        self.need: Need = need
        self.number: int = number
        """Place in the order of arrival."""
        self.state: Literal["waiting", "granted", "closed"] = "waiting"
        self.stages: tuple[tuple[Account, Amount], ...] = _stages(account, need.keep)
        """The accounts that it must fit, from inside out, each with what must be left there."""
        self.waits_at: Account | None = None
        self.cap: int = need.cap
        """The completion cap that was granted."""
        self.reserved: Amount = NOTHING

    def __repr__(self) -> str:
        path, turn, attempt = self.key
        return f"<Ticket {path!r} turn {turn} attempt {attempt}: {self.state}>"


def _stages(account: Account, keeps: tuple[Keep, ...]) -> tuple[tuple[Account, Amount], ...]:
    if not keeps:
        return account.unkept
    if strays := [keep.account.scope for keep in keeps if keep.account not in account.chain]:
        raise ValueError(f"nothing can be kept in {strays[0]!r}, which does not enclose {account.scope!r}")
    kept = NOTHING
    stages: list[tuple[Account, Amount]] = []
    for stage in account.chain:
        for keep in keeps:
            if keep.account is stage:
                kept = keep.amount + kept
        stages.append((stage, kept))
    return tuple(stages)


def _affordable(left: Decimal, need: Need, price: Price) -> int:
    """How many completion tokens `left` pays for after the prompt, `need.cap` at most; negative if not even the prompt."""
    left = EXACT.subtract(left, EXACT.multiply(need.input_tokens, price.input))
    if left < 0:
        return -1
    return min(need.cap, int(EXACT.divide_int(left, price.output))) if price.output else need.cap
