"""When an attempt is tried again and how long is waited before: without an event loop, on a clock of the test's own."""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_cause_type,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_result,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    stop_before_delay,
    wait_fixed,
    wait_none,
)
from tenacity.asyncio.retry import retry_if_exception as async_retry_if_exception
from tenacity.retry import retry_base

from swarmlet import GraphError, Retry
from swarmlet.errors import CircuitOpen, ModelUnavailable, QuotaExhausted, RateLimited, ReplyMalformed
from swarmlet.policy.retry import JITTER, retried, transient

T = TypeVar("T")


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits for an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    raise AssertionError("it waited")


@dataclass
class World:
    """Time passes only where something sleeps or takes long."""

    lasts: float = 0
    deadline: float = float("inf")
    now: float = 100.0
    waits: list[float] = field(default_factory=list[float])
    heard: list[tuple[int, str, float]] = field(default_factory=list[tuple[int, str, float]])
    attempts: list[int] = field(default_factory=list[int])

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def run(self, policy: Retry, *errors: Exception, **settings: Any) -> str:  # Any: passed on
        """The outcome of attempts that fail with these errors, one after the other."""

        async def attempt(number: int) -> str:
            self.attempts.append(number)
            self.now += self.lasts
            if number <= len(errors):
                raise errors[number - 1]
            return "done"

        def heard(number: int, error: BaseException, wait: float) -> None:
            self.heard.append((number, str(error), wait))

        return finish(
            retried(
                attempt,
                policy,
                sleep=self.sleep,
                remaining=lambda: self.deadline - self.now,
                on_retry=heard,
                clock=lambda: self.now,
                **settings,
            )
        )


NO_WAIT = wait_none()


# tenacity's own objects


@pytest.mark.parametrize(
    ("on", "yes", "no"),
    [
        (retry_if_exception_type(OSError), ConnectionError("a"), ValueError("a")),
        (retry_if_exception_type(OSError) | retry_if_exception_message(match="busy"), ValueError("busy now"), ValueError("a")),
        (retry_if_exception_type(OSError) & retry_if_exception_message(message="reset"), OSError("reset"), OSError("a")),
    ],
)
def test_tenacitys_retry_objects_say_what_is_tried_again(on: retry_base, yes: Exception, no: Exception) -> None:
    world = World()
    assert world.run(Retry(on=on, wait=NO_WAIT), yes, yes) == "done"
    assert world.heard == [(1, str(yes), 0), (2, str(yes), 0)]

    world = World()
    with pytest.raises(type(no)) as caught:
        world.run(Retry(on=on, wait=NO_WAIT), no)
    assert caught.value is no
    assert world.attempts == [1]


def test_a_retry_object_sees_causes_and_later_errors_too() -> None:
    error = ValueError("outer")
    error.__cause__ = OSError("inner")
    other = ValueError("alone")
    world = World()
    with pytest.raises(ValueError, match="alone"):
        world.run(Retry(on=retry_if_exception_cause_type(OSError), wait=NO_WAIT, attempts=9), error, error, other)
    assert world.attempts == [1, 2, 3]


def test_a_predicate_is_asked_once_for_each_error() -> None:
    asked: list[BaseException] = []

    def predicate(error: BaseException) -> bool:
        asked.append(error)
        return True

    class Counts(retry_base):
        def __call__(self, retry_state: RetryCallState) -> bool:
            assert retry_state.outcome
            asked.append(cast("BaseException", retry_state.outcome.exception()))
            return True

    errors = [ValueError("1"), ValueError("2")]
    ons: tuple[Callable[[BaseException], bool] | retry_base, ...] = (predicate, Counts())
    for on in ons:
        asked.clear()
        World().run(Retry(on=on, wait=NO_WAIT), *errors)
        assert asked == errors


def test_of_attempts_and_stop_the_first_ends_it() -> None:
    for attempts, stop, expected in ((4, stop_after_attempt(2), 2), (2, stop_after_attempt(4), 2), (3, None, 3)):
        world = World()
        with pytest.raises(OSError, match="again"):
            world.run(Retry(attempts=attempts, stop=stop, on=OSError, wait=NO_WAIT), *[OSError("again")] * 9)
        assert len(world.attempts) == expected


