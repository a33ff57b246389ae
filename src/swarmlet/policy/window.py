"""One window of a rate limit, and the gauge that says when the next call fits into it.

Above it, `meter` asks several gauges at once. It knows no clock (`now` is passed in), no queue and no vendor.

A gauge holds three things against a call, and the call waits for the slowest:

* the *pace*: a bucket of `most` units that refills continuously at 97 % of `amount / seconds`. It spreads calls evenly,
  also for servers that enforce a minute's limit second by second.
* the *ring*: what was taken in the last `seconds`, in 64 slices. A slice is kept until its last moment is one slice more
  than `seconds` ago, so no window of that length ever holds more than `amount`: neither by the clock of the sender, nor
  by the server's, if calls travel with differences of up to a 64th of the window.
* the *level*: what the server said remains, followed since then. If less than 10 % remains and more than that was used by
  others (it is neither there nor in the ring), the pace slows in proportion to what remains, so that several processes
  that know nothing of each other settle at equal shares instead of being refused.

A steadily busy caller gets about 97 % of what is allowed: min(pace, ring) = min(0.97, 64 / 65.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from swarmlet.errors import GraphError
from swarmlet.policy.checks import is_number

SLICES = 64
HELD = SLICES + 2
"""Slices that are kept: those of the window, the running one, and one for calls that arrive late."""
STEADY = 0.97
LOW = 0.1
SLOWEST = 0.05
EPSILON = 1e-9
SHORTEST = 1e-6
"""A shorter wait is none: rounding must not send anyone back for another try."""
_QUOTA = 600.0
"""A window longer than this many seconds is taken for a quota, which may be used up at any pace."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `amount` in any `seconds`: `Window(600)` a minute, `Window(10, 300)` for ten in five minutes.

    `burst` is how many may go at once after a quiet time: a sixth of the amount if left out (ten seconds' worth of a
    minute), and all of it for windows above ten minutes. It never lets the window be exceeded.
    """

    amount: float
    seconds: float = 60.0
    burst: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("amount", self.amount), ("seconds", self.seconds), ("burst", self.burst)):
            if value is not None and not (is_number(value) and 0 < value < math.inf):
                raise GraphError(f"Window({name}=) must be a number above 0, not {value!r}")

    @property
    def most(self) -> float:
        """What may go at once, at least one unit."""
        usual = self.amount if self.seconds > _QUOTA else self.amount / 6
        return min(self.amount, max(1.0, usual if self.burst is None else self.burst))

    @property
    def rate(self) -> float:
        """Units a second, as allowed."""
        return self.amount / self.seconds


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a charge stands in a gauge: the slice it is in, and what had been spent in all, itself included."""

    key: str
    amount: float
    slot: int
    spent: float


