"""Workers that die, sleep and leave: their runs are taken over, nothing is paid twice, and nobody writes what is another's."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Generator

import anyio
import pytest

from swarmlet import BudgetExceeded
from swarmlet.bridges.journals import PostgresJournal
from swarmlet.bridges.workers import RunCancelled, RunHandle, Workers
from swarmlet.bridges.workers.lease import MOST_TAKEOVERS
from swarmlet.testing import Held, Say, ScriptedServer, Slow
from swarmlet.testing.gates import Gate
from swarmlet.trace import Journal, Trace
from swarmlet.trace.events import CallEnded, RunResumed, StepEnded
from tests.bridges import worker_flows as flows
from tests.bridges.limit_servers import postgres_server
from tests.bridges.worker_processes import Site, fresh

pytest.importorskip("dbos", reason="the dbos package is not installed")
pytestmark = pytest.mark.anyio
PATIENCE = 60


@pytest.fixture
def anyio_backend() -> str:
    """What happens is in other processes: one event loop of the caller is enough."""
    return "asyncio"


@pytest.fixture(scope="module")
def postgres() -> Generator[str, None, None]:
    with postgres_server() as url:
        yield url


@pytest.fixture
def site(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Site, None, None]:
    with ScriptedServer(strict=False) as server:
        server.answer(echo)
        yield Site(postgres, server, tmp_path_factory.mktemp("site"))


def echo(request: object) -> Slow:
    return Slow(Say(f"<{getattr(request, 'last', '')}>"), 0.05)


def trace_of(site: Site, handle: RunHandle[list[str]]) -> Trace:
    return Journal(PostgresJournal(site.url)).trace(handle.id)


def check_recorded_once(trace: Trace) -> None:
    """Each step has one end that counts, and each finished call was paid for once."""
    ends = Counter(event.path for event in trace.events if isinstance(event, StepEnded) and event.state == "finished")
    assert max(ends.values()) == 1
    calls = Counter(
        (event.path, event.turn) for event in trace.events if isinstance(event, CallEnded) and event.state == "finished"
    )
    assert max(calls.values()) == 1


SHARED = ("--concurrency", "2")
"""So that one worker does not take all runs."""
SAID = [f"<Say: word {number}>" for number in range(1, 21)]


async def start(workers: Workers, queue: str, runs: int, steps: int = 20) -> list[RunHandle[list[str]]]:
    relay = flows.relay.with_options(queue=queue)
    return [await workers.start(relay, flows.Progress(left=steps)) for _ in range(runs)]


@pytest.mark.parametrize("count", [2, 4])
async def test_the_runs_of_a_killed_worker_are_taken_over_and_no_finished_call_is_paid_again(site: Site, count: int) -> None:
    queue = fresh("killed")
    with site.workers(count, queue, options=SHARED) as processes, anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handles = await start(workers, queue, 2 * count)
            await site.server.wait_for_async(requests=12 * count, timeout=30)
            processes[0].kill()
            results = [await handle.result() for handle in handles]
    assert [result.output for result in results] == [SAID] * (2 * count)
    traces = [trace_of(site, handle) for handle in handles]
    for trace, result in zip(traces, results, strict=True):
        check_recorded_once(trace)
        assert trace.usage == result.usage
    again = len(site.server.requests) - 20 * 2 * count
    assert 0 <= again <= 2 * count, "only what was in flight is asked for again, one call for each run at most"


async def test_a_worker_that_slept_longer_than_its_lease_is_fenced(site: Site) -> None:
    queue = fresh("asleep")
    with site.workers(2, queue, options=SHARED) as processes, anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handles = await start(workers, queue, 4)
            await site.server.wait_for_async(requests=20, timeout=30)
            processes[0].signal(signal.SIGSTOP)
            await anyio.sleep(6)
            processes[0].signal(signal.SIGCONT)
            results = [await handle.result() for handle in handles]
            again = await (await start(workers, queue, 1, 3))[0].result()
    assert [result.output for result in results] == [SAID] * 4
    assert again.output == SAID[:3]
    resumed = 0
    for handle in handles:
        trace = trace_of(site, handle)
        check_recorded_once(trace)
        resumed += any(isinstance(event, RunResumed) for event in trace.events)
    assert resumed >= 1, "the runs of the one that slept went to the other"


async def test_a_worker_that_is_told_to_leave_hands_its_runs_over(site: Site) -> None:
    queue = fresh("leaving")
    with site.workers(2, queue, lease=30) as processes, anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handles = await start(workers, queue, 4)
            await site.server.wait_for_async(requests=20, timeout=30)
            assert await anyio.to_thread.run_sync(processes[0].end) == 0
            results = [await handle.result() for handle in handles]
    assert [result.output for result in results] == [SAID] * 4
    assert len(site.server.requests) == 80, "what ran has finished, and nothing is asked for twice"
    for handle in handles:
        check_recorded_once(trace_of(site, handle))


async def test_a_budget_goes_on_from_what_was_spent_before_the_takeover(site: Site) -> None:
    queue = fresh("thrifty")
    gate, stuck = Gate(), "word 4"
    site.answer(lambda request: Held(Say("late"), gate) if stuck in request.last else echo(request))
    with site.workers(1, queue) as processes, anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handle = await workers.start(flows.thrifty.with_options(queue=queue), flows.Progress(left=20))
            await site.server.wait_for_async(in_flight=1, requests=4, timeout=30)
            processes[0].kill()
            gate.open()
            with site.workers(1, queue), pytest.raises(BudgetExceeded) as caught:
                await handle.result()
    assert (caught.value.kind, caught.value.limit, caught.value.used) == ("requests", 6, 6)
    assert len(site.server.requests) == 6, "the lost call counts"


async def test_a_step_in_flight_is_executed_again_and_recorded_once(site: Site) -> None:
    queue = fresh("ticks")
    with site.workers(2, queue) as processes, anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handle = await workers.start(flows.ticks.with_options(queue=queue), [0.0, 1.5])
            while not (begun := [pid for pid, mark in site.marks() if mark == "begin ticks/tick[1]"]):  # noqa: ASYNC110  # a file
                await anyio.sleep(0.05)
            await anyio.sleep(0.5)  # what has ended is in the journal by then
            next(one for one in processes if one.pid == begun[0]).kill()
            result = await handle.result()
    assert result.output == [0.0, 1.5]
    begins = Counter(mark for _, mark in site.marks())
    assert begins["begin ticks/tick[0]"] == 1
    assert begins["begin ticks/tick[1]"] == 2


async def test_a_run_that_takes_its_workers_down_is_given_up(site: Site) -> None:
    queue = fresh("poison")
    async with Workers(site.url) as workers:
        handle = await workers.start(flows.crash.with_options(queue=queue), "x")
        with anyio.fail_after(2 * PATIENCE):
            for _ in range(MOST_TAKEOVERS):
                with site.workers(1, queue, lease=0.5) as (one,):
                    while one.alive and await handle.state() != "cancelled":  # noqa: ASYNC110  # a process
                        await anyio.sleep(0.05)
            with site.workers(1, queue, lease=0.5):
                with pytest.raises(RunCancelled, match="given up, as 3 workers died"):
                    await handle.result()
                assert (await (await workers.start(flows.where.with_options(queue=queue))).result()).output > 0
