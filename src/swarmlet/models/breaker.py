"""The circuit breakers of a swarm, one for each endpoint, and what of a call's end counts as a failure of the endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, final
from urllib.parse import urlsplit

from swarmlet.errors import CircuitOpen, ModelError, ModelUnavailable, NoApiKey, RateLimited, ReplyMalformed
from swarmlet.log import get_logger
from swarmlet.policy.breaker import Circuit

if TYPE_CHECKING:
    from swarmlet.policy.breaker import Breaker, Pass, State


@final
class Breakers:
    """The circuits by endpoint. Calls of one event loop only; nothing here waits."""

    def __init__(self, settings: Breaker, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._circuits: dict[str, Circuit] = {}
        self._last: dict[str, str] = {}
        """What the last failure of an endpoint was."""

    def state(self, key: str) -> State:
        """The state of one endpoint's circuit."""
        circuit = self._circuits.get(key)
        return "closed" if circuit is None else circuit.state(self._clock())

    def states(self) -> Mapping[str, State]:
        """The states of the circuits of all endpoints that were called."""
        now = self._clock()
        return {key: circuit.state(now) for key, circuit in self._circuits.items()}

    def check(self, key: str) -> None:
        """Raise `CircuitOpen` if no call would be let through now: before a call waits for anything."""
        circuit = self._circuits.get(key)
        if circuit is not None and (wait := circuit.wait(self._clock())) > 0:
            raise self._refusal(key, wait)

    @contextmanager
    def guard(self, key: str) -> Generator[None, None, None]:
        """Around the sending of one call. Raises `CircuitOpen` if it is not let through, else its outcome counts."""
        circuit = self._circuits.get(key)
        if circuit is None:
            circuit = self._circuits[key] = Circuit(self._settings)
        given = circuit.admit(self._clock())
        if given is None:
            raise self._refusal(key, circuit.wait(self._clock()))
        try:
            yield
        except BaseException as error:
            self._ended(key, circuit, given, error)
            raise
        self._ended(key, circuit, given, None)

    def _ended(self, key: str, circuit: Circuit, given: Pass, error: BaseException | None) -> None:
        now = self._clock()
        before = circuit.state(now)
        if isinstance(error, ModelUnavailable | ReplyMalformed):
            status = getattr(error, "status", None)  # not its text: that may quote what another run has sent
            self._last[key] = f"{type(error).__name__}{f' {status}' if status else ''}"
            circuit.failed(given, now)
        elif error is None or _is_answer(error, given):
            circuit.answered(given)
        else:
            circuit.undecided(given, now)
        after = circuit.state(now)
        if after == before:
            return
        if after == "open":
            reason = type(error).__name__  # what a server says may quote a prompt, which is never logged
            get_logger().warning("circuit opened", endpoint=_shown(key), error=reason, seconds=self._settings.seconds)
        elif after == "closed":
            get_logger().info("circuit closed", endpoint=_shown(key))

    def _refusal(self, key: str, wait: float) -> CircuitOpen:
        last = self._last.get(key, "")
        trial = self.state(key) == "half-open"
        now = "one call is trying it" if trial else f"it is tried again in {wait:.3g} s"
        told = f"not sent: {_shown(key)} has failed again and again, {now}; the last failure: {last}"
        return CircuitOpen(told, retry_after=wait)


def _shown(key: str) -> str:
    """The endpoint without what may be secret in a URL: user, password and query."""
    try:
        url = urlsplit(key)
    except ValueError:
        return "the endpoint"
    shown = url._replace(netloc=url.netloc.rpartition("@")[2], query="")
    return shown.geturl()


def _is_answer(error: BaseException, given: Pass) -> bool:
    """Whether the endpoint has answered, if only with a refusal. 429 ends no row of failures, but a trial."""
    if isinstance(error, RateLimited):
        return given.trial
    return isinstance(error, ModelError) and not isinstance(error, NoApiKey)
