"""A memory of what was counted lately."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


class Recent(Generic[T]):
    """Values by content. All keys together hold at most `limit` characters; what was used longest ago goes first.

    It may be used from several threads. Two that ask for the same new key at once both compute it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._kept: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._kept

    def find(self, key: Hashable) -> T | None:
        """The value of `key`, if it is here."""
        with self._lock:
            if found := self._kept.get(key):
                self._kept.move_to_end(key)
                return found[0]
            return None

    def get(self, key: Hashable, compute: Callable[[], T], size: int) -> T:
        """The value of `key`, computed if it is not here. `size` is the characters that keeping the key costs."""
        known = self.find(key)
        if known is not None:
            return known
        value = compute()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = value, size
                self._held += size
            while self._held > self._limit and self._kept:
                _, (_, freed) = self._kept.popitem(last=False)
                self._held -= freed
        return value
