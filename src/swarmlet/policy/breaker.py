"""A circuit breaker: what fails often in a row is left alone for a while, and then tried with one call before all come back.

Pure: whoever uses it says what time it is. One thing tells this from most breakers: in the half-open state one call is let
through and not all that wait, and a call decides nothing by its end if the circuit has opened or closed since it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from swarmlet.errors import GraphError
from swarmlet.policy.checks import is_count, is_duration

State: TypeAlias = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When calls to an endpoint that keeps failing are no longer sent.

    After `failures` failures in a row nothing is sent to it for `seconds`: calls fail at once with `CircuitOpen`, so that a
    fallback comes at once. Then one call is let through. If it is answered, all are again; if it fails, nothing is sent for
    another `seconds`. A failure is a timeout, a lost connection, 408, 409, 5xx, or a reply that makes no sense. A refusal
    such as 400 or 401 is an answer; 429 is left to the rate limits and counts as neither.
    """

    failures: int = 5
    seconds: float = 30

    def __post_init__(self) -> None:
        if not is_count(self.failures):
            raise GraphError(f"Breaker(failures=) must be a whole number of at least 1, not {self.failures!r}")
        if not is_duration(self.seconds):
            raise GraphError(f"Breaker(seconds=) is in seconds and must be above 0, not {self.seconds!r}")


@final
@dataclass(frozen=True, slots=True)
class Pass:
    """Lets one call through. It counts only in the era of the circuit in which it was given."""

    era: int
    trial: bool = False


@final
class Circuit:
    """The state of one endpoint. An era ends whenever the circuit opens or closes."""

    def __init__(self, settings: Breaker) -> None:
        self._settings = settings
        self._era = 0
        self._failures = 0
        self._until: float | None = None
        """When the next trial may begin; `None`: the circuit is closed."""
        self._half_open = False

    def state(self, now: float) -> State:
        """`closed`: calls go through; `open`: none does; `half-open`: the next one will, or is being awaited."""
        if self._until is None:
            return "closed"
        return "half-open" if self._half_open or now >= self._until else "open"

    def wait(self, now: float) -> float:
        """Seconds until a call may be let through; 0 if one may now."""
        return 0.0 if self._until is None else max(0.0, self._until - now)

    def admit(self, now: float) -> Pass | None:
        """A pass for one call, if one may go through. It must be handed back: to `answered`, `failed` or `undecided`."""
        if self._until is None:
            return Pass(self._era)
        if now < self._until:
            return None
        self._half_open = True
        self._until = now + self._settings.seconds  # a trial may hang: then there is another, and the first to end decides
        return Pass(self._era, trial=True)

    def answered(self, given: Pass) -> None:
        """The endpoint has answered the call."""
        if given.era != self._era:
            return
        self._failures = 0
        if given.trial:
            self._era += 1
            self._until, self._half_open = None, False

    def failed(self, given: Pass, now: float) -> None:
        """The call has failed."""
        if given.era != self._era:
            return
        self._failures += 1
        if given.trial or self._failures >= self._settings.failures:
            self._era += 1
            self._until, self._half_open = now + self._settings.seconds, False

    def undecided(self, given: Pass, now: float) -> None:
        """The call has ended without telling anything of the endpoint: it was cancelled, say. Another may be the trial."""
        if given.trial and given.era == self._era:
            self._until = now
