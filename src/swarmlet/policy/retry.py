"""When a failed attempt is tried again, and how long to wait first. tenacity decides; this says what it is told.

One layer retries: the SDK's own retries are off. Nothing of tenacity is built before something has failed, because a
call that succeeds at once should not pay for it, and each failure gets an object of its own: one `AsyncRetrying` that
concurrent tasks share loses their errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

from tenacity import AsyncRetrying, retry_if_exception
from tenacity.wait import wait_base, wait_random_exponential

from swarmlet.errors import GraphError, ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

T = TypeVar("T")


def transient(error: BaseException) -> bool:
    """Whether the same model call may succeed later: rate limits, timeouts, lost connections, 408, 409, 5xx."""
    return isinstance(error, ModelError) and error.retryable


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How failed attempts are tried again: of a model call inside an agent, or of a whole plain step.

    Model calls are tried again after what may pass (see `transient`), whatever the policy; plain steps only after the
    exceptions that `on` names: a type, several, or a predicate. By default it names none.

    `attempts` counts the first one. `wait` is any of tenacity's wait objects, in seconds; a server's Retry-After is
    obeyed where it asks for more. A wait above `longest_wait` seconds, or one that does not fit the time that is left,
    is not begun: the failure is raised at once.
    """

    attempts: int = 4
    wait: wait_base = field(default_factory=lambda: wait_random_exponential(multiplier=0.5, max=20))
    longest_wait: float = 60
    on: type[Exception] | tuple[type[Exception], ...] | Callable[[BaseException], bool] = ()

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise GraphError(f"Retry(attempts=) counts the first attempt and must be at least 1, not {self.attempts!r}")
        if not callable(self.wait):
            raise GraphError(f"Retry(wait=) is one of tenacity's wait objects, such as wait_fixed(1), not {self.wait!r}")
        on: object = self.on
        if not all(map(callable, cast("tuple[object, ...]", on) if isinstance(on, tuple) else (on,))):
            raise GraphError(f"Retry(on=) is an exception type, a tuple of them or a predicate, not {on!r}")

    def applies(self, error: BaseException) -> bool:
        """Whether this policy tries a plain step again after `error`."""
        on = self.on
        if isinstance(on, type):
            return isinstance(error, cast("type[Exception]", on))
        if isinstance(on, tuple):
            return isinstance(error, on)
        return on(error)


async def retried(
    attempt: Callable[[int], Awaitable[T]],
    policy: Retry,
    *,
    applies: Callable[[BaseException], bool] | None = None,
    sleep: Callable[[float], Awaitable[None]],
    remaining: Callable[[], float],
    on_retry: Callable[[int, BaseException, float], None],
) -> T:
    """Await `attempt(number)` until it succeeds or the policy gives up, and then raise its last error.

    `applies(error)` says what is tried again, in place of the policy's `on`. `remaining()` tells the
    seconds that are left before the deadline; `on_retry(number, error, wait)` hears of each failed attempt that will be
    followed by another.
    """
    applies = applies or policy.applies
    try:
        return await attempt(1)
    except Exception as error:
        if policy.attempts == 1 or not applies(error):
            raise
        first = error
    number = 0

    async def again() -> T:
        nonlocal number
        number += 1
        if number == 1:
            raise first
        return await attempt(number)

    def gives_up(state: RetryCallState) -> bool:
        wait = state.upcoming_sleep
        return number >= policy.attempts or wait > policy.longest_wait or wait > remaining()

    def announce(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            on_retry(number, error, state.upcoming_sleep)

    retrying = AsyncRetrying(
        sleep=sleep,
        stop=gives_up,
        wait=_HintedWait(policy.wait),
        retry=retry_if_exception(applies),
        before_sleep=announce,
        reraise=True,
    )
    return await retrying(again)


class _HintedWait(wait_base):
    """The policy's own wait, or the server's wish where that is longer."""

    def __init__(self, wait: wait_base) -> None:
        self._wait = wait

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        hint = error.retry_after if isinstance(error, ModelError) else None
        return max(float(self._wait(retry_state)), hint or 0.0)