@final
class Gauge:
    """What was taken of one window. `share` (0 to 1) is the part of the rate that is used after refusals."""

    __slots__ = ("_full_rate", "_most_ever", "at", "level", "level_at", "room", "seen", "slot", "slots", "spent", "window")

    def __init__(self, window: Window, now: float) -> None:
        self.use(window)
        self.room: float = window.most
        self.at: float = now
        self.slot: int = math.floor(now / (window.seconds / SLICES))
        self.slots: list[float] = [0.0] * HELD
        self.level: float | None = None
        self.level_at: float = now
        self.seen: float = -math.inf
        self.spent: float = 0.0

    def use(self, window: Window) -> None:
        """Go by this window from now on."""
        self.window: Window = window
        self._most_ever: float = window.most  # asked for several times a call
        self._full_rate: float = window.rate * STEADY

    def wait(self, now: float, amount: float, share: float = 1.0) -> float:
        """Seconds until `amount` fits; 0 if it does now. More than the whole window fits when the window is empty."""
        self.roll(now, share)
        amount = min(amount, self.window.amount)
        most = self._most(share)
        paced = (min(amount, most) - self.room) / self._rate(share) + max(0.0, self.at - now)
        known = (amount - self.level) / self.window.rate if self.level is not None else 0.0
        longest = max(paced, known, self._ring_wait(now, amount))
        return longest if longest > SHORTEST else 0.0

    def take(self, key: str, amount: float) -> Mark:
        """Charge `amount`, at the moment for which `wait` was asked."""
        self.room -= amount
        self.spent += amount
        if self.level is not None:
            self.level = max(0.0, self.level - amount)
        self.slots[self.slot % HELD] += amount
        return Mark(key, amount, self.slot, self.spent)

    def give_back(self, slot: int, amount: float) -> None:
        """Return `amount` of what was charged in `slot`; a negative amount charges more."""
        self.room += amount
        if slot > self.slot - HELD:
            self.slots[slot % HELD] = max(0.0, self.slots[slot % HELD] - amount)

    def correct(self, now: float, remaining: float, at: float, spent: float) -> None:
        """The server said, to a call sent at `at` when `spent` had been spent, that `remaining` remains.

        Answers to older calls than the last one heard of are not news. What was sent since then is taken off; what is
        handed back is not added, because servers that charge the cap on completion tokens never hand back.
        """
        if at < self.seen:
            return
        self.seen = at
        self.level_at = max(now, self.level_at)
        since = self.window.rate * max(0.0, now - at) - (self.spent - spent)
        self.level = min(max(0.0, remaining + since), self.window.amount)

    def found(self, remaining: float, flying: float) -> None:
        """A window first heard of from the server: what is gone of it is taken to have gone evenly, what is `flying` now."""
        gone = max(0.0, self.window.amount - remaining)
        for back in range(SLICES):
            self.slots[(self.slot - back) % HELD] += gone / SLICES
        self.slots[self.slot % HELD] += flying
        self.room = min(self.room, remaining - flying)

    def drain(self, until: float) -> None:
        """Start with an empty bucket at `until`, so that those who waited go one by one. A quota has no pace to keep."""
        if self.window.seconds <= _QUOTA:
            self.room = min(self.room, 0.0)
            self.at = max(self.at, until)

    def used(self, now: float) -> float:
        """What was taken in the last `seconds` (and up to two slices before)."""
        self.roll(now, 1.0)
        return sum(self.slots)

    def pace(self, now: float) -> float:
        """What was taken in the last `seconds`, as a rate for all of them if it began only within them."""
        total = self.used(now)
        oldest = next((slot for slot in range(self.slot - HELD + 1, self.slot) if self.slots[slot % HELD]), self.slot)
        return total * SLICES / min(SLICES, self.slot - oldest + 1)

    def roll(self, now: float, share: float) -> None:
        """Refill up to `now` and let go of the slices that have left the window."""
        if now <= self.at and now <= self.level_at:
            return
        if now > self.at:
            self.room = min(self._most(share), self.room + self._rate(share) * (now - self.at))
            self.at = now
        if now > self.level_at:
            if self.level is not None:
                self.level = min(self.window.amount, self.level + self.window.rate * (now - self.level_at))
            self.level_at = now
        slot = math.floor(now / (self.window.seconds / SLICES) + EPSILON)
        for old in range(max(self.slot + 1, slot - HELD + 1), slot + 1):
            self.slots[old % HELD] = 0.0
        self.slot = max(self.slot, slot)

    def _most(self, share: float) -> float:
        return self._most_ever if share == 1.0 else max(min(1.0, self.window.amount), self._most_ever * share)

    def _rate(self, share: float) -> float:
        return self._full_rate * share * self._ease()

    def _ease(self) -> float:
        low = LOW * self.window.amount
        if self.level is None or self.level >= low or self.window.amount - self.level - sum(self.slots) < low:
            return 1.0
        return max(SLOWEST, self.level / low)

    def _ring_wait(self, now: float, amount: float) -> float:
        over = sum(self.slots) + amount - self.window.amount - EPSILON
        if over <= 0:
            return 0.0
        length = self.window.seconds / SLICES
        for slot in range(self.slot - HELD + 1, self.slot + 1):
            over -= self.slots[slot % HELD]
            if over <= 0:
                return (slot + HELD) * length - now
        return (self.slot + HELD) * length - now
