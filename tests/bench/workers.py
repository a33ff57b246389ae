"""How long runs stand still when a worker dies or sleeps, and what that costs: `python -m tests.bench.workers [--lease 2]`.

Each round starts workers and runs of 40 model calls of 50 ms, one after the other, and does something to them a moment later:

- `kill one`: a worker is killed with -9;
- `kill the caller`: the process that has started the runs is killed, and another one fetches the results by their ids;
- `sleep 6 s`: a worker is stopped for six seconds (SIGSTOP, SIGCONT), which is longer than its lease.

Printed are the seconds from that moment until the last of the runs that were taken over went on, how many calls were made
again, and whether every step was recorded exactly once. Takes two minutes.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from swarmlet.bridges.journals import PostgresJournal
from swarmlet.bridges.workers import RunHandle, Workers
from swarmlet.swarm.ids import new_run_id
from swarmlet.testing import Request, Say, ScriptedServer, Slow
from swarmlet.trace import Journal
from swarmlet.trace.events import CallEnded, RunResumed, StepEnded
from tests.bridges import worker_flows as flows
from tests.bridges.limit_servers import postgres_server
from tests.bridges.worker_processes import ROOT, Process, Site, fresh

STEPS = 40
RUNS = 2
"""For each worker."""
SLEEP = 6


@dataclass(frozen=True)
class Round:
    what: str
    workers: int
    resumed: int
    recovered: float | None
    whole: float
    again: int
    recorded: str


def say(request: Request) -> Slow:
    return Slow(Say(f"<{request.last}>"), 0.05)


async def kill_one(process: Process, _: subprocess.Popen[bytes] | None) -> None:
    process.kill()


async def kill_caller(_: Process, caller: subprocess.Popen[bytes] | None) -> None:
    assert caller is not None
    caller.kill()
    caller.wait()


async def sleep(process: Process, _: subprocess.Popen[bytes] | None) -> None:
    process.signal(signal.SIGSTOP)
    await anyio.sleep(SLEEP)
    process.signal(signal.SIGCONT)


async def round_of(
    url: str, folder: Path, what: str, count: int, lease: float, harm: Callable[..., object], *, alone: bool = False
) -> Round:
    """One round. `alone`: the runs are started by a process of its own, which is there to be killed."""
    queue, ids = fresh("bench"), [new_run_id() for _ in range(RUNS * count)]
    with ScriptedServer(strict=False) as server:
        server.answer(say)
        site = Site(url, server, folder)
        with site.workers(count, queue, lease=lease, options=["--concurrency", "32"]) as processes:
            async with Workers(url) as workers:
                began = time.time()
                caller = start_elsewhere(site, queue, ids) if alone else None
                if caller is None:
                    await start_all(workers, queue, ids)
                await server.wait_for_async(requests=10 * len(ids), timeout=60)
                at = time.time()
                busiest = await anyio.to_thread.run_sync(most_claims, url, processes)
                await harm(busiest, caller)  # type: ignore[misc]
                handles = [workers.handle(run, flows.relay) for run in ids]
                for handle in handles:
                    await handle.result()
                whole = time.time() - began
        return measured(site, handles, Round(what, count, 0, None, whole, len(server.requests) - STEPS * len(ids), ""), at)


def start_elsewhere(site: Site, queue: str, ids: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.bench.workers", "--start", site.url, queue, *ids]
    return subprocess.Popen(command, cwd=ROOT, env=site.env())


def measured(site: Site, handles: Sequence[RunHandle[list[str]]], round_: Round, at: float) -> Round:
    journal, recovered, once, resumed = Journal(PostgresJournal(site.url)), list[float](), 0, 0
    for handle in handles:
        events = journal.trace(handle.id).events
        back = [event.at - at for event in events if isinstance(event, RunResumed)]
        resumed += bool(back)
        recovered += back
        steps = Counter(event.path for event in events if isinstance(event, StepEnded) and event.state == "finished")
        calls = Counter(
            (event.path, event.turn) for event in events if isinstance(event, CallEnded) and event.state == "finished"
        )
        once += set(steps.values()) == {1} == set(calls.values())
    return Round(
        round_.what,
        round_.workers,
        resumed,
        max(recovered, default=None),
        round_.whole,
        round_.again,
        f"{once}/{len(handles)} runs",
    )


async def start_all(workers: Workers, queue: str, ids: Sequence[str]) -> None:
    for run in ids:
        await workers.start_as(run, flows.relay.with_options(queue=queue), flows.Progress(left=STEPS))
        await anyio.sleep(0.12)  # more than a worker needs to see it, so that they share them


def most_claims(url: str, processes: Sequence[Process]) -> Process:
    """The worker that has the most runs."""
    import psycopg

    with psycopg.connect(url) as connection:
        query = "SELECT h.place FROM swarmlet.claims c JOIN swarmlet.holders h USING (holder)"
        places = [str(row[0]) for row in connection.execute(query).fetchall()]
    return max(processes, key=lambda one: sum(place.endswith(f" pid {one.pid}") for place in places))


async def start_and_wait(url: str, queue: str, ids: Sequence[str]) -> None:
    async with Workers(url) as workers:
        await start_all(workers, queue, ids)
        await anyio.sleep_forever()


async def main(lease: float) -> None:
    with postgres_server() as url, tempfile.TemporaryDirectory() as folder:
        print(f"lease {lease:g} s, {RUNS} runs a worker, {STEPS} calls of 50 ms a run")
        print("what             workers  resumed  on again after  whole run  calls again  recorded once")
        for count in (2, 4):
            for what, harm, alone in (
                ("kill one", kill_one, False),
                ("kill the caller", kill_caller, True),
                ("sleep 6 s", sleep, False),
            ):
                one = await round_of(url, Path(folder), what, count, lease, harm, alone=alone)
                after = "-" if one.recovered is None else f"{one.recovered:.1f} s"
                print(
                    f"{one.what:15}  {one.workers:7}  {one.resumed:7}  {after:>14}  {one.whole:7.1f} s  {one.again:11}"
                    f"  {one.recorded}",
                    flush=True,
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lease", type=float, default=2)
    parser.add_argument("--start", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start:
        anyio.run(start_and_wait, options.start[0], options.start[1], options.start[2:])
    else:
        anyio.run(main, options.lease)
