"""Waiting for one's turn: on every event loop, cancelled at any moment, and with the counting elsewhere."""

from __future__ import annotations

from random import Random

import anyio
import pytest
import trio.testing
from anyio.lowlevel import checkpoint

from swarmlet.errors import ModelUnavailable
from swarmlet.models.pace import Limiter, Limiters, Store, limit_name
from swarmlet.policy.meter import Ask, Charge, Later, Meter, Outcome
from swarmlet.policy.pace import Allowance
from swarmlet.policy.window import Window

pytestmark = pytest.mark.anyio


def limiter_of(*requests: Window, concurrency: int = 1000, store: Store | None = None) -> Limiter:
    return Limiter(Allowance(requests=requests, concurrency=concurrency, first=concurrency), store=store, random=Random(0))


def is_idle(limiter: Limiter) -> bool:
    left = (limiter.pace.waiting, limiter.pace.in_flight, limiter._leader, limiter._bells)  # pyright: ignore[reportPrivateUsage]
    return left == (0, 0, None, {})


class Counted:
    """A store in this process, which takes its time and can fail."""

    def __init__(self, *, fails: int = 0, delay: float = 0.0) -> None:
        self.meter = Meter()
        self.open: dict[str, Charge] = {}
        self.asked = 0
        self._fails = fails
        self._delay = delay

    async def take(self, ask: Ask) -> Charge | Later:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(self._delay)
        self.asked += 1
        if self.asked <= self._fails:
            raise ModelUnavailable("the store is away")
        answer = self.meter.take(anyio.current_time(), ask)
        if isinstance(answer, Charge):
            answer = Charge(answer.at, answer.marks, lease=str(self.asked))
            self.open[answer.lease] = answer
        return answer

    async def close(self, charge: Charge, outcome: Outcome) -> None:
        await checkpoint()
        if self.open.pop(charge.lease, None) is not None:
            self.meter.close(anyio.current_time(), charge.at, outcome)


@pytest.fixture(params=["here", "store"])
def store(request: pytest.FixtureRequest) -> Counted | None:
    return Counted() if request.param == "store" else None


async def test_it_goes_at_once_while_there_is_room_and_tells_how_long_it_waited(store: Counted | None) -> None:
    limiter = limiter_of(Window(10, 0.5, burst=2), store=store)
    waits: list[float] = []

    with anyio.fail_after(5):
        for _ in range(4):
            async with limiter.slot(run="r") as slot:
                waits.append(slot.waited)

    assert waits[:2] == pytest.approx([0, 0], abs=0.04)
    assert waits[2] > 0.02
    assert is_idle(limiter)


async def test_only_so_many_are_in_flight_and_they_take_turns(store: Counted | None) -> None:
    limiter = limiter_of(concurrency=2, store=store)
    gate = anyio.Event()
    inside, most = 0, 0
    went: list[str] = []

    async def call(run: str) -> None:
        nonlocal inside, most
        async with limiter.slot(run=run):
            went.append(run)
            inside += 1
            most = max(most, inside)
            await gate.wait()
            await checkpoint()
            inside -= 1

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for run in ["a"] * 10 + ["b"] * 10:
                group.start_soon(call, run)
            await anyio.wait_all_tasks_blocked()
            assert limiter.pace.waiting == 18
            gate.set()

    assert most == 2
    assert 4 <= went[:10].count("a") <= 6
    assert is_idle(limiter)


async def test_answers_open_the_gate_of_a_server_that_tells_nothing(store: Counted | None) -> None:
    limiter = Limiter(Allowance(concurrency=16, first=2), store=store)
    inside, most = 0, 0

    async def call() -> None:
        nonlocal inside, most
        async with limiter.slot():
            inside += 1
            most = max(most, inside)
            await anyio.sleep(0.01)
            inside -= 1

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(call)

    assert 8 <= most <= 16


async def test_cancelled_at_any_moment_nothing_leaks(store: Counted | None) -> None:
    limiter = limiter_of(concurrency=3, store=store)
    random = Random(7)
    done = cancelled = 0

    async def call(number: int) -> None:
        nonlocal done, cancelled
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            async with limiter.slot(run=str(number % 5)):
                for _ in range(random.randrange(3)):
                    await checkpoint()
                done += 1
                if scopes and random.random() < 0.7:  # in the instant in which the next one is let go
                    random.choice(scopes).cancel()
        cancelled += scope.cancelled_caught

    scopes: list[anyio.CancelScope] = []
    with anyio.fail_after(20):
        for _ in range(20):
            async with anyio.create_task_group() as group:
                for number in range(40):
                    group.start_soon(call, number)
            scopes.clear()

    assert cancelled > 50
    assert done > 50
    assert is_idle(limiter)
    assert store is None or not store.open
    with anyio.fail_after(5):
        async with limiter.slot(), limiter.slot(), limiter.slot():
            pass


async def test_granted_and_cancelled_at_once_gives_all_back() -> None:
    limiter = limiter_of(Window(1, 3600, burst=1), concurrency=1)
    scope = anyio.CancelScope()

    async def call() -> None:
        with scope:
            async with limiter.slot():
                raise AssertionError("it was cancelled before it could go")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            holder = limiter.pace.admit(anyio.current_time(), 0)
            group.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            (ticket,) = limiter._bells  # pyright: ignore[reportPrivateUsage]
            limiter.pace.cancel(anyio.current_time(), holder)
            assert limiter.pace.due(anyio.current_time()) == [ticket]
            scope.cancel()

        assert is_idle(limiter)
        async with limiter.slot():
            pass


