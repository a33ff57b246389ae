"""Waiting for one's turn: the async side of `policy.pace`.

    limiter = Limiter(Allowance(requests=(Window(500),)))
    async with limiter.slot(tokens=900, run=run_id) as slot:
        reply = await send()
        slot.observe(reply.limits)
        slot.used(740)

Those who wait drive it themselves: one of them sleeps until the next may go and wakes whom it grants, and hands the post
on when it leaves. So there is no task of its own, no timer while nobody waits, and nothing left behind. All state is
changed between two awaits of one event loop: a limiter belongs to the loop that first uses it.

What was let go can be counted elsewhere: a `Store` holds one limit for many processes. `bridges.limits` has two.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Protocol, final

import anyio

from swarmlet.log import get_logger
from swarmlet.policy.meter import Ask, Charge, Later, Outcome
from swarmlet.policy.pace import Allowance, Pace, Ticket, all_back
from swarmlet.policy.ratelimit_headers import Reading

_CLOSING = 5.0
"""Seconds that telling a store how a call ended may take."""


class Store(Protocol):
    """Where the windows of one limit are counted, if not here. Its clock is its own; it knows no queue."""

    async def take(self, ask: Ask) -> Charge | Later:
        """Charge all windows at once, or none and say after how many seconds to ask again.

        A charge has a `lease`, which ends by itself if its process dies. Raises a `ModelError` that may be retried if
        the store cannot be reached. Must not lose a charge when it is cancelled: finish first.
        """
        ...

    async def close(self, charge: Charge, outcome: Outcome) -> None:
        """A call has ended. The second time for the same charge changes nothing."""
        ...


class Stores(Protocol):
    """Gives the store of each limit by its name; processes that use the same name share it."""

    def store(self, name: str) -> Store:
        """The store of this limit."""
        ...

    async def aclose(self) -> None:
        """Close what all its stores share."""
        ...


@final
class Slot:
    """One call that may go. Tell it what the server says; without `used` the call is charged for all it reserved.

    Leaving its block without an exception, or with `used`, means that the server answered.
    """

    def __init__(self, pace: Pace, ticket: Ticket, clock: Callable[[], float], apply: Callable[[Outcome], None]) -> None:
        self._pace = pace
        self._ticket = ticket
        self._clock = clock
        self._apply = apply
        self.sent: bool = True
        self.was_refused: bool = False
        self.tokens: float | None = None

    @property
    def waited(self) -> float:
        """Seconds that the call waited for its turn."""
        return self._ticket.waited

    def observe(self, said: Reading | Mapping[str, str]) -> None:
        """Learn from the response or its headers, also of a failed one."""
        self._apply(Outcome(seen=self._pace.read(said, self._ticket)))

    def refused(self, retry_after: float | None = None) -> None:
        """The server answered 429 and asks to wait so many seconds. Not for an exhausted quota."""
        self.was_refused = True
        self.tokens = 0 if self.tokens is None else self.tokens
        self._apply(Outcome(pause=self._pace.pause(self._clock(), retry_after, self._ticket)))

    def used(self, tokens: float) -> None:
        """The server answered, and the call used so many tokens."""
        self.tokens = tokens

    def unsent(self) -> None:
        """No request left this machine: everything is given back."""
        self.sent = False


@final
class Limiter:
    """One limit, shared by all runs that use it. `clock` gives seconds; by default it is the event loop's."""

    def __init__(
        self,
        allowance: Allowance,
        *,
        store: Store | None = None,
        clock: Callable[[], float] = anyio.current_time,
        random: Random | None = None,
    ) -> None:
        self.pace: Pace = Pace(allowance, random=random)
        self._store = store
        self._clock = clock
        self._leader: Ticket | None = None
        self._changed = False
        self._bells: dict[Ticket, anyio.Event] = {}

    def paused(self) -> float:
        """Seconds that are left of a pause that the server has asked for; a pause that only the shared store knows is 0."""
        return self.pace.paused(self._clock())

    @asynccontextmanager
    async def slot(
        self, *, tokens: float = 0, run: str = "", priority: int = 0, weight: float = 1.0
    ) -> AsyncGenerator[Slot, None]:
        """Wait for the turn of one request of at most `tokens` (prompt and reply), and hold it while it is in flight.

        Runs of the same priority take turns, by `weight`; higher priorities go first, but never for good. Raises what a
        store raises when it cannot be reached.
        """
        ticket = await self._enter(tokens, run, priority, weight)
        told = Outcome()

        def apply(outcome: Outcome) -> None:
            nonlocal told
            if self._store is not None:
                told = Outcome(seen=outcome.seen or told.seen, pause=outcome.pause if told.pause is None else told.pause)
                return
            self.pace.apply(self._clock(), ticket, outcome)
            self._change()

        slot = Slot(self.pace, ticket, self._clock, apply)
        clean = False
        try:
            yield slot
            clean = True
        finally:
            answered = not slot.was_refused and (clean or slot.tokens is not None)
            ended = self.pace.ended(ticket, slot.tokens, sent=slot.sent, answered=answered)
            await self._leave(ticket, ended, told)

    # --- going in

    async def _enter(self, tokens: float, run: str, priority: int, weight: float) -> Ticket:
        now = self._clock()
        ticket = self.pace.enqueue(now, tokens, run, priority, weight)
        if self._store is None and self.pace.waiting == 1:
            self.pace.due(now)
        try:
            while not ticket.granted:
                if self._leader is None:
                    await self._lead(ticket)
                else:
                    await self._nap(ticket, None)
        except BaseException:
            if not self.pace.leave(ticket):  # granted in the instant in which it was cancelled
                await self._leave(ticket, self.pace.ended(ticket, None, sent=False), Outcome())
            self._change()
            raise
        finally:
            self._hand_on()
        return ticket

    async def _lead(self, ticket: Ticket) -> None:
        """Grant whoever may go, until it is this ticket's turn."""
        self._leader = ticket
        try:
            while not ticket.granted:
                self._changed = False
                seconds = await self._advance()
                if not ticket.granted and not self._changed:
                    await self._nap(ticket, seconds)
        finally:
            self._leader = None

    async def _advance(self) -> float | None:
        """Grant all that may go now. Gives the seconds until the next may; `None` if that is for others to say."""
        if self._store is None:
            now = self._clock()
            for granted in self.pace.due(now):
                self._ring(granted)
            at = self.pace.next_at(now)
            return None if at is None else at - now
        while (ticket := self.pace.candidate()) is not None:
            answer = await self._store.take(self.pace.ask(ticket))
            if isinstance(answer, Later):
                return answer.seconds
            if ticket.granted:  # it left while the store was asked
                await self._tell(answer, Outcome(back=all_back(answer)))
                continue
            self.pace.grant(ticket, answer, self._clock())
            self._ring(ticket)
        return None

    async def _nap(self, ticket: Ticket, seconds: float | None) -> None:
        """Sleep until rung, for at most so many seconds."""
        bell = self._bells[ticket] = anyio.Event()
        try:
            with anyio.move_on_after(seconds):
                await bell.wait()
        finally:
            del self._bells[ticket]

    def _ring(self, ticket: Ticket | None) -> None:
        if ticket is not None and ticket in self._bells:
            self._bells[ticket].set()

    def _change(self) -> None:
        """Something that the leader waits for may have come."""
        self._changed = True
        self._ring(self._leader)

    def _hand_on(self) -> None:
        if self._leader is None:
            self._ring(self.pace.next_waiter())

    # --- going out

    async def _leave(self, ticket: Ticket, ended: Outcome, told: Outcome) -> None:
        if self._store is None:
            self.pace.apply(self._clock(), ticket, ended)
        else:
            await self._tell(ticket.charge, Outcome(back=ended.back, seen=told.seen, pause=told.pause))
        self._change()

    async def _tell(self, charge: Charge, outcome: Outcome) -> None:
        """Tell the store, whatever is cancelled around it. What it does not hear of ends with its lease."""
        if self._store is None:
            return
        with anyio.move_on_after(_CLOSING, shield=True):
            try:
                await self._store.close(charge, outcome)
            except Exception as error:  # noqa: BLE001  # the call itself went well, so it must not fail for this
                get_logger().warning(f"the shared limit was not told that a call ended: {type(error).__name__}: {error}")


@final
class Limiters:
    """The limiters of a swarm by name: one for each endpoint, key and model (see `limit_name`)."""

    def __init__(self, allowance: Allowance, *, stores: Stores | None = None) -> None:
        self._allowance = allowance
        self._stores = stores
        self._limiters: dict[str, Limiter] = {}

    def get(self, name: str, allowance: Allowance | None = None) -> Limiter:
        """The limiter of this name; `allowance` is its own, where it has one, and counts the first time."""
        if name not in self._limiters:
            store = self._stores.store(name) if self._stores is not None else None
            self._limiters[name] = Limiter(allowance or self._allowance, store=store)
        return self._limiters[name]

    async def aclose(self) -> None:
        """Close the stores."""
        if self._stores is not None:
            await self._stores.aclose()


def limit_name(endpoint: str, key: str, model: str) -> str:
    """The name of a limit, the same in each process. The key cannot be read from it."""
    digest = hashlib.sha256(f"{endpoint.rstrip('/')}\0{key}".encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{model}@{digest}"
