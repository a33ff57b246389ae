"""Jobs over DBOS, which needs nothing but Postgres. One workflow for each job, without steps: those are in our journal.

What is set here on purpose:

- JSON instead of DBOS's default, pickle.
- One fixed version of the application instead of a hash of the code, which would orphan the jobs of the day before at each
  deployment. Whether the code still fits a run is the journal's question (`GraphChanged`).
- No retries: a workflow never fails, as a failed run is an answer.
- A lease, as DBOS alone leaves the workflows of a dead process where they are. See `lease`.
- The workflow's function only hands the job to the worker's own event loop, so asyncio and trio both serve.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, final
from uuid import uuid4

import anyio
import anyio.to_thread
from anyio.from_thread import BlockingPortal

from swarmlet.bridges.workers.beside import beside
from swarmlet.bridges.workers.errors import MissingEngine
from swarmlet.bridges.workers.lease import Lease, alone, given_up
from swarmlet.bridges.workers.seam import GiveBack, Look
from swarmlet.errors import SwarmletError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbos import DBOSClient, WorkflowStatus

    from swarmlet.bridges.workers.seam import Execute, Serving

APPLICATION: Final = "swarmlet"
VERSION: Final = "1"
SCHEMA: Final = "swarmlet_dbos"
WORKFLOW: Final = "swarmlet.job"
POLLING: Final = 0.1
"""Seconds between two looks into a queue."""
WATCHING: Final = 0.25
"""Seconds between two looks whether the jobs that run here were cancelled or taken over."""
THREADS: Final = 4
CONNECTING: Final = 5
LEAVING: Final = 5
"""Seconds beyond its grace that a worker waits for jobs which should have ended."""
T = TypeVar("T")


@final
class DbosQueue:
    """Jobs in the Postgres at `url`. Its tables are made at the first use, in a schema of their own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: DBOSClient | None = None
        self._threads: anyio.CapacityLimiter | None = None

    async def open(self) -> None:
        """Connect, and make the tables if need be. Raises `SwarmletError`."""
        try:
            import_module("dbos")
            import_module("psycopg")
        except ImportError:
            raise MissingEngine("dbos", "workers") from None
        self._threads = anyio.CapacityLimiter(THREADS)
        await self._call(self._connect)

    def _connect(self) -> None:
        from dbos import DBOSClient, DBOSPortableJSONSerializer

        _quiet()
        migrate(self._url)
        self._client = DBOSClient(
            system_database_url=self._url,
            dbos_system_schema=SCHEMA,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
        )

    async def aclose(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            with anyio.CancelScope(shield=True):
                await self._call(client.destroy)

    @property
    def client(self) -> DBOSClient:
        """The client. Raises `SwarmletError` if this is not open."""
        if self._client is None:
            raise SwarmletError("these workers are not connected: use `async with Workers(...) as workers:`")
        return self._client

    async def _call(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._threads)

    async def submit(self, job: str, parcel: str, queue: str) -> None:
        """Enqueue a workflow of this id, unless there is one."""
        options = {"workflow_name": WORKFLOW, "queue_name": queue, "workflow_id": job, "app_version": VERSION}
        await self._call(partial(self.client.enqueue, cast("Any", options), parcel))  # Any: a TypedDict of a lazy import

    async def look(self, job: str) -> Look:
        """How the workflow stands."""
        found = await self._call(partial(self._find, job, load_input=False))
        if found is None:
            return Look("unknown")
        match found.status:
            case "SUCCESS":
                return Look("answered", str(found.output))
            case "ENQUEUED" | "DELAYED":
                return Look("waiting")
            case "PENDING":
                return Look("running")
            case _:
                return Look("cancelled", why=await self._call(partial(given_up, self._url, job)))

    async def parcel(self, job: str) -> str | None:
        """What the workflow was given."""
        found = await self._call(partial(self._find, job, load_input=True))
        return str(found.input["args"][0]) if found is not None and found.input is not None else None

    def _find(self, job: str, *, load_input: bool) -> WorkflowStatus | None:
        found = self.client.list_workflows(workflow_ids=[job], load_input=load_input)
        return found[0] if found else None

    async def cancel(self, job: str) -> None:
        """Cancel the workflow; its worker sees that a moment later."""
        await self._call(partial(self.client.cancel_workflow, job))

    async def serve(self, execute: Execute, serving: Serving, leaving: anyio.Event, ready: Callable[[], None]) -> None:
        """Execute workflows. There can be one worker in a process, as DBOS is one for a process."""
        worker = f"{uuid4().hex}"
        async with BlockingPortal() as portal:
            jobs = _Jobs(self.client, worker, execute, portal)
            lease = Lease(self._url, self.client, worker, serving.lease)
            await self._call(lease.start)
            try:
                await self._call(partial(_launch, self._url, worker, serving, jobs))
                ready()
                await beside(jobs.watch, partial(_until_left, leaving, serving.grace + LEAVING))
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(partial(_leave, 0))
                    await self._call(lease.stop)


def _quiet() -> None:
    """What DBOS logs is for those who operate DBOS; a worker says itself what its users need to know."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    logger.setLevel(logging.CRITICAL)


def migrate(url: str) -> None:
    """Make DBOS's tables, one process at a time. Raises `SwarmletError`."""
    import psycopg
    from dbos import DBOS

    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECTING) as connection, alone(connection):
            DBOS.migrate(url, schema=SCHEMA)
    except psycopg.Error as error:
        raise SwarmletError(f"the workers' Postgres cannot be used: {type(error).__name__}: {error}") from error


