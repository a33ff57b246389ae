"""What happens in a run, told to whoever listens, as it happens: past the queue and past the journal, by Postgres NOTIFY.

Nothing is kept of it and nothing waits for it. A listener that comes late, or a message that is lost with a connection, misses
something: each is labelled with run, attempt and number, so that this can be seen. The journal has the whole record.
"""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, LiteralString, final

import anyio.to_thread
from pydantic import TypeAdapter

from swarmlet.engine.answers import without_contents
from swarmlet.trace.events import Digest, Event, Noted, RunId, RunResumed, RunStarted, TextDelta

if TYPE_CHECKING:
    import psycopg

CONNECTING: Final = 5
SILENCE: Final = 0.2
"""Seconds after which a listener that hears nothing looks whether it is still wanted."""
_LONGEST: Final = 7_900
"""Bytes; Postgres takes 8,000."""
_PIECE: Final = 1_000
"""Characters of text in one message, each of which can take six bytes."""
_MOST: Final = 10_000
"""Messages that wait; beyond that they are dropped."""
_GROUP: Final = 100
_TELL: LiteralString = "SELECT pg_notify(channel, words) FROM unnest(%s::text[], %s::text[]) AS told (channel, words)"


@dataclass(frozen=True, slots=True)
class Told:
    """An event of a run on a worker. `seq` counts from 1 in each `attempt`, which is what one worker did of it."""

    run: RunId
    attempt: int
    seq: int
    event: Event


@cache
def _told() -> TypeAdapter[Told]:
    return TypeAdapter(Told)


def _channel(run: str) -> str:
    return f"swarmlet_{blake2b(run.encode(), digest_size=16).hexdigest()}"


@final
class Teller:
    """Tells what all runs of a worker record: a sink of its swarm. A thread of its own sends it, in groups."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._words: SimpleQueue[tuple[str, str] | None] = SimpleQueue()
        self._texts: set[RunId] = set()
        self._counts: dict[RunId, tuple[int, int]] = {}
        self._thread = threading.Thread(target=self._work, name="swarmlet teller", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is there and end."""
        self._words.put(None)
        self._thread.join(CONNECTING)

    def begin(self, run: RunId, *, text: bool) -> None:
        """A run begins here; `text`: its caller wants replies piece by piece."""
        self._counts[run] = (1, 0)
        if text:
            self._texts.add(run)

    def end(self, run: RunId) -> None:
        """It has ended here."""
        self._counts.pop(run, None)
        self._texts.discard(run)

    def wants_text(self, run: RunId) -> bool:
        """Whether the replies of this run are to be streamed."""
        return run in self._texts

    def value(self, digest: Digest, content: bytes) -> None:
        """Contents are in the journal."""

    def event(self, run: RunId, event: Event) -> None:
        """Tell an event."""
        if isinstance(event, TextDelta):
            for start in range(0, max(len(event.text), 1), _PIECE):
                self._tell(run, replace(event, text=event.text[start : start + _PIECE]))
        else:
            self._tell(run, event)

    def _tell(self, run: RunId, event: Event) -> None:
        attempt, seq = self._counts.get(run, (1, 0))
        if isinstance(event, RunStarted | RunResumed):
            attempt = 1 if isinstance(event, RunStarted) else event.number + 1
            seq = 0
        self._counts[run] = (attempt, seq + 1)
        if self._words.qsize() < _MOST:
            self._words.put((_channel(run), _written(Told(run, attempt, seq + 1, event))))

    def _work(self) -> None:
        import psycopg

        going = True
        while going:
            with suppress(psycopg.Error), closing(_connect(self._url)) as connection:
                while going:
                    going = self._send(connection)
            if going and self._words.get() is None:  # what was to be told while Postgres is away is lost
                going = False

    def _send(self, connection: psycopg.Connection) -> bool:
        group = [self._words.get()]
        with suppress(Empty):
            while len(group) < _GROUP:
                group.append(self._words.get_nowait())
        words = [one for one in group if one is not None]
        if words:
            connection.execute(_TELL, ([channel for channel, _ in words], [text for _, text in words]))
        return None not in group


def _written(told: Told) -> str:
    for event in (told.event, without_contents(told.event)):
        text = _told().dump_json(replace(told, event=event), exclude_defaults=False)
        if len(text) <= _LONGEST:
            return text.decode(errors="replace").replace("\\u0000", "")
    path: str = getattr(told.event, "path", "")
    too_long = Noted(at=told.event.at, path=path[:_PIECE], message=f"{told.event.kind}: too long to be told, see the journal")
    return _told().dump_json(replace(told, event=too_long)).decode()


def _connect(url: str) -> psycopg.Connection:
    import psycopg

    return psycopg.connect(url, autocommit=True, connect_timeout=CONNECTING)


def listen(url: str, run: str) -> psycopg.Connection:
    """Begin to listen to a run. Blocks while it connects."""
    from psycopg import sql

    connection = _connect(url)
    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(_channel(run))))
    return connection


async def hear(connection: psycopg.Connection) -> list[Told]:
    """What was told since; nothing if that is nothing for a moment."""
    return [_told().validate_json(text) for text in await anyio.to_thread.run_sync(_hear, connection)]


def _hear(connection: psycopg.Connection) -> list[str]:
    return [one.payload for one in connection.notifies(timeout=SILENCE, stop_after=1)]
