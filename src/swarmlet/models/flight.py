"""Single flight: of identical calls that are asked for at the same time, one is made.

    landed = await flight.do(key, call, accepts=whole)

The first who asks for a key leads: it makes the call, in its own task. Who asks for the same key meanwhile follows: it
waits for what the leader gets. Nobody works for the others in the background, so nothing outlives its caller:

- A leader that is cancelled hands over: the follower that has waited longest makes the call anew. So does a leader that
  fails for reasons of its own (its budget, its deadline, a bug).
- A server's answer to the call is everybody's, also if it is a failure (a `ModelError`): what the server refuses to one it
  refuses to all, and what is worth another try is tried again by each caller's own policy, which brings them together in
  the next flight. For that, one flight is one attempt: it belongs inside of what retries.
- A result that a follower does not accept (a reply cut off by the leader's smaller cap) is not given to it: it asks again,
  and, not served by a second flight either, makes the call by itself. So nobody waits for more than two others in a row.

A call that streams to a listener has none but its own: it does not belong here, nor do samples that must be independent.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, final

import anyio

from swarmlet.errors import ModelError, PriceUnknown

T = TypeVar("T")

_PATIENCE = 2
"""Results of others that a follower may find of no use before it makes the call by itself."""


@final
@dataclass(frozen=True, slots=True)
class Landed(Generic[T]):
    """What a call gave."""

    value: T
    shared: bool
    """Whether another caller made the call, and this one paid nothing for it."""


@final
@dataclass(slots=True)
class _Seat(Generic[T]):
    """One follower. When it is woken it has the result, or a failure, or else it is to lead."""

    woken: anyio.Event = field(default_factory=anyio.Event)
    landed: Landed[T] | None = None
    failure: Exception | None = None

    @property
    def leads(self) -> bool:
        return self.woken.is_set() and self.landed is None and self.failure is None


def answered(error: Exception) -> bool:
    """Whether a failure says something about the call, whoever makes it; if not, it is the leader's own."""
    return isinstance(error, ModelError) and not isinstance(error, PriceUnknown)


def anything(value: object) -> bool:
    """Accepts every result."""
    return True


@final
class SingleFlight(Generic[T]):
    """Makes identical concurrent calls once. It belongs to one event loop; several runs may share it.

    `shares` says which failures of a leader are its followers' too. A failure is shared as a copy, whose cause is the
    leader's; one that cannot be copied is not shared.
    """

    def __init__(self, shares: Callable[[Exception], bool] = answered) -> None:
        self._shares = shares
        self._flights: dict[str, dict[int, _Seat[T]]] = {}
        """Who waits for the call that is being made, by key, in the order in which they came."""

    @property
    def keys(self) -> int:
        """How many different calls are being made."""
        return len(self._flights)

    @property
    def waiting(self) -> int:
        """How many callers wait for somebody else's call."""
        return sum(map(len, self._flights.values()))

    async def do(self, key: str, make: Callable[[], Awaitable[T]], *, accepts: Callable[[T], bool] = anything) -> Landed[T]:
        """What `make()` gives, or what another caller's gave that asked for the same `key` at the same time.

        `accepts` says whether another's result will do for this caller. `make` must not ask for the same key itself.
        """
        for _ in range(_PATIENCE):
            seats = self._flights.get(key)
            if seats is None:
                self._flights[key] = {}
                return await self._lead(key, make)
            seat = await self._follow(key, seats)
            if seat.failure is not None:
                raise seat.failure
            if seat.landed is None:
                return await self._lead(key, make)
            if accepts(seat.landed.value):
                return seat.landed
        return Landed(await make(), shared=False)

    async def _follow(self, key: str, seats: dict[int, _Seat[T]]) -> _Seat[T]:
        seat: _Seat[T] = _Seat()
        seats[id(seat)] = seat
        try:
            await seat.woken.wait()
        except BaseException:
            if seat.leads:  # cancelled between being told to lead and hearing it
                self._hand_over(key)
            seats.pop(id(seat), None)
            raise
        return seat

    async def _lead(self, key: str, make: Callable[[], Awaitable[T]]) -> Landed[T]:
        try:
            value = await make()
        except Exception as error:
            self._failed(key, error)
            raise
        except BaseException:
            self._hand_over(key)
            raise
        landed = Landed(value, shared=True)
        for seat in self._flights.pop(key).values():
            seat.landed = landed
            seat.woken.set()
        return Landed(value, shared=False)

    def _failed(self, key: str, error: Exception) -> None:
        seats = self._flights[key]
        copies = [_copied(error) for _ in seats] if self._shares(error) else []
        if not copies or None in copies:
            self._hand_over(key)
            return
        del self._flights[key]
        for seat, failure in zip(seats.values(), copies, strict=True):
            seat.failure = failure
            seat.woken.set()

    def _hand_over(self, key: str) -> None:
        """Let the follower that has waited longest lead; without any, the flight is over."""
        seats = self._flights[key]
        if not seats:
            del self._flights[key]
            return
        seat = seats.pop(next(iter(seats)))
        seat.woken.set()


def _copied(error: Exception) -> Exception | None:
    """A failure of its own for each follower: raised by several tasks, one exception would mix up their tracebacks."""
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001  # its class cannot be copied
        return None
    if type(copied) is not type(error):
        return None
    copied.__cause__ = error
    return copied.with_traceback(None)