def test_the_time_of_the_first_attempt_counts_for_stop_objects() -> None:
    world = World(lasts=10)
    with pytest.raises(OSError, match="slow"):
        world.run(Retry(stop=stop_after_delay(10), on=OSError, wait=NO_WAIT), OSError("slow"))
    assert world.attempts == [1]
    world = World(lasts=10)
    with pytest.raises(OSError, match="slow"):
        world.run(Retry(stop=stop_before_delay(25), on=OSError, wait=wait_fixed(6)), *[OSError("slow")] * 9)
    assert world.attempts == [1, 2]


# Time


@pytest.mark.parametrize(("lasts", "wait", "attempts"), [(0, 4, 3), (3, 1, 3), (10.5, 0, 1), (6, 5, 1), (5, 5, 2)])
def test_a_wait_that_would_end_after_the_total_time_is_not_begun(lasts: float, wait: float, attempts: int) -> None:
    world = World(lasts=lasts)
    with pytest.raises(OSError, match="no"):
        world.run(Retry(seconds=10, attempts=99, on=OSError, wait=wait_fixed(wait)), *[OSError("no")] * 99)
    assert len(world.attempts) == attempts
    assert sum(world.waits) <= 10


def test_the_total_time_bounds_a_servers_wish() -> None:
    wish = RateLimited("later", retry_after=11)
    with pytest.raises(RateLimited):
        World().run(Retry(seconds=10, wait=NO_WAIT), wish, applies=transient)
    assert World().run(Retry(seconds=11, wait=NO_WAIT), wish, applies=transient) == "done"


def test_a_wait_above_the_longest_or_after_the_deadline_is_not_begun() -> None:
    for policy, deadline in (
        (Retry(wait=wait_fixed(5), longest_wait=4, on=OSError), 999),
        (Retry(wait=wait_fixed(5), on=OSError), 104),
    ):
        world = World(deadline=deadline)
        with pytest.raises(OSError, match="no"):
            world.run(policy, OSError("no"))
        assert world.waits == []


# The server's wish


@given(
    hint=st.floats(0, 100),
    own=st.floats(0, 100),
    deadline=st.floats(0, 200),
    longest=st.floats(0, 100),
    seconds=st.floats(0.001, 200),
)
def test_a_wish_is_never_undercut_and_overshot_by_a_tenth_at_most(
    hint: float, own: float, deadline: float, longest: float, seconds: float
) -> None:
    world = World(deadline=deadline, now=0.0)
    policy = Retry(wait=wait_fixed(own), longest_wait=longest, seconds=seconds, attempts=2)
    room = min(deadline, longest, seconds)
    needed = max(hint, own)
    try:
        world.run(policy, RateLimited("x", retry_after=hint), applies=transient)
    except RateLimited:
        assert needed > room, "jitter is no reason to give up"
        assert world.waits == []
    else:
        (wait,) = world.waits
        assert needed <= room
        assert needed <= wait <= room
        assert wait <= max(own, hint * (1 + JITTER) * (1 + 1e-9))


def test_those_who_were_told_the_same_do_not_come_back_at_once() -> None:
    waits: list[float] = []
    for _ in range(200):
        world = World()
        world.run(Retry(wait=NO_WAIT), RateLimited("x", retry_after=10), applies=transient)
        waits += world.waits
    assert len(set(waits)) == 200
    assert min(waits) >= 10
    assert max(waits) <= 11
    assert max(waits) - min(waits) > 0.8


def test_an_own_wait_that_is_longer_is_left_as_it_is() -> None:
    world = World()
    world.run(Retry(wait=wait_fixed(12)), RateLimited("x", retry_after=10), applies=transient)
    assert world.waits == [12]


# What is transient


def test_what_is_transient() -> None:
    refused_for_good = RateLimited("no")
    refused_for_good.retryable = False
    assert [transient(one) for one in (RateLimited("a"), ModelUnavailable("a"), ReplyMalformed("a"))] == [True] * 3
    never = (QuotaExhausted("a"), CircuitOpen("a", retry_after=1), refused_for_good, OSError("a"))
    assert [transient(one) for one in never] == [False] * 4
    assert CircuitOpen("a").retryable


# The rest


