"""A cache of replies in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final, final

from swarmlet.errors import GraphError
from swarmlet.models.cache.base import read, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarmlet.models.base import ChatReply

OVERHEAD: Final = 200
"""Bytes that an entry takes beside its reply, roughly."""


@final
class MemoryCache:
    """Keeps replies in memory, `max_bytes` of them at most: who was not asked for the longest goes first.

    `ttl` is how many seconds a reply may be used; without it, for ever. One may be used by several swarms, also of several
    threads.
    """

    def __init__(
        self, *, max_bytes: int = 64 * 2**20, ttl: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        check_bounds(max_bytes, ttl)
        self._max = max_bytes
        self._ttl = ttl
        self._clock = clock
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes that are taken."""
        return self._size

    async def ready(self) -> None:
        """Nothing has to be opened."""

    async def get(self, key: str) -> ChatReply | None:
        """The reply that was kept for this key, if it still is."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            content, made = found
            if self._ttl is not None and self._clock() - made >= self._ttl:
                self._remove(key)
                return None
            self._kept.move_to_end(key)
        return read(content)

    async def put(self, key: str, reply: ChatReply) -> None:
        """Keep a reply, if it may be kept and is not larger than all there is room for."""
        content = written(reply)
        if content is None or len(content) + OVERHEAD > self._max:
            return
        with self._lock:
            self._remove(key)
            self._kept[key] = (content, self._clock())
            self._size += len(content) + OVERHEAD
            while self._size > self._max:
                self._remove(next(iter(self._kept)))

    async def drop(self, key: str) -> None:
        """Forget a reply."""
        with self._lock:
            self._remove(key)

    async def aclose(self) -> None:
        """Nothing has to be closed: what is kept serves the next swarm."""

    def _remove(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._size -= len(found[0]) + OVERHEAD


def check_bounds(max_bytes: object, ttl: object) -> None:
    """Raise `GraphError` for bounds that are none."""
    if not isinstance(max_bytes, int) or isinstance(max_bytes, bool) or max_bytes < 1:
        raise GraphError(f"max_bytes= must be a whole number of at least 1, not {max_bytes!r}")
    if ttl is not None and not (isinstance(ttl, int | float) and not isinstance(ttl, bool) and ttl > 0):
        raise GraphError(f"ttl= is in seconds and must be above 0, not {ttl!r}")
