"""The recorded values of one run, read from its journal when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, final

from swarmlet.errors import JournalError
from swarmlet.trace.journal.tally import digests_of
from swarmlet.trace.record import digest_of

if TYPE_CHECKING:
    from swarmlet.trace.events import Digest, Event
    from swarmlet.trace.journal.base import Look, Store

_AHEAD: Final = 200
"""So many values are read at once: a run is mostly looked at in the order in which it happened, and a look has its cost."""


@final
class Values:
    """What a `Trace` asks for values. Keeps those of its last look, and no others."""

    def __init__(self, store: Store, events: Sequence[Event], inline: Mapping[Digest, bytes]) -> None:
        self._store = store
        self._inline = inline
        """Those that were written with the events."""
        self._events = events
        self._order: list[Digest] = []
        self._places: dict[Digest, int] = {}
        self._known: dict[Digest, bytes] = {}

    def __call__(self, digest: Digest) -> bytes | None:
        """A value as JSON; `None` if there is none of that name. Raises `JournalError`."""
        if (inline := self._inline.get(digest)) is not None:
            return inline
        if digest not in self._known:
            wanted = self._following(digest)
            with self._store.looking() as look:
                self._known = look.some(wanted)
        content = self._known.get(digest)
        return None if content is None else checked(digest, content, self._store.name)

    def _following(self, digest: Digest) -> list[Digest]:
        """This value and the ones that the run names next."""
        if not self._places:
            for event in self._events:
                for each in digests_of(event):
                    if each not in self._places and each not in self._inline:
                        self._places[each] = len(self._order)
                        self._order.append(each)
        place = self._places.get(digest)
        return [digest] if place is None else self._order[place : place + _AHEAD]


def read(look: Look, digest: Digest, name: str) -> bytes | None:
    """One value."""
    content = look.some([digest]).get(digest)
    return None if content is None else checked(digest, content, name)


def checked(digest: Digest, content: bytes, name: str) -> bytes:
    """A value that is what its name says. Raises `JournalError`."""
    if digest_of(content) != digest:
        raise JournalError(f"cannot use the journal {name}: it is damaged (the value {digest} is not what it was)")
    return content
