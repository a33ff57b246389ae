"""When a failed attempt is tried again, and how long to wait first. tenacity decides; this says what it is told.

One layer retries: the SDK's own retries are off. Nothing of tenacity is built before something has failed, because a
call that succeeds at once should not pay for it, and each failure gets an object of its own: one `AsyncRetrying` that
concurrent tasks share loses their errors.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from tenacity import AsyncRetrying, retry_if_not_result, retry_if_result
from tenacity.asyncio.retry import async_retry_base
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base, wait_random, wait_random_exponential

from swarmlet.errors import BudgetExceeded, CircuitOpen, GraphError, ModelError
from swarmlet.policy.checks import is_count, is_duration, is_number

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tenacity import RetryCallState

T = TypeVar("T")

JITTER = 0.1
"""The part of a Retry-After by which a wait may be longer, so that not all who were told the same come back at once."""


def transient(error: BaseException) -> bool:
    """Whether to try the same model call again: after rate limits, timeouts, lost connections, 408, 409 and 5xx.

    Not where a circuit breaker is open: then a fallback should come at once.
    """
    return isinstance(error, ModelError) and error.retryable and not isinstance(error, CircuitOpen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How failed attempts are tried again: of a model call inside an agent, or of a whole plain step.

    Model calls are tried again after what may pass (see `transient`), whatever the policy; plain steps only after the
    exceptions that `on` names: a type, several, a predicate, or one of tenacity's retry objects, such as
    `retry_if_exception_type(OSError) & retry_if_exception_message(match="reset")`. By default it names none.

    It is over as soon as one of these says so: `attempts`, which counts the first one; `seconds`, over all attempts and
    waits (a wait that would end later is not begun; what runs is stopped by the option `timeout` alone); and `stop`, any of
    tenacity's stop objects. `wait` is any of its wait objects, in seconds; a server's Retry-After is obeyed where it asks for
    more, with up to a tenth on top. A wait above `longest_wait` seconds, or one that does not fit the time that is left, is
    not begun: the failure is raised at once.
    """

    attempts: int = 4
    wait: wait_base = field(default_factory=lambda: wait_random_exponential(multiplier=0.5, max=20))
    longest_wait: float = 60
    on: type[Exception] | tuple[type[Exception], ...] | Callable[[BaseException], bool] | retry_base = ()
    stop: stop_base | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise GraphError([f"Retry({problem}" for problem in problems])

    def applies(self, error: BaseException) -> bool:
        """Whether this policy tries a plain step again after `error`, if tenacity is not asked for that."""
        on = self.on
        if isinstance(on, type):
            return isinstance(error, cast("type[Exception]", on))
        if isinstance(on, tuple):
            return isinstance(error, on)
        return not isinstance(on, retry_base) and on(error)

    def room(self, spent: float) -> float:
        """The longest wait that may still be begun, when so many seconds have gone by."""
        return self.longest_wait if self.seconds is None else min(self.longest_wait, self.seconds - spent)


