"""Caches of replies: what was asked and answered before is not paid for again.

base    which requests are the same, which replies are kept, what one saves; the `ReplyCache` protocol
memory  `MemoryCache`: in this process
sqlite  `SqliteCache`: in a file, for all processes that use it
"""

from swarmlet.models.cache.base import ReplyCache as ReplyCache
from swarmlet.models.cache.base import Saved as Saved
from swarmlet.models.cache.base import as_free as as_free
from swarmlet.models.cache.base import endpoint_of as endpoint_of
from swarmlet.models.cache.base import find as find
from swarmlet.models.cache.base import fits as fits
from swarmlet.models.cache.base import keepable as keepable
from swarmlet.models.cache.base import request_key as request_key
from swarmlet.models.cache.base import saved_by as saved_by
from swarmlet.models.cache.base import will_do as will_do
from swarmlet.models.cache.memory import MemoryCache as MemoryCache
from swarmlet.models.cache.sqlite import SqliteCache as SqliteCache

__all__ = [
    "MemoryCache",
    "ReplyCache",
    "Saved",
    "SqliteCache",
    "as_free",
    "endpoint_of",
    "find",
    "fits",
    "keepable",
    "request_key",
    "saved_by",
    "will_do",
]
