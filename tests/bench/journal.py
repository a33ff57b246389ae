"""What a journal costs: microseconds and bytes per step, many tasks at once, a very long run, one run out of many.

    python tests/bench/journal.py [--steps N] [--only sqlite,memory,postgres]     # up to three minutes

A step is what an agent's step records: four events, and the values that they name. Postgres is that of SWARMLET_TEST_PG_URL, or
one started on loopback, if it is installed (then without fsync, as tests have it).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import anyio.lowlevel

sys.path.insert(0, str(Path(__file__).parents[2]))

import pytest

from swarmlet.bridges.journals import PostgresJournal
from swarmlet.trace import Journal, MemoryJournal, SqliteJournal
from swarmlet.trace.journal import Store
from tests.bridges.limit_servers import postgres_server
from tests.trace.journal_stores import Playing

LIMIT_SECONDS = 60.0
"""For each store: no part is begun after that."""


@contextmanager
def sqlite() -> Generator[tuple[Store, Callable[[], int]]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        yield SqliteJournal(path), lambda: sum(file.stat().st_size for file in path.parent.iterdir())


@contextmanager
def memory() -> Generator[tuple[Store, Callable[[], int]]]:
    yield MemoryJournal(), lambda: 0


@contextmanager
def postgres() -> Generator[tuple[Store, Callable[[], int]]]:
    import psycopg

    schema = f"bench_{uuid4().hex}"
    with postgres_server() as url:

        def size() -> int:
            query = (
                "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c "
                "WHERE relnamespace = %s::regnamespace AND relkind = 'r'"
            )
            with psycopg.connect(url) as connection:
                row = connection.execute(query, (schema,)).fetchone()
            return int(row[0]) if row else 0

        yield PostgresJournal(url, schema=schema), size


KINDS = {"sqlite": sqlite, "memory": memory, "postgres": postgres}


def show(store: str, what: str, *figures: str) -> None:
    print(f"{store:10}{what:34}{'   '.join(figures)}", flush=True)


async def durable_steps(name: str, store: Store, steps: int) -> None:
    """One task that waits after each step until it is durable."""
    with closing(store.open()) as writer:
        play = Playing(writer, "durable").start()
        begin = time.perf_counter()
        for number in range(steps):
            play.step(f"solve/step[{number}]", f"durable {number}")
            await writer.flush()
        seconds = time.perf_counter() - begin
        play.end()
    show(
        name,
        f"{steps:,} steps, each flushed",
        f"{seconds / steps * 1e6:8,.0f} us/step",
        f"{5 * steps / seconds:9,.0f} events/s",
    )


async def many_tasks(name: str, store: Store, steps: int, tasks: int = 50) -> None:
    """Tasks with runs of their own, each flushing now and then, as runs do at their ends."""
    each = steps // tasks

    async def task(number: int) -> None:
        play = Playing(writer, f"task{number}").start()
        for step in range(each):
            play.step(f"solve/step[{step}]", f"{number} {step}")
            await anyio.lowlevel.checkpoint()
            if step % 20 == 19:
                await writer.flush()
        play.end()
        await writer.flush()

    with closing(store.open()) as writer:
        begin = time.perf_counter()
        async with anyio.create_task_group() as group:
            for number in range(tasks):
                group.start_soon(task, number)
        seconds = time.perf_counter() - begin
    count = tasks * (each * 4 + 2)
    show(name, f"{tasks} tasks, {steps:,} steps", f"{seconds / steps * 1e6:8,.0f} us/step", f"{count / seconds:9,.0f} events/s")


async def long_run(name: str, store: Store, steps: int, size: Callable[[], int]) -> None:
    """One run of very many steps, as fast as it goes."""
    before = size()
    begin = time.perf_counter()
    with closing(store.open()) as writer:
        play = Playing(writer, "long").start()
        for number in range(steps):
            play.step(f"solve/step[{number}]", f"long {number}")
        recorded = time.perf_counter() - begin
        play.end()
        await writer.flush()
        assert writer.error is None, writer.error
        seconds = time.perf_counter() - begin
    grown = (size() - before) / steps
    figures = (f"{seconds / steps * 1e6:8,.0f} us/step", f"{4 * steps / seconds:9,.0f} events/s", f"{grown:6,.0f} bytes/step")
    show(name, f"a run of {steps:,} steps", *figures, f"(recorded in {recorded:.1f} s, durable in {seconds:.1f} s)")
    begin = time.perf_counter()
    count = len(Journal(store).trace("long").events)
    show(name, f"reading its {count:,} events", f"{time.perf_counter() - begin:8.2f} s")


async def one_of_many(name: str, store: Store, runs: int) -> None:
    """Finding a run and the inbox among many runs."""
    with closing(store.open()) as writer:
        for number in range(runs):
            play = Playing(writer, f"many{number:06}", at=float(number)).start().step("solve/a", number)
            if number % 100 == 0:
                play.ask("solve/q").end("suspended")
            else:
                play.end()
            if number % 100 == 0:
                await writer.flush()
    journal = Journal(store)
    looks: dict[str, Callable[[], object]] = {
        f"one run out of {runs:,}": lambda: journal.trace("many004321").events,
        "the newest 20": lambda: journal.runs(limit=20),
        f"the inbox ({runs // 100} questions)": journal.inbox,
        "lost runs": lambda: journal.runs(state="lost"),
        f"all {runs:,} runs": journal.runs,
    }
    for what, look in looks.items():
        times: list[float] = []
        for _ in range(5):
            begin = time.perf_counter()
            look()
            times.append(time.perf_counter() - begin)
        show(name, what, f"{min(times) * 1e3:8,.1f} ms")
    begin = time.perf_counter()
    pruned = journal.prune(keep=0)
    show(name, f"pruning {pruned.runs:,} runs", f"{time.perf_counter() - begin:8.2f} s")


async def measure(name: str, steps: int, runs: int, end: float) -> None:
    with KINDS[name]() as (store, size):
        parts: tuple[Callable[[], Awaitable[None]], ...] = (
            lambda: durable_steps(name, store, 300),
            lambda: many_tasks(name, store, 10_000),
            lambda: long_run(name, store, steps, size),
            lambda: one_of_many(name, store, runs),
        )
        for part in parts:
            if time.monotonic() > end:
                show(name, "out of time")
                return
            await part()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000, help="of the long run")
    parser.add_argument("--runs", type=int, default=10_000, help="out of which one is read")
    parser.add_argument("--only", default=",".join(KINDS), help="which stores")
    options = parser.parse_args()
    for name in options.only.split(","):
        try:
            anyio.run(measure, name, options.steps, options.runs, time.monotonic() + LIMIT_SECONDS)
        except pytest.skip.Exception as reason:
            show(name, f"left out: {reason}")


if __name__ == "__main__":
    main()
