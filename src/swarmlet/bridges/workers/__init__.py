"""Runs on other processes: callers put them into a queue, workers execute them, and others take over where one dies.

    async with Workers("postgresql://...") as workers:                 # in the application
        handle = await workers.start(solve, task)
        result = await handle.result()

    $ swarmlet worker my_app.flows --url postgresql://...              # as often as wanted

One run is one worker's; single steps go elsewhere where a node says `with_options(queue=...)`. Execution is at least once,
recording exactly once. Needs the extra `workers`.

Floor plan: `seam` says what is asked of a queue; `on_dbos` (with `lease`) and `on_temporal` are two such queues. `worker`
executes jobs, `caller` starts runs and fetches results, `telling` is what goes past the queue. What crosses is in
`engine.portable` and `engine.answers`, and how a step is sent in `engine.dispatch`.
"""

from swarmlet.bridges.workers.caller import Result as Result
from swarmlet.bridges.workers.caller import RunHandle as RunHandle
from swarmlet.bridges.workers.caller import Workers as Workers
from swarmlet.bridges.workers.errors import MissingEngine as MissingEngine
from swarmlet.bridges.workers.errors import NoSuchRun as NoSuchRun
from swarmlet.bridges.workers.errors import RunCancelled as RunCancelled
from swarmlet.bridges.workers.errors import RunFailed as RunFailed
from swarmlet.bridges.workers.seam import Queue as Queue
from swarmlet.bridges.workers.telling import Told as Told
from swarmlet.bridges.workers.worker import serve as serve

__all__ = [
    "MissingEngine",
    "NoSuchRun",
    "Queue",
    "Result",
    "RunCancelled",
    "RunFailed",
    "RunHandle",
    "Told",
    "Workers",
    "serve",
]
