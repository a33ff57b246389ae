"""One rate limit for many processes: its windows are counted in Redis or Postgres, by the server's own clock.

    stores = RedisLimits("redis://localhost:6379")          # or PostgresLimits("postgresql://...")
    limiters = Limiters(allowance, stores=stores)

Each question is one round trip that charges requests, tokens and concurrency together or none of them. Queues, turns and
priorities stay in each process; only the one who is next asks, and is told when to ask again. What a process that died
held in flight comes back when its lease ends. Needs the `workers` extra.

Floor plan: `words` is what goes over the wire, `threads` the calls in worker threads (so that asyncio and trio are the
same), `redis` and `postgres` the two stores. Both do what `policy.meter` does, and are tested to give its answers.
"""

from swarmlet.bridges.limits.postgres import PostgresLimits as PostgresLimits
from swarmlet.bridges.limits.redis import RedisLimits as RedisLimits
from swarmlet.bridges.limits.words import LimitsUnavailable as LimitsUnavailable

__all__ = ["LimitsUnavailable", "PostgresLimits", "RedisLimits"]
