"""Two thousand calls against servers that enforce 600 requests and 60,000 tokens a minute, in virtual time."""

from __future__ import annotations

import pytest

from swarmlet.policy.pace import Allowance
from swarmlet.policy.window import Window
from tests.bench.simulate import Bucket, Fixed, Server, Simulation, Sliding, Work

GIVEN = Allowance(requests=(Window(600),), tokens=(Window(60_000),), concurrency=200)
LEARNED = Allowance(concurrency=200)
BY_REQUESTS = (Work(), 600.0)
BY_TOKENS = (Work(tokens=(50, 250)), 400.0)


@pytest.mark.parametrize("bound", [BY_REQUESTS, BY_TOKENS], ids=["requests", "tokens"])
@pytest.mark.parametrize("allowance", [GIVEN, LEARNED], ids=["given", "learned"])
@pytest.mark.parametrize("kind", [Bucket, Sliding, Fixed])
def test_alone_hardly_a_call_is_refused_and_the_allowance_is_used(
    kind: type[Bucket], allowance: Allowance, bound: tuple[Work, float]
) -> None:
    work, allowed = bound

    result = Simulation(Server(kind(600), kind(60_000)), work, [allowance]).run(allowed)

    assert result.done == work.calls
    assert result.refused <= 0.002 * work.calls
    assert work.calls / (result.seconds / 60 * allowed) >= 0.95


@pytest.mark.parametrize("kind", [Bucket, Sliding, Fixed])
@pytest.mark.parametrize("count", [2, 4])
def test_processes_that_know_nothing_of_each_other_share_by_what_the_server_says(kind: type[Bucket], count: int) -> None:
    simulation = Simulation(Server(kind(600), kind(60_000)), Work(calls=4000), [LEARNED] * count)

    result = simulation.run(600)

    assert result.done == 4000
    assert result.refused <= 0.02 * 4000
    assert 4000 / (result.seconds / 60 * 600) >= 0.9


def test_a_server_that_tells_nothing_is_felt_out() -> None:
    result = Simulation(Server(Bucket(600), Bucket(60_000), headers=False), Work(calls=4000), [LEARNED]).run(600)

    assert result.done == 4000
    assert result.refused <= 0.04 * 4000
    assert 4000 / (result.seconds / 60 * 600) >= 0.8


def test_tokens_that_are_reserved_and_not_used_come_back() -> None:
    """A third of what is reserved is used. The server counts what is used, so the limit on requests is what binds."""
    work = Work(tokens=(20, 80), reserve=3, charges_reserved=False)

    result = Simulation(Server(Bucket(600), Bucket(60_000)), work, [LEARNED]).run(600)

    assert result.refused == 0
    assert 2000 / (result.seconds / 60 * 600) >= 0.95
