"""All windows of one limit together: what may go now, what comes back, what the server said of it.

Above it, `pace` queues calls before a meter of its own; a store that several processes share (`bridges.limits`) does the
very same inside Redis or Postgres, from the same `Ask` and `Outcome`, and is tested to give the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from swarmlet.policy.ratelimit_headers import Figure, Reading
from swarmlet.policy.window import Gauge, Mark, Window

SHRINK = 0.8
GROW = 0.005
"""Share of the rate that comes back each second: a refusal is forgotten after forty seconds."""
LEAST = 0.05

Kind: TypeAlias = Literal["requests", "tokens"]


@dataclass(frozen=True, slots=True)
class Spec:
    """A window by the name under which its gauge is kept."""

    key: str
    kind: Kind
    window: Window


@dataclass(frozen=True, slots=True)
class Ask:
    """May one request of so many tokens go? `concurrency` is how many may be in flight (held by shared stores)."""

    specs: tuple[Spec, ...]
    tokens: float
    concurrency: int


@dataclass(frozen=True, slots=True)
class Charge:
    """Yes: what was charged for it, and when. `lease` names it in a shared store."""

    at: float
    marks: tuple[Mark, ...] = ()
    lease: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """No: ask again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Back:
    """So much of a mark is given back (negative: was used beyond it)."""

    mark: Mark
    amount: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server said remains in a window when `spent` had been spent of it in all; `None` is up to now.

    `flying` is what other calls in flight may take of it that no gauge knows of yet.
    """

    spec: Spec
    remaining: float
    spent: float | None = None
    flying: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: what comes back, what was seen, and for how many seconds all must pause after a refusal."""

    back: tuple[Back, ...] = ()
    seen: tuple[Seen, ...] = ()
    pause: float | None = None


@final
class Known:
    """The windows that are known: those given, which always hold, and those that the server told of."""

    def __init__(self, requests: Sequence[Window], tokens: Sequence[Window], assumed: Reading) -> None:
        given: tuple[tuple[Kind, Sequence[Window]], ...] = (("requests", requests), ("tokens", tokens))
        self._given = tuple(Spec(f"{kind}/{window.seconds:g}", kind, window) for kind, windows in given for window in windows)
        self._told: dict[Kind, Spec] = {}
        self._guess: Spec | None = None
        self._learn("requests", assumed.requests)
        self._learn("tokens", assumed.tokens)
        self.learned: bool = False
        self.specs: tuple[Spec, ...] = self._all()

    @property
    def guessed(self) -> float | None:
        """The requests a minute that are guessed, of a server that tells nothing."""
        return self._guess.window.amount if self._guess is not None else None

    def guess(self, amount: float) -> None:
        """Take `amount` requests a minute for the limit, unless one is known."""
        if not self._given and not self._told:
            self._guess = Spec("requests/guess", "requests", Window(max(1.0, amount)))
            self.specs = self._all()

    def _all(self) -> tuple[Spec, ...]:
        known = (*self._given, *self._told.values())
        return known or ((self._guess,) if self._guess else ())

    def learn(self, reading: Reading) -> tuple[Seen, ...]:
        """Take over the limits that a response tells of; gives what it says remains of them."""
        found = (self._learn("requests", reading.requests), self._learn("tokens", reading.tokens))
        self.learned = self.learned or any(spec is not None for spec in found)
        self.specs = self._all()
        figures = (reading.requests, reading.tokens)
        return tuple(
            Seen(spec, min(figure.remaining, spec.window.amount))
            for spec, figure in zip(found, figures, strict=True)
            if spec is not None and figure.remaining is not None
        )

    def _learn(self, kind: Kind, figure: Figure) -> Spec | None:
        before = self._told.get(kind)
        if figure.limit is None:
            return before if figure.remaining is not None else None
        seconds = figure.seconds
        if before is not None and before.window.amount == figure.limit:
            seconds = max(seconds, before.window.seconds)  # a short reset proves nothing against a long one
        if before is None or (before.window.amount, before.window.seconds) != (figure.limit, seconds):
            before = self._told[kind] = Spec(f"{kind}/told/{seconds:g}", kind, Window(figure.limit, seconds))
        return before


@final
class Meter:
    """The gauges of one limit, and how much of the rate is used after refusals."""

    def __init__(self) -> None:
        self._gauges: dict[str, Gauge] = {}
        self._share = 1.0
        self._share_at = 0.0
        self._pause = float("-inf")
        self._shrunk = float("-inf")

    def wait(self, now: float, ask: Ask) -> float:
        """Seconds until this may go; 0 if it may now."""
        if now < self._pause:
            return self._pause - now
        share = self.share(now)
        waits = [self._gauge(spec, now).wait(now, _cost(spec, ask), share) for spec in ask.specs]
        return max(waits, default=0.0)

    def take(self, now: float, ask: Ask) -> Charge | Later:
        """Charge all windows at once, or none."""
        wait = self.wait(now, ask)
        if wait > 0:
            return Later(wait)
        return Charge(now, tuple(self._gauges[spec.key].take(spec.key, _cost(spec, ask)) for spec in ask.specs))

    def close(self, now: float, at: float, outcome: Outcome) -> None:
        """Take in how a call that was let go at `at` has ended; also before it ended, in parts."""
        share = self.share(now)
        for back in outcome.back:
            if back.mark.key in self._gauges:
                self._gauges[back.mark.key].give_back(back.mark.slot, back.amount)
        for seen in outcome.seen:
            known = seen.spec.key in self._gauges
            gauge = self._gauge(seen.spec, now)
            gauge.roll(now, share)
            if not known:
                gauge.found(seen.remaining, seen.flying)
            gauge.correct(now, seen.remaining, at, gauge.spent if seen.spent is None else seen.spent)
        if outcome.pause is not None:
            self._refuse(now, at, outcome.pause)

    def share(self, now: float) -> float:
        """The part of the rate that is used now: 1, less after refusals, growing back slowly."""
        if now > self._share_at:
            self._share = min(1.0, self._share + GROW * (now - self._share_at))
            self._share_at = now
        return self._share

    def paused(self, now: float) -> float:
        """Seconds that are left of a pause after a refusal."""
        return max(0.0, self._pause - now)

    def _refuse(self, now: float, at: float, pause: float) -> None:
        """Pause. Shrink once for all calls that were under way together: they met the same wall."""
        if at > self._shrunk:
            self._share = max(LEAST, self._share * SHRINK)
            self._shrunk = now
        self._pause = max(self._pause, now + pause)
        self._share_at = max(self._share_at, self._pause)
        for gauge in self._gauges.values():
            gauge.drain(self._pause)

    def _gauge(self, spec: Spec, now: float) -> Gauge:
        gauge = self._gauges.get(spec.key)
        if gauge is None:
            gauge = self._gauges[spec.key] = Gauge(spec.window, now)
        elif gauge.window is not spec.window:
            gauge.use(spec.window)
        return gauge


def _cost(spec: Spec, ask: Ask) -> float:
    return 1.0 if spec.kind == "requests" else ask.tokens
