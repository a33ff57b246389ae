"""The regression guard: counts what steps execute, so that a test can fail where a step has become dearer.

    python -m tests.bench.guard            # the counts, beside those that are recorded
    python -m tests.bench.guard --renew    # record them, for this version of Python (run it with each that CI has)

What is counted, in swarmlet's own frames: lines that are executed, calls that are made (of Python functions and of C functions,
its own and others'), and tasks that are started. The same code has the same counts on any machine and under any load, but for
the few lines by which a run gives way every five milliseconds; and with any version of the libraries below. Another version of
Python has others, so each has its own figures in `guard.json`. A version that has none is held to the largest of them, with
twice the margin.

A count may be `MARGIN` above what is recorded. That a step costs the same in large runs as in small ones needs no record.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import anyio

import swarmlet
from swarmlet import Node, Swarm
from tests.bench.ours import (
    chain_of,
    checkpoint,
    count_to,
    increment,
    increment_async,
    layers_of,
    map_of,
    same,
    wired_fan,
)

MARGIN = 0.15
"""A call more in each step is a few percent; a task or a context manager more, a scan of all steps, are above this."""
GROWTH = 0.15
"""By so much may a step of a run that is four times as large be dearer."""
SMALL, LARGE = 100, 400
SLACK = 0.2
"""On top, of a step: how many tasks there are depends a little on the order in which an event loop wakes them."""
RECORD = Path(__file__).with_name("guard.json")
HOME = str(Path(swarmlet.__file__).parent)
RENEW = "python -m tests.bench.guard --renew"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

Kind = Literal["lines", "calls", "tasks"]
Counts = dict[Kind, float]
"""Of one step."""
KINDS: tuple[Kind, ...] = ("lines", "calls", "tasks")


@dataclass(frozen=True)
class Workload:
    """A graph of so many steps, and what it is run on."""

    make: Callable[[int], Node[..., int]]
    args: Callable[[int], tuple[object, ...]]
    journal: bool = False
    capture: bool = True
    builds: bool = False
    """What is counted is the building of the graph."""


def _nothing(_: int) -> tuple[object, ...]:
    return ()


def _zero(_: int) -> tuple[object, ...]:
    return (0,)


def _items(steps: int) -> tuple[object, ...]:
    return (list(range(steps)),)


def _layers(steps: int) -> Node[..., int]:
    return layers_of(steps // 10, 10)


def _mapped(step: Node[[int], int], concurrency: int | None = None) -> Callable[[int], Node[..., int]]:
    made = map_of(step, concurrency)
    return lambda _: made


WORKLOADS = {
    "a chain": Workload(partial(chain_of, increment), _zero),
    "a chain, contents not captured": Workload(partial(chain_of, increment), _zero, capture=False),
    "a chain with a journal": Workload(partial(chain_of, increment), _zero, journal=True),
    "a chain of async functions": Workload(partial(chain_of, increment_async), _zero),
    "a chain, a timeout each": Workload(partial(chain_of, increment_async.with_options(timeout=60)), _zero),
    "a loop": Workload(count_to, _zero),
    "a map": Workload(_mapped(same), _items),
    "a map of steps that wait": Workload(_mapped(checkpoint), _items),
    "a bounded map of steps that wait": Workload(_mapped(checkpoint, 10), _items),
    "calls in a graph and a join": Workload(wired_fan, _nothing),
    "layers of 10": Workload(_layers, _nothing),
    "building a chain": Workload(partial(chain_of, increment), _zero, builds=True),
    "building calls and a join": Workload(wired_fan, _nothing, builds=True),
    "building layers of 10": Workload(_layers, _nothing, builds=True),
}


def measured(name: str, steps: int, backend: str = "asyncio") -> Counts:
    """What a step of the workload executes in a run of so many steps, on this event loop."""
    workload = WORKLOADS[name]
    if workload.builds:
        workload.make(steps)  # caches are filled once
        counter: Counter[Kind] = Counter()
        for watch in (_lines, _calls):
            with watch(counter):
                workload.make(steps)
    else:
        counter = anyio.run(_run, workload, steps, backend=backend)
    return {kind: round(counter[kind] / steps, 2) for kind in KINDS}


async def _run(workload: Workload, steps: int) -> Counter[Kind]:
    counter: Counter[Kind] = Counter()
    made, args = workload.make(steps), workload.args(steps)
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.sqlite" if workload.journal else None
        async with Swarm(journal=journal, capture=workload.capture) as swarm:
            await swarm.run(made, *args)  # caches are filled once
            for watch in (_lines, _calls):
                with watch(counter):
                    await swarm.run(made, *args)
    return counter


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """What collects garbage at some time or other must not be counted."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _ours(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_filename.startswith(HOME)


@contextmanager
def _lines(counter: Counter[Kind]) -> Generator[None, None, None]:
    """Count the lines that swarmlet's functions execute."""

    def local(frame: FrameType, event: str, _: object) -> Any:  # Any: as `settrace` has it
        if event == "line":
            counter["lines"] += 1
        return local

    def trace(frame: FrameType, event: str, _: object) -> Any:  # Any: as above
        return local if _ours(frame) else None

    before = sys.gettrace()
    with _quiet():
        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(before)


@contextmanager
def _calls(counter: Counter[Kind]) -> Generator[None, None, None]:
    """Count the calls that swarmlet's functions make, and the tasks that they start."""

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "c_call" and _ours(frame):
            counter["calls"] += 1
        elif event == "call" and _ours(frame.f_back):
            counter["calls"] += 1
            counter["tasks"] += frame.f_code.co_name in ("start_soon", "create_task")

    before = sys.getprofile()
    with _quiet():
        sys.setprofile(profile)
        try:
            yield
        finally:
            sys.setprofile(before)


def recorded() -> dict[str, dict[str, Counts]]:
    """The counts by version of Python and workload."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


def allowed(name: str) -> Counts:
    """What a step of the workload may execute on this version of Python."""
    known = recorded()
    if VERSION in known:
        return _with_margin(known[VERSION][name], MARGIN)
    return _with_margin({kind: max(counts[name][kind] for counts in known.values()) for kind in KINDS}, 2 * MARGIN)


def _with_margin(counts: Counts, margin: float) -> Counts:
    return {kind: round(count * (1 + margin) + SLACK, 2) for kind, count in counts.items()}


def main() -> None:
    """Show the counts, or record them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renew", action="store_true", help="record the counts for this version of Python")
    renew: bool = parser.parse_args().renew
    known = recorded()
    counts = {name: measured(name, LARGE) for name in WORKLOADS}
    for name, now in counts.items():
        before = known.get(VERSION, {}).get(name)
        print(f"{name:35}", *(f"{kind} {count:8.2f}{_change(before, kind, count)}" for kind, count in now.items()))
    if renew:
        RECORD.write_text(json.dumps(dict(sorted((known | {VERSION: counts}).items())), indent=1) + "\n")


def _change(before: Counts | None, kind: Kind, count: float) -> str:
    if not before or not before[kind]:
        return "        "
    return f" {count / before[kind] - 1:+6.1%} "


if __name__ == "__main__":
    main()
