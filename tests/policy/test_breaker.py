"""The circuit of one endpoint, on a clock of the test's own."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from swarmlet import GraphError
from swarmlet.policy.breaker import Breaker, Circuit, Pass

SETTINGS = Breaker(failures=3, seconds=10)


def admit(circuit: Circuit, now: float) -> Pass:
    given = circuit.admit(now)
    assert given is not None
    return given


def opened(now: float = 0) -> Circuit:
    circuit = Circuit(SETTINGS)
    for _ in range(SETTINGS.failures):
        circuit.failed(admit(circuit, now), now)
    assert circuit.state(now) == "open"
    return circuit


def test_so_many_failures_in_a_row_open_it_and_an_answer_between_starts_anew() -> None:
    circuit = Circuit(SETTINGS)
    for outcome in "ffaffa":
        given = admit(circuit, 0)
        circuit.answered(given) if outcome == "a" else circuit.failed(given, 0)
    assert circuit.state(0) == "closed"
    for state in ("closed", "closed", "open"):
        circuit.failed(admit(circuit, 0), 0)
        assert circuit.state(0) == state
    assert circuit.admit(9.9) is None
    assert (circuit.wait(4), circuit.wait(10)) == (6, 0)
    assert (circuit.state(9.9), circuit.state(10)) == ("open", "half-open")


def test_one_call_tries_it_and_its_answer_lets_all_through() -> None:
    circuit = opened()
    trial = admit(circuit, 10)
    assert trial.trial
    assert [circuit.admit(10) for _ in range(100)] == [None] * 100
    assert (circuit.state(10), circuit.wait(10)) == ("half-open", 10)
    circuit.answered(trial)
    assert (circuit.state(10), circuit.wait(10)) == ("closed", 0)
    assert not admit(circuit, 10).trial


def test_a_trial_that_fails_opens_it_again_at_once() -> None:
    circuit = opened()
    circuit.failed(admit(circuit, 15), 16)
    assert (circuit.state(16), circuit.wait(16)) == ("open", 10)
    assert circuit.admit(25.9) is None
    assert admit(circuit, 26).trial


def test_a_trial_that_tells_nothing_makes_room_for_another() -> None:
    circuit = opened()
    circuit.undecided(admit(circuit, 10), 11)
    assert circuit.state(11) == "half-open"
    circuit.answered(admit(circuit, 11))
    assert circuit.state(11) == "closed"


def test_a_trial_that_hangs_is_followed_by_another_and_the_first_to_end_decides() -> None:
    circuit = opened()
    slow = admit(circuit, 10)
    assert circuit.admit(19) is None
    other = admit(circuit, 20)
    circuit.answered(slow)
    assert circuit.state(21) == "closed"
    circuit.failed(other, 22)
    assert circuit.state(22) == "closed"


def test_calls_sent_before_it_opened_or_closed_decide_nothing() -> None:
    circuit = Circuit(SETTINGS)
    early = [admit(circuit, 0) for _ in range(20)]
    for given in early[:10]:
        circuit.failed(given, 1)
    assert circuit.wait(1) == 10
    for given in early[10:15]:
        circuit.failed(given, 5)
    assert circuit.wait(5) == 6, "late failures do not make it longer"
    circuit.answered(early[15])
    assert circuit.state(5) == "open"
    circuit.answered(admit(circuit, 11))
    for given in early[16:]:
        circuit.failed(given, 12)
    assert circuit.state(12) == "closed"


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_it_tries_with_one_call_at_a_time_and_always_recovers(seed: int) -> None:
    random = Random(seed)
    settings = Breaker(failures=random.randint(1, 5), seconds=random.randint(1, 20))
    circuit, now = Circuit(settings), 0
    flying: list[Pass] = []
    quiet, opened_times = 0, 0
    """Until when nothing may be let through; and how often it has opened."""
    for _ in range(3000):
        now += random.randint(0, 2)
        if random.random() < 0.6:
            given = circuit.admit(now)
            assert (given is None) == (now < quiet)
            if given is not None:
                flying.append(given)
                quiet = now + int(settings.seconds) if given.trial else quiet
        elif flying:
            given = flying.pop(random.randrange(len(flying)))
            before = circuit.state(now)
            fate = random.choice("aaffffu")
            if fate == "a":
                circuit.answered(given)
            elif fate == "f":
                circuit.failed(given, now)
            else:
                circuit.undecided(given, now)
            after = circuit.state(now)
            if after == "closed" or (fate == "u" and circuit.wait(now) == 0):
                quiet = 0
            if after == "open" != before:
                quiet, opened_times = now + int(settings.seconds), opened_times + 1
        assert circuit.wait(now) == max(0, quiet - now)
    assert opened_times > 1
    now = max(now, quiet)
    circuit.answered(admit(circuit, now))
    assert circuit.state(now) == "closed"


@pytest.mark.parametrize(
    "wrong",
    [{"failures": 0}, {"failures": 1.5}, {"failures": True}, {"seconds": 0}, {"seconds": float("inf")}, {"seconds": "1"}],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match=next(iter(wrong))):
        Breaker(**wrong)
