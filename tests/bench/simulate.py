"""Model servers and callers in virtual time: the pure limiter against servers that enforce limits in different ways."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random

from swarmlet.policy.pace import Allowance, Pace, Ticket


class Bucket:
    """A limit that refills continuously, up to the whole allowance of a minute: how OpenAI's headers read."""

    def __init__(self, amount: float, seconds: float = 60) -> None:
        self.amount, self.seconds = amount, seconds
        self._level, self._at = amount, 0.0

    def remaining(self, now: float) -> float:
        self._level = min(self.amount, self._level + self.amount / self.seconds * (now - self._at))
        self._at = now
        return self._level

    def take(self, now: float, amount: float) -> None:
        self._level -= amount

    def wait(self, now: float, amount: float) -> float:
        return (amount - self.remaining(now)) / self.amount * self.seconds

    def reset(self, now: float) -> float:
        return (self.amount - self.remaining(now)) / self.amount * self.seconds


class Sliding(Bucket):
    """Never more than the allowance in any window: the strictest that there can be."""

    def __init__(self, amount: float, seconds: float = 60) -> None:
        super().__init__(amount, seconds)
        self._log: deque[tuple[float, float]] = deque()
        self._used = 0.0

    def remaining(self, now: float) -> float:
        while self._log and self._log[0][0] <= now - self.seconds:
            self._used -= self._log.popleft()[1]
        return self.amount - self._used

    def take(self, now: float, amount: float) -> None:
        self._log.append((now, amount))
        self._used += amount

    def wait(self, now: float, amount: float) -> float:
        missing = amount - self.remaining(now)
        for at, used in self._log:
            missing -= used
            if missing <= 0:
                return at + self.seconds - now
        return self.seconds

    def reset(self, now: float) -> float:
        return self._log[-1][0] + self.seconds - now if self._log else 0.0


