"""Kills a process that runs a workflow with SIGKILL, again and again, and checks what its successors make of it.

    python -m tests.bench.kills --rounds 200 --store sqlite
    python -m tests.bench.kills --rounds 200 --store postgres --url postgresql://...

In each round a process runs the workflow of `tests.bench.killed` under a run id of its own, against a scripted server in
this process. It is killed at random moments, also while it resumes, and then left alone until it is done. Checked are the
output; that no finished call is paid for twice; that every request had been written to the journal before; that each step
is recorded as finished once; that tools with effects act again only where that was allowed; that no budget is exceeded;
and that the journal is whole.

Processes are forked from one that has imported everything, so that a round takes seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, cast

import anyio

from swarmlet import Run, Swarm
from swarmlet.errors import RunTaken
from swarmlet.testing import ScriptedServer
from swarmlet.trace import Journal, SqliteJournal, Trace
from swarmlet.trace.events import (
    CallEnded,
    CallStarted,
    Event,
    RunResumed,
    StepEnded,
    StepRetried,
    StepStarted,
    ToolEnded,
    ToolStarted,
)
from swarmlet.trace.journal import Store
from swarmlet.trace.past import is_within
from tests.bench.killed import AMPLE, LEDGER, SCARCE, Answers, acted, expected, workflow

TOPIC = "tea"
PATIENCE = 60.0
"""Seconds that a process may take that is left alone."""
MOST_KILLS = 5
LEASE = 2.0
"""Seconds after which a run of a process that was killed may be taken by another, where processes share a store."""


def store_of(kind: str, where: str) -> Store:
    """Where the runs are kept: a file, or one database for all rounds."""
    if kind == "sqlite":
        return SqliteJournal(Path(where))
    from swarmlet.bridges.journals import PostgresJournal

    return PostgresJournal(where, lease=LEASE)


@dataclass(frozen=True)
class Job:
    """What one process is to do."""

    run: str
    count: int
    kind: str
    where: str
    ledger: str
    base_url: str
    result: str


# --- in the process that is killed


async def work(job: Job) -> None:
    """Run the workflow, or go on with it."""
    journal = job.where if job.kind == "sqlite" else cast("Any", store_of(job.kind, job.where))
    async with Swarm(journal=journal) as swarm:
        run = await _taken_over(swarm, job)
        if swarm.journal_error is not None:
            raise swarm.journal_error
    Path(job.result).write_text(run.output)  # noqa: ASYNC240  # nothing else goes on by then


async def _taken_over(swarm: Swarm, job: Job) -> Run[str]:
    """The run, once the lease of the process that was killed has ended."""
    while True:
        try:
            return await swarm.run_as(job.run, workflow, TOPIC, job.count)
        except RunTaken:
            await anyio.sleep(0.1)


def serve() -> None:
    """Fork a process for each job on standard input; tell its id, and how it ended."""
    for name in ("openai", "swarmlet.models.openai_calls", "swarmlet.models.tokens"):
        import_module(name)  # paid for once

    for line in sys.stdin:
        job = Job(**json.loads(line))
        child = os.fork()
        if not child:
            _be_killed(job)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _be_killed(job: Job) -> None:
    os.environ.update({LEDGER: job.ledger, "OPENAI_BASE_URL": job.base_url, "OPENAI_API_KEY": "sk-scripted"})
    code = 1
    try:
        anyio.run(work, job)
        code = 0
    except BaseException:  # noqa: BLE001  # told here: above is the code of another process
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


# --- in the process that kills


@dataclass
class Nursery:
    """Starts processes, and kills them."""

    process: subprocess.Popen[str]

    def live(self, job: Job, seconds: float | None) -> int:
        """Start a process for a job, kill it after so many seconds, and give its exit code: -9 for a killed one."""
        told, answers = cast("Any", self.process.stdin), cast("Any", self.process.stdout)
        told.write(json.dumps(vars(job)) + "\n")
        told.flush()
        child = int(answers.readline())
        limit = PATIENCE if seconds is None else seconds
        if not _wait(child, limit):
            os.kill(child, signal.SIGKILL)
            if seconds is None:
                answers.readline()
                raise TimeoutError(f"{job.run} was not done in {PATIENCE:g} s")
        return int(answers.readline())


def _wait(child: int, seconds: float) -> bool:
    """Wait until a process has ended that is somebody else's child. Tells whether it has."""
    handle = os.pidfd_open(child)
    try:
        import select

        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


