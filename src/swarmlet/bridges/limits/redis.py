"""Limits in Redis: one Lua script, one round trip a question."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Protocol, cast, final

from swarmlet.bridges.limits.threads import Threads
from swarmlet.bridges.limits.words import LimitsUnavailable, MissingDriver, Question, closing
from swarmlet.policy.meter import Ask, Charge, Later, Outcome

_SCRIPT = Path(__file__).with_name("limit.lua")
_TIMEOUT = 5.0
_THREADS = 4


class _Script(Protocol):
    def __call__(self, keys: list[str], args: list[str]) -> list[bytes]: ...


class _Client(Protocol):
    """What is used of the client of `redis`, whose own types leave much open."""

    def register_script(self, script: str) -> _Script: ...
    def close(self) -> None: ...


class _Connect(Protocol):
    def __call__(self, url: str, *, socket_timeout: float, socket_connect_timeout: float) -> _Client: ...


@final
class RedisLimits:
    """The limits of many processes in one Redis 5 or newer (or what speaks like it).

    `prefix` begins the names of its keys, two for each limit. `lease_seconds` is for how long a call may be in flight:
    what a process that died held is free after that, and the state of a limit that nobody uses is gone soon after.
    """

    def __init__(self, url: str, *, prefix: str = "swarmlet:limit:", lease_seconds: float = 600) -> None:
        self._url = url
        self._prefix = prefix
        self._lease_seconds = lease_seconds
        self._threads = Threads(_THREADS)
        self._making = Lock()
        self._client: _Client | None = None
        self._script: _Script | None = None

    def store(self, name: str) -> RedisStore:
        """The store of one limit. Raises `MissingDriver` if the package is not installed."""
        try:
            import_module("redis")
        except ImportError:
            raise MissingDriver("redis") from None
        return RedisStore(self, name, self._lease_seconds)

    async def run(self, name: str, words: str) -> list[bytes]:
        """One round trip. Raises `LimitsUnavailable`."""
        tag = f"{self._prefix}{{{name}}}"  # in a cluster both keys are on one node

        def call() -> list[bytes]:
            import redis

            try:
                return self._connected()([tag, f"{tag}:leases"], [words])
            except redis.RedisError as error:
                raise LimitsUnavailable(f"the shared limits in Redis cannot be asked: {type(error).__name__}") from error

        return await self._threads.call(call)

    def _connected(self) -> _Script:
        import redis

        with self._making:
            if self._script is None:
                connect = cast("_Connect", getattr(redis.Redis, "from_url"))  # noqa: B009  # its keywords are untyped
                self._client = connect(self._url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
                self._script = self._client.register_script(_SCRIPT.read_text(encoding="utf-8"))
            return self._script

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client, self._script = self._client, None, None
        if client is not None:
            await self._threads.call(client.close)


@final
class RedisStore:
    """One limit in Redis: a `models.pace.Store`. `now` is for tests; by default the clock of the server counts."""

    def __init__(self, limits: RedisLimits, name: str, lease_seconds: float) -> None:
        self._limits = limits
        self._name = name
        self._lease_seconds = lease_seconds

    async def take(self, ask: Ask, now: float | None = None) -> Charge | Later:
        """Charge all windows and take a lease, or say when to ask again."""
        question = Question.of(ask, self._lease_seconds, now)
        kind, first, *rest = await self._limits.run(self._name, question.text)
        if kind == b"later":
            return Later(float(first))
        marks = [(int(float(slot)), float(spent)) for slot, spent in zip(rest[::2], rest[1::2], strict=True)]
        return question.charge(float(first), marks)

    async def close(self, charge: Charge, outcome: Outcome, now: float | None = None) -> None:
        """Give back what a call did not use, and its lease. Without the lease nothing changes."""
        await self._limits.run(self._name, closing(charge, outcome, now))