class _Jobs:
    """The jobs that this process executes."""

    def __init__(self, client: DBOSClient, worker: str, execute: Execute, portal: BlockingPortal) -> None:
        self._client = client
        self._worker = worker
        self._execute = execute
        self._portal = portal
        self._going: dict[str, _Going] = {}

    async def handed_over(self, job: str, parcel: str) -> str:
        """Called by the workflow, on an event loop of DBOS: the job is done on ours."""
        return await asyncio.wrap_future(self._portal.start_task_soon(self._do, job, parcel))

    async def _do(self, job: str, parcel: str) -> str:
        while (earlier := self._going.get(job)) is not None:  # it came back to the process that had it
            earlier.scope.cancel("the job has come again")
            await earlier.over.wait()
        going = self._going[job] = _Going()
        try:
            with going.scope:
                return await self._execute(job, parcel)
        except GiveBack:
            await anyio.to_thread.run_sync(partial(self._return, job))
        finally:
            del self._going[job]
            going.over.set()
        raise GiveBack  # DBOS cannot record that, as the job is not ours any more

    def _return(self, job: str) -> None:
        found = self._client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)
        if found and found[0].status == "PENDING" and found[0].executor_id == self._worker:
            self._client.resume_workflow(job, queue_name=found[0].queue_name)

    async def watch(self) -> None:
        """Stop jobs that were cancelled, or that others have taken over."""
        while True:
            await anyio.sleep(WATCHING)
            if self._going:
                for job in await anyio.to_thread.run_sync(partial(self._not_ours, list(self._going))):
                    if job in self._going:
                        self._going[job].scope.cancel("the job was cancelled, or is another worker's now")

    def _not_ours(self, jobs: list[str]) -> list[str]:
        found = self._client.list_workflows(workflow_ids=jobs, load_input=False, load_output=False)
        ours = {one.workflow_id for one in found if one.status == "PENDING" and one.executor_id == self._worker}
        return [job for job in jobs if job not in ours]


class _Going:
    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.over = anyio.Event()


def _launch(url: str, worker: str, serving: Serving, jobs: _Jobs) -> None:
    from dbos import DBOS, DBOSPortableJSONSerializer

    DBOS(
        config={
            "name": APPLICATION,
            "application_version": VERSION,
            "executor_id": worker,
            "system_database_url": url,
            "dbos_system_schema": SCHEMA,
            "serializer": DBOSPortableJSONSerializer(),
            "run_migrations": False,
            "log_level": "CRITICAL",
        }
    )

    @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
    async def job(parcel: str) -> str:  # pyright: ignore[reportUnusedFunction]  # DBOS has it registered
        return await jobs.handed_over(cast("str", DBOS.workflow_id), parcel)

    DBOS.listen_queues(list(serving.queues))
    DBOS.launch()
    for queue in serving.queues:
        DBOS.register_queue(
            queue, worker_concurrency=serving.concurrency, polling_interval_sec=POLLING, on_conflict="always_update"
        )


async def _until_left(leaving: anyio.Event, grace: float) -> None:
    await leaving.wait()
    await anyio.to_thread.run_sync(partial(_leave, grace))


def _leave(grace: float) -> None:
    from dbos import DBOS

    DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=round(grace))