async def retried(
    attempt: Callable[[int], Awaitable[T]],
    policy: Retry,
    *,
    applies: Callable[[BaseException], bool] | None = None,
    sleep: Callable[[float], Awaitable[None]],
    remaining: Callable[[], float],
    on_retry: Callable[[int, BaseException, float], None],
    may_repeat: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Await `attempt(number)` until it succeeds or the policy gives up, and then raise its last error.

    `applies(error)` says what is tried again, in place of the policy's `on`. `remaining()` tells the
    seconds that are left before the deadline; `may_repeat()` is asked last and has a veto; `on_retry(number, error, wait)`
    hears of each failed attempt that will be followed by another.
    """
    began = clock()
    strategy = policy.on if applies is None and isinstance(policy.on, retry_base) else None
    applies = applies or policy.applies
    try:
        return await attempt(1)
    except Exception as error:
        if policy.attempts == 1 or isinstance(error, BudgetExceeded) or (strategy is None and not applies(error)):
            raise
        first = error
    number = 0

    async def again() -> T:
        nonlocal number
        number += 1
        if number == 1:
            raise first
        return await attempt(number)

    def tries_again(state: RetryCallState) -> bool:
        error = _error_of(state)
        if error is None or isinstance(error, BudgetExceeded):
            return False
        state.start_time, state.outcome_timestamp = began, clock()  # tenacity did not see the first attempt
        if strategy is not None:
            return strategy(state)
        return number == 1 or applies(error)  # of the first one it is known

    def announce(state: RetryCallState) -> None:
        error = _error_of(state)
        if error is not None:
            on_retry(number, error, state.upcoming_sleep)

    room = partial(_room, policy, remaining)
    retrying = AsyncRetrying(
        sleep=sleep,
        stop=lambda state: number >= policy.attempts or _gives_up(policy, state, room(state)) or not may_repeat(),
        wait=_HintedWait(policy.wait, room),
        retry=tries_again,
        before_sleep=announce,
        reraise=True,
    )
    return await retrying(again)


def _room(policy: Retry, remaining: Callable[[], float], state: RetryCallState) -> float:
    """The longest wait that may be begun now, in seconds."""
    return min(policy.room(state.seconds_since_start or 0.0), remaining())


def _gives_up(policy: Retry, state: RetryCallState, room: float) -> bool:
    return state.upcoming_sleep > room or (policy.stop is not None and policy.stop(state))


class _HintedWait(wait_base):
    """The policy's own wait, or the server's wish where that is longer, and then some: but no longer than there is room."""

    def __init__(self, wait: wait_base, room: Callable[[RetryCallState], float]) -> None:
        self._wait = wait
        self._room = room

    def __call__(self, retry_state: RetryCallState) -> float:
        error = _error_of(retry_state)
        hint = error.retry_after if isinstance(error, ModelError) else None
        own = float(self._wait(retry_state))
        if hint is None or hint <= own:
            return own
        spare = max(0.0, self._room(retry_state) - hint)  # half of it is left: an attempt wants time too
        return hint + wait_random(0, min(JITTER * hint, spare / 2))(retry_state)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _problems(policy: Retry) -> Iterator[str]:
    """What is wrong with a policy, each from the name of the argument on."""
    stop = cast("object", policy.stop)
    if not is_count(policy.attempts):
        yield f"attempts=) counts the first attempt and must be at least 1, not {policy.attempts!r}"
    wait: object = policy.wait
    if not callable(wait):
        yield f"wait=) is one of tenacity's wait objects, such as wait_fixed(1), not {wait!r}"
    if not is_number(policy.longest_wait) or not policy.longest_wait >= 0:
        yield f"longest_wait=) is in seconds and must be at least 0, not {policy.longest_wait!r}"
    if policy.seconds is not None and not is_duration(policy.seconds):
        yield f"seconds=) is in seconds and must be above 0, not {policy.seconds!r}"
    if stop is not None and not isinstance(stop, stop_base):
        yield f"stop=) is one of tenacity's stop objects, such as stop_after_delay(30), not {stop!r}"
    yield from _problems_of_on(policy.on)


def _problems_of_on(on: object) -> Iterator[str]:
    several = cast("tuple[object, ...]", on) if isinstance(on, tuple) else ()
    if isinstance(on, retry_base):
        parts = list(_strategies(on))
        if any(isinstance(part, retry_if_result | retry_if_not_result) for part in parts):
            yield "on=) is about failures; to go on from a result that does not please, use loop() or cascade()"
        if any(isinstance(part, async_retry_base) for part in parts):
            yield "on=) takes tenacity's plain retry objects, and not those of tenacity.asyncio"
    elif not all(map(_is_exception, several)) or not (isinstance(on, tuple) or _is_exception(on) or _is_predicate(on)):
        yield f"on=) is an exception type, a tuple of them, a predicate, or one of tenacity's retry objects, not {on!r}"


def _strategies(on: object) -> Iterator[object]:
    """A retry object and those that it is made of."""
    yield on
    for part in cast("tuple[object, ...]", getattr(on, "retries", ())):
        yield from _strategies(part)


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def _is_predicate(on: object) -> bool:
    return callable(on) and not isinstance(on, type)
