"""No step becomes much dearer unnoticed: counts of what it executes, not times. See `tests/bench/guard.py`."""

from __future__ import annotations

import pytest

from tests.bench.guard import GROWTH, LARGE, RENEW, SMALL, WORKLOADS, allowed, measured

RUNS = [name for name, workload in WORKLOADS.items() if not workload.builds]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", RUNS)
def test_a_step_executes_no_more_than_what_is_recorded(name: str, backend: str) -> None:
    _hold(name, backend)


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name not in RUNS])
def test_building_executes_no_more_than_what_is_recorded(name: str) -> None:
    _hold(name, "asyncio")


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_step_of_a_large_graph_executes_no_more_than_one_of_a_small_graph(name: str) -> None:
    small, large = measured(name, SMALL), measured(name, LARGE)
    assert large["lines"] <= small["lines"] * (1 + GROWTH)
    assert large["calls"] <= small["calls"] * (1 + GROWTH)


def _hold(name: str, backend: str) -> None:
    now, most = measured(name, LARGE, backend), allowed(name)
    above = {kind: f"{count} > {most[kind]}" for kind, count in now.items() if count > most[kind]}
    assert not above, f"a step of {name!r} executes more than is recorded; if it is worth it: {RENEW}"
