"""Jobs over Temporal: one workflow for each job, with one activity in it. The same seam as over DBOS, so nothing else changes.

    async with Workers(TemporalQueue("localhost:7233")) as workers: ...
    await serve("my_app.flows", TemporalQueue("localhost:7233"), swarm=make_swarm)

The journal stays swarmlet's, in Postgres say. Temporal's heartbeats are the lease. Its SDK runs on asyncio only.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Final, final

import sniffio

from swarmlet.bridges.workers.errors import MissingEngine
from swarmlet.bridges.workers.seam import Look
from swarmlet.errors import SwarmletError

if TYPE_CHECKING:
    from collections.abc import Callable

    import anyio
    from temporalio.client import Client, WorkflowHandle

    from swarmlet.bridges.workers.seam import Execute, Serving

LEAVING: Final = 5
"""Seconds beyond its grace that a worker waits for jobs which should have ended."""


@final
class TemporalQueue:
    """Jobs in a namespace of the Temporal server at `target`, `host:port`.

    `lease` is after how many seconds without a heartbeat the jobs that are submitted here go to another worker.
    """

    def __init__(self, target: str, *, namespace: str = "default", lease: float = 15) -> None:
        self._target = target
        self._namespace = namespace
        self._lease = lease
        self._client: Client | None = None

    async def open(self) -> None:
        """Connect. Raises `SwarmletError`."""
        if sniffio.current_async_library() != "asyncio":
            raise SwarmletError("Temporal's SDK runs on asyncio only")
        try:
            import_module("temporalio")
        except ImportError:
            raise MissingEngine("temporalio", "temporal") from None
        from temporalio.client import Client

        try:
            self._client = await Client.connect(self._target, namespace=self._namespace)
        except RuntimeError as error:
            raise SwarmletError(f"Temporal at {self._target!r} cannot be reached: {error}") from error

    async def aclose(self) -> None:
        """Its client has nothing to close."""
        self._client = None

    @property
    def client(self) -> Client:
        """The client. Raises `SwarmletError` if this is not open."""
        if self._client is None:
            raise SwarmletError("these workers are not connected: use `async with Workers(...) as workers:`")
        return self._client

    async def submit(self, job: str, parcel: str, queue: str) -> None:
        """Start a workflow of this id, unless there is or was one."""
        from temporalio.common import WorkflowIDReusePolicy
        from temporalio.exceptions import WorkflowAlreadyStartedError

        from swarmlet.bridges.workers.temporal_job import JobWorkflow

        with suppress(WorkflowAlreadyStartedError):
            await self.client.start_workflow(
                JobWorkflow.run,
                args=[parcel, self._lease],
                id=job,
                task_queue=queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )

    async def look(self, job: str) -> Look:
        """How the workflow stands. That no worker has taken it yet cannot be seen."""
        from temporalio.client import WorkflowExecutionStatus as Status
        from temporalio.service import RPCError, RPCStatusCode

        try:
            found = await self._handle(job).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return Look("unknown")
            raise SwarmletError(f"Temporal at {self._target!r} cannot be asked: {error}") from error
        match found.status:
            case Status.COMPLETED:
                return Look("answered", str(await self._handle(job).result()))
            case Status.RUNNING | Status.CONTINUED_AS_NEW | None:
                return Look("running")
            case Status.CANCELED:
                return Look("cancelled", why="it was cancelled")
            case _:
                return Look("cancelled", why="it was given up, as its workers died or gave it back again and again")

    async def parcel(self, job: str) -> str | None:
        """What the workflow was given."""
        async for event in self._handle(job).fetch_history_events():
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            return str(json.loads(payloads[0].data)) if payloads else None
        return None

    def _handle(self, job: str) -> WorkflowHandle[object, object]:
        return self.client.get_workflow_handle(job)

    async def cancel(self, job: str) -> None:
        """Cancel the workflow, and with it the activity, whose worker hears of it by a heartbeat."""
        from temporalio.service import RPCError

        with suppress(RPCError):  # it is over
            await self._handle(job).cancel()

    async def serve(self, execute: Execute, serving: Serving, leaving: anyio.Event, ready: Callable[[], None]) -> None:
        """Execute workflows and activities of the task queues."""
        from temporalio.worker import UnsandboxedWorkflowRunner, Worker

        from swarmlet.bridges.workers.temporal_job import JobActivity, JobWorkflow

        activity = JobActivity(execute)
        async with AsyncExitStack() as stack:
            for queue in serving.queues:
                worker = Worker(
                    self.client,
                    task_queue=queue,
                    workflows=[JobWorkflow],
                    activities=[activity.execute],
                    workflow_runner=UnsandboxedWorkflowRunner(),  # one line that is deterministic
                    max_cached_workflows=0,  # they would be stuck with a worker that is gone
                    max_concurrent_activities=serving.concurrency,
                    max_heartbeat_throttle_interval=timedelta(seconds=1),
                    graceful_shutdown_timeout=timedelta(seconds=serving.grace + LEAVING),
                )
                await stack.enter_async_context(worker)
            ready()
            await leaving.wait()