class Fixed(Bucket):
    """A counter that is set back at each full minute."""

    def __init__(self, amount: float, seconds: float = 60) -> None:
        super().__init__(amount, seconds)
        self._window, self._used = 0, 0.0

    def remaining(self, now: float) -> float:
        if int(now // self.seconds) != self._window:
            self._window, self._used = int(now // self.seconds), 0.0
        return self.amount - self._used

    def take(self, now: float, amount: float) -> None:
        self._used += amount

    def wait(self, now: float, amount: float) -> float:
        return self.reset(now)

    def reset(self, now: float) -> float:
        return (int(now // self.seconds) + 1) * self.seconds - now


def _reset(seconds: float) -> str:
    if seconds < 1:
        return f"{max(0, int(seconds * 1000))}ms"
    return f"{int(seconds // 60)}m{seconds % 60:.3f}s" if seconds >= 60 else f"{seconds:.3f}s"


class Server:
    """Enforces both limits and answers with the headers of the real one; `now` is the time of arrival."""

    def __init__(self, requests: Bucket, tokens: Bucket, *, headers: bool = True, hidden: Bucket | None = None) -> None:
        self._limits = {"requests": requests, "tokens": tokens}
        self._hidden = hidden
        self._headers = headers
        self.refused = 0
        self.served = 0

    def arrive(self, now: float, tokens: float) -> tuple[bool, float, dict[str, str]]:
        """Whether it is let in, the seconds to wait if not, and the headers."""
        costs = {"requests": 1.0, "tokens": tokens}
        asked = [(limit, costs[kind]) for kind, limit in self._limits.items()]
        if self._hidden is not None:
            asked.append((self._hidden, 1.0))
        wait = max((limit.wait(now, cost) for limit, cost in asked if limit.remaining(now) < cost - 1e-6), default=0.0)
        if wait <= 0:
            self.served += 1
            for limit, cost in asked:
                limit.take(now, cost)
        else:
            self.refused += 1
        return wait <= 0, wait, self._told(now) if self._headers else {}

    def _told(self, now: float) -> dict[str, str]:
        told: dict[str, str] = {}
        for kind, limit in self._limits.items():
            told[f"x-ratelimit-limit-{kind}"] = f"{limit.amount:g}"
            told[f"x-ratelimit-remaining-{kind}"] = str(int(max(0.0, limit.remaining(now))))
            told[f"x-ratelimit-reset-{kind}"] = _reset(limit.reset(now))
        return told


@dataclass
class Result:
    """What came of it."""

    done: int
    seconds: float
    attempts: int
    refused: int
    allowed: float
    """Calls a minute that the server allows, by the tighter of both limits."""
    last_minute_share: float
    """Calls finished between the first and the last minute, against what is allowed in that time."""

    def line(self, name: str) -> str:
        """One line of the table."""
        return (
            f"{name:44} {self.done:5} done {self.attempts - self.refused - self.done:3} lost"
            f" {100 * self.refused / self.attempts:6.2f} % refused {100 * self.last_minute_share:6.1f} % of the allowance"
            f" {self.seconds:7.1f} s"
        )


@dataclass(frozen=True)
class Work:
    """What is to be done, and how the network behaves."""

    calls: int = 2000
    tokens: tuple[float, float] = (20, 160)
    """Real tokens of a call, evenly spread."""
    reserve: float = 1.0
    """How much more than that is reserved."""
    charges_reserved: bool = True
    """Whether the server charges what was reserved (as OpenAI does), or what was used."""
    latency: tuple[float, float] = (0.3, 2.0)
    travel: tuple[float, float] = (0.005, 0.08)


class Simulation:
    """Several callers, each with a limiter of its own, against one server."""

    def __init__(self, server: Server, work: Work, allowances: list[Allowance], *, seed: int = 1) -> None:
        self._random = Random(seed)
        self._server, self._work = server, work
        self._paces = [Pace(allowance, random=Random(seed + number)) for number, allowance in enumerate(allowances)]
        self._wake: list[float | None] = [None] * len(self._paces)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._now = 0.0
        self._tokens: dict[Ticket, float] = {}
        self._todo: list[int] = []
        self.sent_at: list[float] = []
        self.done_by: list[int] = [0] * len(self._paces)

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self._now + max(0.0, seconds), next(self._order), then))

    def run(self, allowed: float) -> Result:
        """Until each call has been answered."""
        share, rest = divmod(self._work.calls, len(self._paces))
        for number in range(len(self._paces)):
            for _ in range(share + (number < rest)):
                self._ask(number, self._random.uniform(*self._work.tokens))
            self._serve(number)
        while self._events:
            self._now, _, then = heapq.heappop(self._events)
            then()
        end = self.sent_at[-1]
        middle = [at for at in self.sent_at if 60 <= at < end - 1]
        steady = len(middle) / ((end - 61) / 60 * allowed) if end > 90 else float("nan")
        attempts = self._server.served + self._server.refused
        return Result(sum(self.done_by), self._now, attempts, self._server.refused, allowed, steady)

    def _ask(self, number: int, tokens: float) -> None:
        pace = self._paces[number]
        ticket = pace.enqueue(self._now, tokens * self._work.reserve, f"run {self._random.randrange(3)}", 0, 1)
        self._tokens[ticket] = tokens

    def _serve(self, number: int) -> None:
        pace = self._paces[number]
        for ticket in pace.due(self._now):
            self._later(self._random.uniform(*self._work.travel), partial(self._arrive, number, ticket))
        at = pace.next_at(self._now)
        if at is not None and (self._wake[number] is None or at < (self._wake[number] or 0)):
            self._wake[number] = at
            self._later(at - self._now, lambda: self._woken(number, at))

    def _woken(self, number: int, at: float) -> None:
        if self._wake[number] == at:  # else an earlier one was set in its place
            self._wake[number] = None
            self._serve(number)

    def _arrive(self, number: int, ticket: Ticket) -> None:
        tokens = self._tokens[ticket]
        charged = tokens * self._work.reserve if self._work.charges_reserved else tokens
        good, wait, headers = self._server.arrive(self._now, charged)
        if good:
            self.sent_at.append(self._now)
        delay = self._random.uniform(*(self._work.latency if good else self._work.travel))
        self._later(delay, lambda: self._answer(number, ticket, good, wait, headers))

    def _answer(self, number: int, ticket: Ticket, good: bool, wait: float, headers: dict[str, str]) -> None:
        pace, tokens = self._paces[number], self._tokens.pop(ticket)
        pace.observe(self._now, headers, ticket)
        if good:
            pace.settle(self._now, ticket, tokens)
            self.done_by[number] += 1
        else:
            pace.refused(self._now, wait, ticket)
            pace.cancel(self._now, ticket, sent=True)
            self._ask(number, tokens)
        self._serve(number)
