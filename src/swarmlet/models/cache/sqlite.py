"""A cache of replies in a file: for the next run, and for every process that uses the same file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar, final

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from swarmlet.errors import JournalError
from swarmlet.log import get_logger
from swarmlet.models.cache.base import read, written
from swarmlet.models.cache.memory import check_bounds

if TYPE_CHECKING:
    from swarmlet.models.base import ChatReply
    from swarmlet.models.cache.file import CacheFile

T = TypeVar("T")

_THREADS: Final = 4
"""Worker threads of an event loop for all its caches: user code never waits for them, nor they for it."""

_REST: Final = 30.0
"""Seconds for which a file that another program keeps locked is left alone."""

_threads: RunVar[anyio.CapacityLimiter] = RunVar("swarmlet_cache_threads")


@final
class SqliteCache:
    """Keeps replies in the SQLite file at `path`, which is created if need be, with its folder, for its owner alone to read.

    `max_bytes` bounds the replies in it: who was not asked for the longest goes first. `ttl` is how many seconds a reply
    may be used; without it, for ever. Any number of processes may use one file. Nothing is pickled: a reply is JSON.

    `ready` raises a `JournalError` for a file that cannot be used. After that nothing raises: what cannot be read is not
    there, what cannot be written is not kept, and `error` says why. A file that breaks is given up, with one warning in the
    log; one that somebody keeps locked is left alone for half a minute.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = 512 * 2**20, ttl: float | None = None) -> None:
        check_bounds(max_bytes, ttl)
        self.path: Path = Path(path).expanduser().absolute()
        self.error: JournalError | None = None
        """Why the file was not used, the last time that it was not."""
        self._max = max_bytes
        self._ttl = ttl
        self._lock = Lock()
        self._file: CacheFile | None = None
        self._process = os.getpid()
        self._inherited: list[CacheFile | None] = []
        self._broken = False
        self._resting = 0.0
        self._users = 0

    async def ready(self) -> None:
        """Open the file. Raises a `JournalError` in a sentence if it cannot be used."""
        self._users += 1
        try:
            await _in_thread(self._ready)
        except BaseException:
            self._users -= 1
            raise

    async def get(self, key: str) -> ChatReply | None:
        """The reply that was kept for this key, if it still is."""
        content = await _in_thread(lambda: self._use(lambda file: file.get(key)))
        return None if content is None else read(content)

    async def put(self, key: str, reply: ChatReply) -> None:
        """Keep a reply, if it may be kept. Finishes also when it is cancelled, because the reply was paid for."""
        content = written(reply)
        if content is not None:
            with anyio.CancelScope(shield=True):
                await _in_thread(lambda: self._use(lambda file: file.put(key, content)))

    async def drop(self, key: str) -> None:
        """Forget a reply."""
        with anyio.CancelScope(shield=True):
            await _in_thread(lambda: self._use(lambda file: file.drop(key)))

    async def aclose(self) -> None:
        """Close the file, if nobody else who called `ready` uses it still."""
        self._users = max(0, self._users - 1)
        if not self._users:
            with anyio.CancelScope(shield=True):
                await _in_thread(self._close)

    # In worker threads, one at a time

    def _ready(self) -> None:
        with self._lock:
            self._broken = False
            try:
                self._open()
            except Exception as error:
                from swarmlet.models.cache.file import explain

                self.error = explain(self.path, error)
                raise self.error from error
            self.error = None
            self._resting = 0.0

    def _open(self) -> CacheFile:
        if self._process != os.getpid():  # SQLite must not use a connection after a fork, nor close it
            self._inherited.append(self._file)
            self._file, self._process = None, os.getpid()
        if self._file is None:
            from swarmlet.models.cache.file import CacheFile  # SQLite, which Python may have been built without

            self._file = CacheFile(self.path, self._max, self._ttl)
        return self._file

    def _use(self, what: Callable[[CacheFile], T]) -> T | None:
        with self._lock:
            if self._broken or time.monotonic() < self._resting:
                return None
            try:
                return what(self._open())
            except Exception as error:  # noqa: BLE001  # a cache costs no run its result
                self._failed(error)
                return None

    def _failed(self, error: Exception) -> None:
        from swarmlet.models.cache.file import explain, is_busy

        self.error = explain(self.path, error)
        if is_busy(error):
            self._resting = time.monotonic() + _REST
        else:
            self._broken = True
            self._shut()
        get_logger().warning(str(self.error))

    def _close(self) -> None:
        with self._lock:
            self._shut()

    def _shut(self) -> None:
        file, self._file = self._file, None
        if file is not None and self._process == os.getpid():
            file.close()


async def _in_thread(call: Callable[[], T]) -> T:
    limiter = _threads.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_THREADS)
        _threads.set(limiter)
    return await anyio.to_thread.run_sync(call, limiter=limiter)
