"""The pace of calls to one model at one endpoint with one key: who may go, and when the next one may.

    pace = Pace(Allowance(requests=[Window(600)], tokens=[Window(60_000)]))
    ticket = pace.admit(now, 900, run="a")          # granted, or queued
    pace.next_at(now)                               # when to call `due` next; None: when something changes
    pace.due(now)                                   # the tickets that may go now, in a fair order
    pace.observe(now, headers, ticket)              # what the server says of its limits
    pace.refused(now, retry_after, ticket)          # a 429
    pace.settle(now, ticket, 740)                   # the call is over and used 740 tokens

`queue` says who is next, `window` what fits, `meter` holds the windows together; this file puts the three together and
decides how many may be in flight. It is pure: the clock is passed in as seconds that never run backwards, and randomness
is injected. `models.pace` waits by it; the methods from `candidate` on are for its use of stores that processes share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import final

from swarmlet.errors import GraphError
from swarmlet.policy.meter import Ask, Back, Charge, Known, Later, Meter, Outcome, Seen
from swarmlet.policy.queue import FairQueue
from swarmlet.policy.ratelimit_headers import Reading, read_headers
from swarmlet.policy.window import Gauge, Window

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_JITTER = 0.1
_GUESS = 0.9
"""Of a server that tells no limits: this part of the pace at which it refused is taken for its limit..."""
_LEAST_GUESS = 60.0
"""...but not less: who called seldom has learned nothing of the limit, and what is below, refusals find by themselves..."""
_GUESS_GROWS = 0.1
"""...and each call that it answers raises the guess by so much: a tenth in each minute of full use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What may go to one model.

    `requests` and `tokens`: windows that always hold, whatever the server says, such as `Window(500)` a minute.
    `concurrency`: calls in flight. `assumed`: the limits to start from until the server tells its own (a profile's).
    `first`: to so many calls in flight do refusals shrink what goes at once; each answer then lets one more go, so they
    double each time. `careful`: begin with so few too, as long as no limit is known.
    """

    requests: tuple[Window, ...] = ()
    tokens: tuple[Window, ...] = ()
    concurrency: int = 64
    assumed: Reading = field(default_factory=Reading)
    first: int = 4
    careful: bool = True

    def __post_init__(self) -> None:
        for name, value in (("concurrency", self.concurrency), ("first", self.first)):
            if value < 1:
                raise GraphError(f"Allowance({name}=) must be at least 1, not {value!r}")
        for name, windows in (("requests", self.requests), ("tokens", self.tokens)):
            if len({window.seconds for window in windows}) < len(windows):
                raise GraphError(f"Allowance({name}=) names two windows of the same length")


class _State(Enum):
    WAITING = auto()
    GRANTED = auto()
    CLOSED = auto()


@final
class Ticket:
    """One call that asked to go. Told apart by identity."""

    __slots__ = ("asked_at", "charge", "granted_at", "priority", "run", "state", "tokens", "weight")

    def __init__(self, asked_at: float, tokens: float, run: str, priority: int, weight: float) -> None:
        self.asked_at: float = asked_at
        self.tokens: float = tokens
        self.run: str = run
        self.priority: int = priority
        self.weight: float = weight
        self.state: _State = _State.WAITING
        self.granted_at: float = asked_at
        self.charge: Charge = Charge(asked_at)

    @property
    def granted(self) -> bool:
        """Whether it no longer waits."""
        return self.state is not _State.WAITING

    @property
    def waited(self) -> float:
        """Seconds from asking to being granted."""
        return self.granted_at - self.asked_at


@final
class Pace:
    """See the head of this file. `random` spreads what several processes do after the same refusal."""

    def __init__(self, allowance: Allowance, *, random: Random | None = None) -> None:
        self.allowance = allowance
        self.in_flight: int = 0
        self._random = random or Random()  # noqa: S311  # nothing secret
        self._known = Known(allowance.requests, allowance.tokens, allowance.assumed)
        self._meter = Meter()
        self._queue: FairQueue[Ticket] = FairQueue()
        careful = allowance.careful and not self._known.specs
        self._room = min(allowance.first, allowance.concurrency) if careful else allowance.concurrency
        self._flying = 0.0
        self._sent = Gauge(Window(math.nextafter(math.inf, 0)), 0.0)
        self._shrunk = -math.inf
        self._refusals = 0

    # --- asking and leaving

    def admit(self, now: float, tokens: float, run: str = "", priority: int = 0, weight: float = 1.0) -> Ticket:
        """Ask for one call of at most `tokens`. The ticket is granted at once if nobody waits and it fits."""
        ticket = self.enqueue(now, tokens, run, priority, weight)
        if len(self._queue) == 1:
            self.due(now)
        return ticket

    def due(self, now: float) -> list[Ticket]:
        """Grant what may go now, and tell which."""
        granted: list[Ticket] = []
        while (ticket := self.candidate()) is not None:
            answer = self._meter.take(now, self.ask(ticket))
            if isinstance(answer, Later):
                break
            self.grant(ticket, answer, answer.at)
            granted.append(ticket)
        return granted

    def next_at(self, now: float) -> float | None:
        """When the next one may go; `None` if nobody waits, or only for a call in flight to end."""
        ticket = self.candidate()
        return None if ticket is None else now + self._meter.wait(now, self.ask(ticket))

    def settle(self, now: float, ticket: Ticket, tokens: float | None = None) -> None:
        """The call has ended; it used so many `tokens` (`None`: nobody knows, so all that was reserved)."""
        self.apply(now, ticket, self.ended(ticket, tokens))

    def cancel(self, now: float, ticket: Ticket, *, sent: bool = False) -> None:
        """The call is given up: it leaves the queue, or gives back all if its request was never `sent`.

        A request that was sent is charged in full: the server counts it, and nobody learns what it used.
        """
        if not self.leave(ticket):
            self.apply(now, ticket, self.ended(ticket, None, sent=sent, answered=False))

    def observe(self, now: float, said: Reading | Mapping[str, str], ticket: Ticket | None = None) -> None:
        """Learn from a response, or from its headers, best with the ticket of the call that it answers."""
        self.apply(now, ticket, Outcome(seen=self.read(said, ticket)))

    def refused(self, now: float, retry_after: float | None = None, ticket: Ticket | None = None) -> None:
        """The server answered 429: pause for as long as it asks, and go on slower. The call itself is still to be ended."""
        self.apply(now, ticket, Outcome(pause=self.pause(now, retry_after, ticket)))

    # --- the steps of the above, for a driver whose windows are elsewhere

    @property
    def waiting(self) -> int:
        """How many are queued."""
        return len(self._queue)

    def enqueue(self, now: float, tokens: float, run: str, priority: int, weight: float) -> Ticket:
        """Queue a call."""
        if not (tokens >= 0 and weight > 0):
            raise GraphError(f"a call asks for 0 tokens or more with a weight above 0, not {tokens!r} and {weight!r}")
        ticket = Ticket(now, tokens, run, priority, weight)
        self._queue.push(ticket)
        return ticket

    def candidate(self) -> Ticket | None:
        """The one who is next, if one more may be in flight."""
        return self._queue.first() if self.in_flight < self._room else None

    def next_waiter(self) -> Ticket | None:
        """The one who is next, whether or not one more may be in flight."""
        return self._queue.first()

    def ask(self, ticket: Ticket) -> Ask:
        """What to ask a meter for."""
        return Ask(self._known.specs, ticket.tokens, self.allowance.concurrency)

    def grant(self, ticket: Ticket, charge: Charge, now: float) -> None:
        """Let a queued ticket go. `charge.at` is by the meter's clock, `now` by ours."""
        self._queue.take(ticket)
        ticket.state = _State.GRANTED
        ticket.granted_at = now
        ticket.charge = charge
        self.in_flight += 1
        self._flying += ticket.tokens
        self._sent.roll(now, 1)
        self._sent.take("", 1)

    def apply(self, now: float, ticket: Ticket | None, outcome: Outcome) -> None:
        """Tell the meter of this process how a call ended, in one piece or several."""
        self._meter.close(now, ticket.charge.at if ticket else now, outcome)

    def leave(self, ticket: Ticket) -> bool:
        """Take a waiter out of the queue. False if it was granted already."""
        if ticket.state is not _State.WAITING:
            return False
        self._queue.remove(ticket)
        ticket.state = _State.CLOSED
        return True

    def ended(self, ticket: Ticket, tokens: float | None, *, sent: bool = True, answered: bool = True) -> Outcome:
        """A granted call is over: what a meter is to give back. Only the first time counts."""
        if ticket.state is not _State.GRANTED:
            return Outcome()
        ticket.state = _State.CLOSED
        self.in_flight -= 1
        self._flying -= ticket.tokens
        if sent and answered:
            self._refusals = 0
            self._room = min(self.allowance.concurrency, self._room + 1)
            if self._known.guessed is not None:
                self._known.guess(self._known.guessed + _GUESS_GROWS)
        return Outcome(back=self.unused(ticket, tokens, sent=sent))

    def unused(self, ticket: Ticket, tokens: float | None, *, sent: bool) -> tuple[Back, ...]:
        """What was charged for a ticket and not used."""
        if not sent:
            return all_back(ticket.charge)
        if tokens is None or tokens == ticket.tokens:
            return ()
        marks = (mark for mark in ticket.charge.marks if mark.key.startswith("tokens/"))
        return tuple(Back(mark, mark.amount - tokens) for mark in marks)

    def read(self, said: Reading | Mapping[str, str], ticket: Ticket | None) -> tuple[Seen, ...]:
        """What a meter is to learn from a response."""
        first = not self._known.learned
        seen = self._known.learn(said if isinstance(said, Reading) else read_headers(said))
        if first and self._known.learned:
            self._room = self.allowance.concurrency
        if ticket is None or not seen:
            return seen
        spent = {mark.key: mark.spent for mark in ticket.charge.marks}
        flying = {"requests": self.in_flight - 1.0, "tokens": self._flying - ticket.tokens}
        return tuple(
            Seen(one.spec, one.remaining, spent.get(one.spec.key, 0.0), flying[one.spec.kind])  # `replace` takes 3 us
            for one in seen
        )

    def paused(self, now: float) -> float:
        """Seconds that are left of a pause after a refusal."""
        return self._meter.paused(now)

    def pause(self, now: float, retry_after: float | None, ticket: Ticket | None) -> float:
        """For how many seconds a meter is to pause. Fewer go at once afterwards."""
        if ticket is None or ticket.granted_at > self._shrunk:
            self._shrunk = now
            self._refusals += 1
            first = min(self.allowance.first, self.allowance.concurrency)
            self._room = max(first, min(self._room, self.in_flight) // 2)
            self._known.guess(max(_LEAST_GUESS, _GUESS * self._sent.pace(now)))
        wait = retry_after
        if wait is None or not 0 <= wait < math.inf:
            wait = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._refusals - 1, 10))
        return wait + self._random.uniform(0, max(_JITTER, _JITTER * wait))


def all_back(charge: Charge) -> tuple[Back, ...]:
    """Everything that was charged, for a call that never went out."""
    return tuple(Back(mark, mark.amount) for mark in charge.marks)
