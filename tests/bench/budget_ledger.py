"""How quick the budget ledger is, and how full it lets budgets get.

    python -m tests.bench.budget_ledger

Prints microseconds of one reserve + settle (best of 7 rounds), of a settle that wakes one of many waiters, and tokens used at
exhaustion against a packer that knows every bill beforehand (median and worst of 100 seeds).
"""

from __future__ import annotations

import statistics
import time
from decimal import Decimal

from swarmlet.policy.account import Account, Need
from swarmlet.policy.amount import Amount, Price
from swarmlet.policy.budget import Budget
from swarmlet.policy.ledger import Granted, Ledger
from tests.policy.simulation import Caps, Simulation

CALLS = 10_000
PRICE = Price(Decimal("0.15") / 10**6, Decimal("0.60") / 10**6)
NEED = Need(input_tokens=500, cap=400, least=400, price=PRICE)
ACTUAL = Amount(1, 500, 100, PRICE.usd(500, 100))


def chain(depth: int, budget: Budget | None) -> Account:
    """The innermost of so many accounts."""
    account = Account("outermost", budget)
    for level in range(1, depth):
        account = Account(f"level{level}", budget, account)
    return account


def microseconds(depth: int, budget: Budget | None) -> float:
    """One reserve and one settle, where nobody waits."""
    ledger, account = Ledger(lambda ticket, decision: None), chain(depth, budget)
    keys = [("solve/attempt[2]/review", turn, 1) for turn in range(CALLS)]
    begin = time.perf_counter()
    for key in keys:
        outcome = ledger.reserve(key, account, NEED)
        if isinstance(outcome, Granted):
            ledger.settle(outcome.ticket, ACTUAL)
    return (time.perf_counter() - begin) / CALLS * 1e6


def microseconds_queued(waiters: int) -> float:
    """One settle that grants the next of so many waiters, with 3 accounts."""
    running: list[Granted] = []
    ledger = Ledger(lambda _, decision: running.append(decision) if isinstance(decision, Granted) else None)
    account = chain(3, Budget(output_tokens=400 + waiters * 100, usd="1000"))
    for turn in range(waiters):
        outcome = ledger.reserve(("solve", turn, 1), account, NEED)
        if isinstance(outcome, Granted):
            running.append(outcome)
    begin = time.perf_counter()
    settled = 0
    while running:
        ledger.settle(running.pop().ticket, ACTUAL)
        settled += 1
    return (time.perf_counter() - begin) / settled * 1e6


def main() -> None:
    """Measure and print."""
    budgets = {"tokens and usd": Budget(tokens=10**12, usd="1000000"), "tokens": Budget(tokens=10**12), "no limit": None}
    for depth in (1, 3, 5):
        for name, budget in budgets.items():
            best = min(microseconds(depth, budget) for _ in range(7))
            print(f"{best:6.1f} us  reserve + settle, {depth} accounts, {name}")
    for waiters in (100, 10_000):
        print(
            f"{min(microseconds_queued(waiters) for _ in range(3)):6.1f} us  settle + grant the next, {waiters} calls at once"
        )
    every: tuple[Caps, ...] = ("fixed", "mixed", "lowered")
    for size in (1000, 50):
        for caps in every:
            reports = [Simulation(seed, size, caps, failing=0, cancelling=0, all_kinds=False).run() for seed in range(100)]
            shares = [report.used / report.attainable for report in reports]
            median, worst = statistics.median(shares), min(shares)
            print(f"{median:8.2%} median, {worst:8.2%} worst of a perfect packer's tokens, {size} calls, caps {caps}")


if __name__ == "__main__":
    main()