def test_the_veto_is_asked_last_and_raises_the_original_error() -> None:
    asked: list[int] = []

    def never() -> bool:
        asked.append(1)
        return False

    world = World()
    with pytest.raises(OSError, match="first"):
        world.run(Retry(on=OSError, wait=NO_WAIT), OSError("first"), may_repeat=never)
    assert (world.attempts, asked) == ([1], [1])
    with pytest.raises(ValueError, match="other"):
        World().run(Retry(on=OSError, wait=NO_WAIT), ValueError("other"), may_repeat=never)
    with pytest.raises(OSError, match="late"):
        World(deadline=100).run(Retry(on=OSError, wait=wait_fixed(1)), OSError("late"), may_repeat=never)
    assert asked == [1], "it is not asked where the policy gives up anyway"


def test_nothing_of_tenacity_is_built_for_what_succeeds_or_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []

    class Counted(AsyncRetrying):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            built.append(self)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr("swarmlet.policy.retry.AsyncRetrying", Counted)
    World().run(Retry(on=OSError))
    with pytest.raises(ValueError, match="x"):
        World().run(Retry(on=OSError), ValueError("x"))
    with pytest.raises(OSError, match="x"):
        World().run(Retry(on=OSError, attempts=1), OSError("x"))
    assert built == []
    World().run(Retry(on=OSError, wait=NO_WAIT), OSError("x"), OSError("y"))
    assert len(built) == 1
    gc.collect()


def test_random_policies_keep_all_their_bounds() -> None:
    random = Random(4)
    for _ in range(300):
        bounds = {"attempts": random.randint(1, 6), "seconds": random.uniform(0.1, 20), "longest_wait": random.uniform(0, 5)}
        stop = random.choice([None, stop_after_attempt(random.randint(1, 6))])
        policy = Retry(on=OSError, wait=wait_fixed(random.uniform(0, 6)), stop=stop, **bounds)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        world = World(lasts=random.uniform(0, 2), deadline=100 + random.uniform(0, 30))
        errors = [OSError(str(number)) for number in range(random.randint(0, 8))]
        raised: list[str] = []
        try:
            world.run(policy, *errors)
        except OSError as error:
            raised.append(str(error))
        assert raised == ([] if len(world.attempts) > len(errors) else [str(len(world.attempts) - 1)]), "the last one's"
        assert len(world.attempts) <= policy.attempts
        assert all(wait <= policy.longest_wait for wait in world.waits)
        assert world.now - world.lasts <= 100 + bounds["seconds"] + 1e-9 or len(world.attempts) == 1
        assert len(world.waits) == len(world.heard) == len(world.attempts) - 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"attempts": 0}, "at least 1"),
        ({"attempts": True}, "at least 1"),
        ({"attempts": 2.5}, "at least 1"),
        ({"wait": 3}, "tenacity's wait objects"),
        ({"longest_wait": -1}, "at least 0"),
        ({"longest_wait": "long"}, "at least 0"),
        ({"longest_wait": float("nan")}, "at least 0"),
        ({"seconds": 0}, "above 0"),
        ({"seconds": float("nan")}, "above 0"),
        ({"seconds": float("inf")}, "above 0"),
        ({"seconds": True}, "above 0"),
        ({"stop": 3}, "tenacity's stop objects"),
        ({"stop": lambda: True}, "tenacity's stop objects"),
        ({"on": "ValueError"}, "exception type"),
        ({"on": str}, "exception type"),
        ({"on": KeyboardInterrupt}, "exception type"),
        ({"on": (ValueError, str)}, "exception type"),
        ({"on": (retry_if_exception_type(OSError),)}, "exception type"),
        ({"on": retry_if_exception_type}, "exception type"),
        ({"on": retry_if_result(bool)}, r"loop\(\) or cascade\(\)"),
        ({"on": retry_if_exception_type(OSError) | retry_if_not_result(bool)}, r"loop\(\) or cascade\(\)"),
        ({"on": async_retry_if_exception(cast("Any", bool))}, "tenacity.asyncio"),
    ],
)
def test_what_is_wrong_with_a_policy_is_told_when_it_is_made(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(GraphError, match=told):
        Retry(**wrong)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(GraphError) as caught:
        Retry(attempts=0, seconds=-1)
    assert len(caught.value.problems) == 2