@contextmanager
def nursery() -> Generator[Nursery]:
    """A process that forks others."""
    command = [sys.executable, "-m", "tests.bench.kills", "--serve"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            yield Nursery(process)
        finally:
            process.kill()


@dataclass
class Tally:
    """What has come out of the rounds."""

    rounds: int = 0
    kills: int = 0
    lost: int = 0
    again: int = 0
    """Calls of tools with effects that were made again, as their policy allows."""
    resumes: list[float] = field(default_factory=list[float])
    """Seconds from the start of a process to the first thing that it does for the run."""
    problems: list[str] = field(default_factory=list[str])

    def table(self) -> str:
        rows = {
            "rounds": str(self.rounds),
            "kills": str(self.kills),
            "calls lost": str(self.lost),
            "tools run again": str(self.again),
            "s to resume, median": f"{median(self.resumes):.3f}" if self.resumes else "-",
            "s to resume, worst": f"{max(self.resumes):.3f}" if self.resumes else "-",
            "problems": str(len(self.problems)),
        }
        return "\n".join(f"{name:<20} {told:>8}" for name, told in rows.items())


def rounds(count: int, folder: Path, *, kind: str = "sqlite", where: str = "", seed: int = 0, parts: int = 14) -> Tally:
    """Play so many rounds. `where` is the database; for SQLite each round has a file of its own in `folder`."""
    random, tally, usual = Random(seed), Tally(), 0.0
    with nursery() as processes:
        for number in range(count + 1):
            answers = Answers()
            with ScriptedServer(strict=False) as server:
                server.answer(answers)
                run = f"round-{seed}-{number}-{os.getpid()}"
                at = where or str(folder / f"{number}.sqlite")
                result, ledger = folder / f"{number}.txt", folder / f"{number}.acted"
                job = Job(run, parts, kind, at, str(ledger), server.base_url, str(result))
                began = time.monotonic()
                starts = _lives(processes, job, random, usual if number else None, tally)
                if not number:
                    usual = time.monotonic() - began
            journal = Journal(store_of(kind, at))
            trace = journal.trace(run)
            found = [*check(trace, answers, result.read_text(), parts, acted(ledger)), *journal.verify().problems]
            tally.problems += [f"round {number}: {problem}" for problem in found]
            _count(trace, starts, tally)
            tally.rounds += bool(number)  # the first is not killed: it tells how long one takes
            if not found and not where:
                Path(at).unlink()
    return tally


def _lives(processes: Nursery, job: Job, random: Random, usual: float | None, tally: Tally) -> list[float]:
    """Have a run killed and resumed until it is done. Gives when its processes were started."""
    starts: list[float] = []
    kills = 0
    while True:
        starts.append(time.time())
        spared = usual is None or kills >= MOST_KILLS or (kills > 0 and random.random() < 0.3)
        code = processes.live(job, None if spared else random.uniform(0, usual or 0))
        if code == -signal.SIGKILL:
            kills += 1
            tally.kills += 1
        elif code:
            raise RuntimeError(f"{job.run} failed with exit code {code}")
        else:
            return starts


def _count(trace: Trace, starts: Sequence[float], tally: Tally) -> None:
    tally.lost += sum(isinstance(event, CallEnded) and event.state == "lost" for event in trace.events)
    for number, event in enumerate(trace.events):
        if isinstance(event, RunResumed):
            first = next((one for one in trace.events[number:] if isinstance(one, StepStarted | CallStarted)), None)
            start = max((start for start in starts if start < event.at), default=None)
            if first is not None and start is not None:
                tally.resumes.append(first.at - start)


# --- what must hold


def check(
    trace: Trace, answers: Answers, output: str, parts: int, effects: Counter[tuple[str, str]] | None = None
) -> Iterator[str]:
    """What is wrong with a run that has ended."""
    if output != expected(TOPIC, parts):
        yield f"the output is {output!r}"
    if trace.state != "finished":
        yield f"the run is {trace.state}"
    yield from paid_twice(trace.events)
    yield from unwritten(trace, answers)
    yield from finished_twice(trace.events)
    yield from acted_twice(trace, effects or Counter())
    yield from overspent(trace, answers)


def paid_twice(events: Sequence[Event]) -> Iterator[str]:
    """Calls that were made though their reply was in the record; children of an attempt that failed are made anew."""
    paid: set[tuple[str, int]] = set()
    for event in events:
        match event:
            case StepRetried():
                paid = {key for key in paid if not is_within(key[0], event.path)}
            case CallStarted() if (event.path, event.turn) in paid:
                yield f"turn {event.turn} of {event.path} is paid for twice"
            case CallEnded() if event.state == "finished":
                paid.add((event.path, event.turn))
            case _:
                pass


def unwritten(trace: Trace, answers: Answers) -> Iterator[str]:
    """Requests that were sent before that was in the journal."""
    begun = Counter((trace.run_id, event.path, event.turn) for event in trace.events if isinstance(event, CallStarted))
    for key, count in answers.seen.items():
        if count > begun[cast("Any", key)]:
            yield f"{key} was asked for {count} times, and the journal has {begun[cast('Any', key)]}"


def finished_twice(events: Sequence[Event]) -> Iterator[str]:
    """Steps whose end is recorded twice."""
    ended: set[str] = set()
    for event in events:
        if isinstance(event, StepRetried):
            ended = {path for path in ended if not is_within(path, event.path)}
        elif isinstance(event, StepEnded) and event.state == "finished":
            if event.path in ended:
                yield f"{event.path} has finished twice"
            ended.add(event.path)


def acted_twice(trace: Trace, effects: Counter[tuple[str, str]]) -> Iterator[str]:
    """Tools that have acted again without being lost, or though they must not."""
    lost = Counter((event.tool, event.path) for event in trace.events if isinstance(event, ToolEnded) and event.state == "lost")
    started = Counter((event.tool, event.path) for event in trace.events if isinstance(event, ToolStarted))
    for (tool, key), times in effects.items():
        path = key.partition(":")[2].rpartition("/")[0]
        if times > 1 and (tool == "pay" or times > 1 + lost[tool, path]):
            yield f"{tool} of {path} has acted {times} times, and was lost {lost[tool, path]} times"
        if times > started[tool, path]:
            yield f"{tool} of {path} has acted {times} times, and the journal has {started[tool, path]}"


def overspent(trace: Trace, answers: Answers) -> Iterator[str]:
    """Budgets that all processes together have exceeded."""
    scarce = sum(count for (_, path, _), count in answers.seen.items() if "/scarcely/" in path)
    if scarce > SCARCE:
        yield f"{scarce} requests were made under a budget of {SCARCE}"
    requests = sum(isinstance(event, CallStarted) for event in trace.events)
    if requests > cast("int", AMPLE.requests):
        yield f"{requests} requests were made under a budget of {AMPLE.requests}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill runs and resume them.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--url", default=os.environ.get("SWARMLET_TEST_PG_URL", ""), help="of the Postgres database")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", type=int, default=14, help="sections of the workflow, of about 20 steps each")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve()
        return
    if asked.store == "postgres" and not asked.url:
        parser.error("--store postgres needs --url, or SWARMLET_TEST_PG_URL")
    with tempfile.TemporaryDirectory() as folder:
        where = asked.url if asked.store == "postgres" else ""
        tally = rounds(asked.rounds, Path(folder), kind=asked.store, where=where, seed=asked.seed, parts=asked.parts)
    print(tally.table())
    print(*tally.problems[:50], sep="\n")
    sys.exit(bool(tally.problems))


if __name__ == "__main__":
    main()
