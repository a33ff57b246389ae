"""Limits in Postgres: one function under one row's lock, one round trip a question."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NotRequired, TypeAlias, TypedDict, cast, final

from swarmlet.bridges.limits.threads import Threads
from swarmlet.bridges.limits.words import LimitsUnavailable, MissingDriver, Question, closing
from swarmlet.policy.meter import Ask, Charge, Later, Outcome

if TYPE_CHECKING:
    import psycopg

    _Connection: TypeAlias = psycopg.Connection[tuple[object, ...]]

_SCHEMA = Path(__file__).with_name("limit.sql")
_SCHEMA_LOCK = 0x5_3A12_1E71
_TIMEOUT = 5
_THREADS = 4


class _Answer(TypedDict):
    wait: NotRequired[float]
    at: NotRequired[float]
    marks: NotRequired[list[tuple[int, float]]]


@final
class PostgresLimits:
    """The limits of many processes in one Postgres 13 or newer.

    Its tables and functions (all begin with `swarmlet_`) are made at the first use, in the first schema of the search path.
    `lease_seconds` is for how long a call may be in flight: what a process that died held is free after that.
    """

    def __init__(self, url: str, *, lease_seconds: float = 600) -> None:
        self._url = url
        self._lease_seconds = lease_seconds
        self._threads = Threads(_THREADS)
        self._lock = Lock()
        self._idle: list[_Connection] = []
        self._made = False

    def store(self, name: str) -> PostgresStore:
        """The store of one limit. Raises `MissingDriver` if the package is not installed."""
        try:
            import_module("psycopg")
        except ImportError:
            raise MissingDriver("psycopg") from None
        return PostgresStore(self, name, self._lease_seconds)

    async def run(self, name: str, words: str) -> _Answer:
        """One round trip. Raises `LimitsUnavailable`."""
        return await self._threads.call(lambda: self._run(name, words))

    def _run(self, name: str, words: str) -> _Answer:
        import psycopg

        try:
            connection = self._take()
            try:
                row = connection.execute("SELECT swarmlet_ask(%s, %s::jsonb)", (name, words)).fetchone()
            except BaseException:
                connection.close()
                raise
        except psycopg.Error as error:
            raise LimitsUnavailable(f"the shared limits in Postgres cannot be asked: {type(error).__name__}") from error
        with self._lock:
            self._idle.append(connection)
        return cast("_Answer", row[0] if row else {})

    def _take(self) -> _Connection:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection
        import psycopg

        connection = psycopg.connect(self._url, autocommit=True, connect_timeout=_TIMEOUT)
        connection.execute("SELECT set_config('statement_timeout', %s, false)", (f"{_TIMEOUT}s",))
        with self._lock:
            if not self._made:
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
                    connection.execute(_SCHEMA.read_bytes())
                self._made = True
        return connection

    async def aclose(self) -> None:
        """Close the connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            await self._threads.call(connection.close)


@final
class PostgresStore:
    """One limit in Postgres: a `models.pace.Store`. `now` is for tests; by default the clock of the server counts."""

    def __init__(self, limits: PostgresLimits, name: str, lease_seconds: float) -> None:
        self._limits = limits
        self._name = name
        self._lease_seconds = lease_seconds

    async def take(self, ask: Ask, now: float | None = None) -> Charge | Later:
        """Charge all windows and take a lease, or say when to ask again."""
        question = Question.of(ask, self._lease_seconds, now)
        answer = await self._limits.run(self._name, question.text)
        if "at" not in answer:
            return Later(float(answer.get("wait", _TIMEOUT)))
        marks = [(int(slot), float(spent)) for slot, spent in answer.get("marks", [])]
        return question.charge(float(answer["at"]), marks)

    async def close(self, charge: Charge, outcome: Outcome, now: float | None = None) -> None:
        """Give back what a call did not use, and its lease. Without the lease nothing changes."""
        await self._limits.run(self._name, closing(charge, outcome, now))
