"""Receipts against a real model. A small one is often wrong: what is asserted is that nothing wrong is accepted."""

from __future__ import annotations

from datetime import date

from examples._show import model
from examples.receipts.__main__ import DATA, load
from examples.receipts.checks import doubts
from examples.receipts.flow import receipts
from examples.receipts.shapes import Accepted, ForPerson
from swarmlet import Budget, Failed, Swarm
from tests.examples.real import REAL_MODEL

pytestmark = REAL_MODEL


async def test_what_is_accepted_adds_up_and_the_rest_is_for_a_person() -> None:
    scan = load(DATA / "refund.txt").model_copy(update={"received": date(2025, 8, 1)})
    bounded = receipts.with_options(budget=Budget(requests=3))  # two readings, and no vote
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(bounded, [scan])
    assert 1 <= result.usage.requests <= 3
    (verdict,) = result.output
    if isinstance(verdict, Accepted):
        assert doubts(verdict.receipt, scan) == ()
    elif isinstance(verdict, ForPerson):
        assert verdict.doubts == doubts(verdict.reading, scan) != ()
    elif isinstance(verdict, Failed):
        assert verdict.type in ("OutputInvalid", "ReplyTruncated", "BudgetExceeded")
