"""The cashier: model calls ask here for what they may spend, and wait here while running calls may give something back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias, final

import anyio

from swarmlet.errors import BudgetExceeded, PriceUnknown
from swarmlet.policy.amount import Amount
from swarmlet.policy.ledger import Granted, Ledger, Never, Unpriced, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarmlet.policy.account import Account, Key, Need, Ticket
    from swarmlet.policy.ledger import BudgetService, Decision


LedgerFactory: TypeAlias = "Callable[[Callable[[Ticket, Decision], None]], BudgetService]"
"""Makes the service that keeps the books; it tells the function that it is given what becomes of tickets that waited."""


@final
@dataclass(slots=True)
class Reservation:
    """What one call may spend: `cap` is the completion cap that was granted. Close it once the call has ended."""

    service: BudgetService
    ticket: Ticket
    cap: int
    waited: float

    def settle(self, input_tokens: int, output_tokens: int, usd: Decimal | None) -> None:
        """The call came back with this usage. Where its price is not known, the worst case stands, at what that would cost."""
        if usd is None:
            price = self.ticket.need.price
            usd = max(self.ticket.reserved.usd, price.usd(input_tokens, output_tokens) if price else Decimal(0))
        self.service.settle(self.ticket, Amount(1, input_tokens, output_tokens, usd))

    def refused(self) -> None:
        """The call was sent and surely not billed: it counts as a request and gives everything else back."""
        self.service.settle(self.ticket, Amount(1))

    def uncertain(self) -> None:
        """The call broke off after it was sent: it may have been billed, so the worst case counts as used."""
        self.service.release(self.ticket, "maybe")

    def unsent(self) -> None:
        """The call was not sent."""
        self.service.cancel(self.ticket)


@final
class Cashier:
    """Reserves what model calls may spend, in all budgets around them at once. One for all runs of a swarm."""

    def __init__(self, ledger: LedgerFactory | None = None) -> None:
        self._ledger: BudgetService = (ledger or Ledger)(self._decided)
        self._waiting: dict[Ticket, _Wait] = {}

    async def reserve(self, key: Key, account: Account, need: Need, model: str, on_wait: Callable[[str], None]) -> Reservation:
        """Reserve the worst case of one call, and wait for it while running calls may give back enough.

        `on_wait` is told the scope of the budget that it waits for. Raises `BudgetExceeded` if it can never fit, and
        `PriceUnknown` if a budget in USD cannot judge it.
        """
        began = time.perf_counter()
        outcome = self._ledger.reserve(key, account, need)
        if isinstance(outcome, Waiting):
            outcome = await self._wait(outcome.ticket, on_wait)
        match outcome:
            case Granted(ticket, cap):
                return Reservation(self._ledger, ticket, cap, time.perf_counter() - began)
            case Never():
                raise BudgetExceeded(key[0], outcome.kind, outcome.limit, outcome.used, outcome.needed, outcome.scope)
            case Unpriced(scope):
                raise PriceUnknown(
                    f"the price of {model!r} is not known, so the budget in USD of {scope!r} cannot allow a call of it: "
                    "give the model a profile with prices, or limit tokens instead"
                )

    async def _wait(self, ticket: Ticket, on_wait: Callable[[str], None]) -> Decision:
        wait = self._waiting[ticket] = _Wait()
        try:
            on_wait(ticket.waits_at.scope if ticket.waits_at else ticket.account.scope)
            await wait.decided.wait()
        except BaseException:
            self._ledger.cancel(ticket)  # also if it has been granted in this very moment
            raise
        finally:
            del self._waiting[ticket]
        assert wait.decision is not None  # noqa: S101  # set before the event
        return wait.decision

    def _decided(self, ticket: Ticket, decision: Decision) -> None:
        wait = self._waiting[ticket]
        wait.decision = decision
        wait.decided.set()


class _Wait:
    def __init__(self) -> None:
        self.decided = anyio.Event()
        self.decision: Decision | None = None
