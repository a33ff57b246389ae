"""The workflow and the activity by which Temporal carries a job. Imported only where Temporal is used.

The workflow is nothing but its one activity: what is durable in a run is in our journal. The activity is tried again only when
its worker is gone or has given the job back, as a failed run is an answer.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.workflow import ActivityCancellationType

from swarmlet.bridges.workers.seam import GiveBack

if TYPE_CHECKING:
    from swarmlet.bridges.workers.seam import Execute

WORKFLOW: Final = "swarmlet.job"
ACTIVITY: Final = "swarmlet.execute"
MOST_ATTEMPTS: Final = 10
_FOR_EVER: Final = timedelta(days=365)


@workflow.defn(name=WORKFLOW)
class JobWorkflow:
    """One job."""

    @workflow.run
    async def run(self, parcel: str, lease: float) -> str:
        """Have the activity executed, by whichever worker is alive."""
        answer: str = await workflow.execute_activity(
            ACTIVITY,
            parcel,
            result_type=str,
            start_to_close_timeout=_FOR_EVER,
            heartbeat_timeout=timedelta(seconds=lease),
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            retry_policy=RetryPolicy(
                initial_interval=timedelta(milliseconds=200), backoff_coefficient=1.0, maximum_attempts=MOST_ATTEMPTS
            ),
        )
        return answer


class JobActivity:
    """Executes jobs in this process."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    @activity.defn(name=ACTIVITY)
    async def execute(self, parcel: str) -> str:
        """The answer. Says all the while that this worker is alive."""
        info = activity.info()
        lease = info.heartbeat_timeout or timedelta(seconds=15)
        alive = asyncio.create_task(_beat(lease.total_seconds() / 3))
        try:
            return await self._execute(info.workflow_id or "", parcel)
        except GiveBack:
            raise ApplicationError("this worker leaves, another one goes on") from None
        finally:
            alive.cancel()
            with suppress(asyncio.CancelledError):
                await alive


async def _beat(seconds: float) -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(seconds)