async def test_who_waits_needs_no_task_and_leaves_none() -> None:
    limiter = limiter_of(Window(1, 3600))
    async with anyio.create_task_group() as group:
        async with limiter.slot():
            pass
        before = len(anyio.get_running_tasks())
        with anyio.move_on_after(0.05):
            async with limiter.slot():
                raise AssertionError("there is no room for an hour")
        assert len(anyio.get_running_tasks()) == before
        group.cancel_scope.cancel()

    assert is_idle(limiter)


async def test_the_others_go_on_when_the_one_who_kept_watch_leaves(store: Counted | None) -> None:
    limiter = limiter_of(Window(4, 2, burst=1), store=store)
    went = 0

    async def call(scope: anyio.CancelScope) -> None:
        nonlocal went
        with scope:
            async with limiter.slot():
                went += 1

    with anyio.fail_after(10):
        async with limiter.slot(), anyio.create_task_group() as group:
            first = anyio.CancelScope()
            group.start_soon(call, first)
            await anyio.wait_all_tasks_blocked()
            for _ in range(5):
                group.start_soon(call, anyio.CancelScope())
            await checkpoint()
            first.cancel()

    assert went == 5
    assert is_idle(limiter)


async def test_ten_thousand_may_wait() -> None:
    limiter = limiter_of(concurrency=50)
    done = 0

    async def call(number: int) -> None:
        nonlocal done
        async with limiter.slot(run=str(number % 100), priority=number % 3):
            await checkpoint()
            done += 1

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number in range(10_000):
                group.start_soon(call, number)

    assert done == 10_000
    assert is_idle(limiter)


async def test_what_the_server_says_is_learned() -> None:
    limiter = Limiter(Allowance(first=1))
    told = {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}
    async with limiter.slot() as slot:
        slot.observe(told)
        slot.used(0)

    async with limiter.slot() as slot:
        assert slot.waited > 0.05


async def test_a_refusal_makes_all_wait(store: Counted | None) -> None:
    limiter = limiter_of(Window(600), store=store)
    async with limiter.slot(tokens=5) as slot:
        slot.refused(0.1)

    async with limiter.slot() as slot:
        assert slot.waited >= 0.1


async def test_what_was_not_sent_is_given_back(store: Counted | None) -> None:
    limiter = limiter_of(Window(1, 3600, burst=1), store=store)
    with anyio.fail_after(5):
        for _ in range(3):
            async with limiter.slot() as slot:
                slot.unsent()


# --- counted elsewhere


async def test_a_store_that_is_away_fails_the_one_who_asked_and_the_next_one_asks_again() -> None:
    limiter = limiter_of(store=Counted(fails=1))
    failed = went = 0

    async def call() -> None:
        nonlocal failed, went
        try:
            async with limiter.slot():
                went += 1
        except ModelUnavailable:
            failed += 1

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call)

    assert (failed, went) == (1, 4)
    assert is_idle(limiter)


async def test_a_charge_for_one_who_left_meanwhile_is_given_back() -> None:
    store = Counted(delay=0.05)
    limiter = limiter_of(Window(1, 3600, burst=1), store=store)

    async def call(scope: anyio.CancelScope, priority: int) -> None:
        with scope:
            async with limiter.slot(priority=priority):
                await anyio.sleep_forever()

    first, second = anyio.CancelScope(), anyio.CancelScope()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(call, first, 0)
            group.start_soon(call, second, 1)
            await anyio.wait_all_tasks_blocked()
            await anyio.sleep(0.01)
            second.cancel()
            first.cancel()

    assert store.open == {}
    assert is_idle(limiter)


async def test_a_call_does_not_fail_because_the_store_does_not_hear_of_its_end() -> None:
    class Deaf(Counted):
        async def close(self, charge: Charge, outcome: Outcome) -> None:
            raise ModelUnavailable("away")

    limiter = limiter_of(store=Deaf())
    async with limiter.slot() as slot:
        slot.used(3)

    assert is_idle(limiter)


# --- by the clock


@pytest.fixture
def autojump() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


def test_two_thousand_calls_at_the_pace_of_minutes(autojump: trio.testing.MockClock) -> None:
    async def main() -> tuple[float, int]:
        limiter = Limiter(Allowance(requests=(Window(600),), tokens=(Window(60_000),), concurrency=2000))
        times: list[float] = []
        random = Random(1)
        begin = trio.current_time()

        async def call(number: int) -> None:
            async with limiter.slot(tokens=random.uniform(20, 160), run=str(number % 7)) as slot:
                times.append(trio.current_time())
                await trio.sleep(random.uniform(0.2, 3))
                slot.used(20)

        async with trio.open_nursery() as nursery:
            for number in range(2000):
                nursery.start_soon(call, number)
        assert is_idle(limiter)
        most = max(sum(1 for other in times if at <= other < at + 60) for at in times[::50])
        return times[-1] - begin, most

    seconds, most = trio.run(main, clock=autojump)

    assert most <= 600
    assert seconds <= 2000 / 600 * 60 / 0.95


# --- many limits


async def test_there_is_one_limiter_for_each_endpoint_key_and_model() -> None:
    limiters = Limiters(Allowance())
    one = limiters.get(limit_name("https://api.example/v1", "sk-secret", "small"))

    assert limiters.get(limit_name("https://api.example/v1/", "sk-secret", "small")) is one
    assert limiters.get(limit_name("https://api.example/v1", "sk-other", "small")) is not one
    assert limiters.get(limit_name("https://api.example/v1", "sk-secret", "big")) is not one
    assert limiters.get(limit_name("https://api.other/v1", "sk-secret", "small")) is not one
    assert "secret" not in limit_name("https://api.example/v1", "sk-secret", "small")
    await limiters.aclose()
