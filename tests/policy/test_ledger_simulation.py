"""A hundred days of a thousand random calls against nested random budgets."""

from __future__ import annotations

import pytest

from tests.policy.simulation import Caps, Simulation


@pytest.mark.parametrize("seed", range(100))
def test_no_day_overshoots_a_budget_or_ends_in_a_deadlock(seed: int) -> None:
    report = Simulation(seed).run()
    assert report.overshoot == 0
    assert report.stuck == 0
    assert report.left_reserved == 0
    assert report.settled + report.never + report.broken == 1000
    assert report.waited > 0
    assert report.never > 0


@pytest.mark.parametrize(("caps", "full"), [("fixed", 0.97), ("lowered", 0.99)])
def test_budgets_get_nearly_as_full_as_a_perfect_packer_fills_them(caps: Caps, full: float) -> None:
    for seed in range(10):
        report = Simulation(seed, caps=caps, failing=0, cancelling=0, all_kinds=False).run()
        assert report.overshoot == 0
        assert full * report.attainable <= report.used <= report.attainable
