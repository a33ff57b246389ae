"""What both stores of shared limits must do: give the answers of the meter in this process, and hold over processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Protocol

import anyio
import pytest

from swarmlet.models.pace import Limiter
from swarmlet.policy.meter import Ask, Back, Charge, Later, Meter, Outcome, Seen, Spec
from swarmlet.policy.pace import Allowance
from swarmlet.policy.window import Window

SPECS = (
    Spec("requests/60", "requests", Window(60, 60)),
    Spec("tokens/60", "tokens", Window(6000, 60)),
    Spec("requests/300", "requests", Window(200, 300, 30)),
)
TOLD = (Spec("requests/told/60", "requests", Window(50, 60)), Spec("tokens/told/60", "tokens", Window(5000, 60)))


class TimedStore(Protocol):
    """A store that can be told the time."""

    async def take(self, ask: Ask, now: float | None = None) -> Charge | Later: ...
    async def close(self, charge: Charge, outcome: Outcome, now: float | None = None) -> None: ...


async def gives_the_meters_answers(store: TimedStore, seed: int) -> None:
    """Play the same random calls to a meter and to the store: what goes, what waits and for how long must be equal."""
    random, meter, now = Random(seed), Meter(), 1_700_000_000.0 + seed
    flying: list[tuple[Charge, Charge, float]] = []
    granted = waited = 0
    for _ in range(250):
        now += random.choice([0.0, 0.01, 0.3, 2.0, 40.0 if random.random() < 0.1 else 1.0])
        specs = SPECS if len(flying) % 3 else SPECS + TOLD
        if random.random() < 0.6 or not flying:
            ask = Ask(specs, random.choice([0.0, 30.0, 300.0, 2500.0]), 10_000)
            ours, theirs = meter.take(now, ask), await store.take(ask, now)
            if isinstance(ours, Later) or isinstance(theirs, Later):
                assert isinstance(ours, Later)
                assert isinstance(theirs, Later)
                assert theirs.seconds == pytest.approx(ours.seconds, abs=1e-5)
                waited += 1
                continue
            granted += 1
            assert [mark.slot for mark in ours.marks] == [mark.slot for mark in theirs.marks]
            assert [mark.spent for mark in ours.marks] == pytest.approx([mark.spent for mark in theirs.marks])
            flying.append((ours, theirs, ask.tokens))
        else:
            ours, theirs, tokens = flying.pop(random.randrange(len(flying)))
            outcome = _outcome(random, ours, tokens)
            meter.close(now, ours.at, outcome)
            await store.close(theirs, outcome, now)
            await store.close(theirs, outcome, now)  # the second time is nothing
    assert granted > 20
    assert waited > 5


def _outcome(random: Random, charge: Charge, tokens: float) -> Outcome:
    marks = [mark for mark in charge.marks if mark.key.startswith("tokens")]
    back = tuple(Back(mark, random.choice([tokens, tokens / 2, 0.0, -50.0])) for mark in marks)
    spent = {mark.key: mark.spent for mark in charge.marks}
    seen = tuple(
        Seen(spec, random.uniform(0, spec.window.amount), spent.get(spec.key, 0.0), flying=random.choice([0.0, 3.0]))
        for spec in TOLD
        if random.random() < 0.4
    )
    return Outcome(back, seen, pause=random.choice([0.5, 5.0]) if random.random() < 0.05 else None)


async def frees_what_a_dead_process_held(store: TimedStore) -> None:
    """`store` has leases of one second, and one call may be in flight."""
    ask = Ask((), 0, 1)
    first = await store.take(ask, 100.0)
    assert isinstance(first, Charge)
    full = await store.take(ask, 100.5)
    assert isinstance(full, Later)
    assert 0 < full.seconds <= 0.5

    second = await store.take(ask, 101.5)
    assert isinstance(second, Charge)
    await store.close(first, Outcome(), 101.6)
    assert isinstance(await store.take(ask, 101.7), Later), "its lease had ended, so its end frees nobody else's"
    await store.close(second, Outcome(), 101.8)
    assert isinstance(await store.take(ask, 101.9), Charge)


async def lets_limiters_wait(store: TimedStore) -> None:
    """Two limiters of one process over one store, as two processes would be."""
    allowance = Allowance(requests=(Window(20, 1, burst=1),), concurrency=4)
    limiters = [Limiter(allowance, store=store) for _ in range(2)]
    times: list[float] = []

    async def call(limiter: Limiter) -> None:
        async with limiter.slot():
            times.append(anyio.current_time())

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number in range(24):
                group.start_soon(call, limiters[number % 2])
    times.sort()
    assert times[-1] - times[0] > 1
    assert sum(limiter.pace.in_flight + limiter.pace.waiting for limiter in limiters) == 0


def holds_over_processes(kind: str, url: str) -> None:
    """Four processes want all they can get for a few seconds: together they get the allowance."""
    script = Path(__file__).parents[1] / "bench" / "limiter.py"
    command = [sys.executable, str(script), "worker", kind, url, "--limit", "60", "--window", "2", "--seconds", "5"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        times = sorted(at for worker in workers for at in json.loads(worker.communicate(timeout=60)[0]))
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    worst = max(sum(1 for other in times if at <= other < at + 2) for at in times)
    assert worst <= 60
    assert len(times) >= 60 * (times[-1] - times[0]) / 2 * 0.7, "the machine may be busy"
