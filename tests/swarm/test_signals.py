"""Ctrl-C and SIGTERM in a real process: steps are cancelled or finish, and the journal can be read afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from swarmlet.trace.journal import Journal

PROGRAM = """
import signal, sys
import anyio
from swarmlet import RunStopped, Swarm, each, graph, node

@node
async def work(count: int) -> int:
    if count == 0:
        print("started", flush=True)
    try:
        await anyio.sleep(SECONDS)
    finally:
        print("ended", flush=True)
    return count

@node
async def join(counts: list[int]) -> int:
    return sum(counts)

@graph
def whole(counts: list[int]) -> int:
    return join(each(work)(counts))

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that started the tests in the background has it ignored

async def main() -> None:
    async with Swarm(journal=sys.argv[1]) as swarm:
        async with anyio.create_task_group() as group:
            group.start_soon(on_signal, swarm)
            try:
                print((await swarm.run(whole, [0, 1])).output, flush=True)
            except RunStopped as error:
                print(error, flush=True)
            finally:
                print("returned", flush=True)
            group.cancel_scope.cancel()

async def on_signal(swarm: Swarm) -> None:
    if DRAIN:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                await swarm.drain()
                return

anyio.run(main, backend=sys.argv[2])
"""


def signalled(tmp_path: Path, backend: str, number: signal.Signals, *, seconds: float, drain: bool) -> tuple[int, str]:
    """The exit status and the output of the program, after it got a signal while two steps ran."""
    source = PROGRAM.replace("SECONDS", str(seconds)).replace("DRAIN", str(drain))
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(source))
    command = [sys.executable, str(path), str(tmp_path / "j.db"), backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(0.2)  # the other step has begun by then, and the signal receiver is open
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    return process.returncode, output


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_cancels_every_step_and_leaves_a_readable_journal(tmp_path: Path, backend: str) -> None:
    status, output = signalled(tmp_path, backend, signal.SIGINT, seconds=60, drain=False)
    assert status not in (0, None)
    assert output.splitlines() == ["ended", "ended", "returned"]
    (row,) = Journal(tmp_path / "j.db").runs()
    assert row.state == "cancelled"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_sigterm_can_drain_the_swarm(tmp_path: Path, backend: str) -> None:
    status, output = signalled(tmp_path, backend, signal.SIGTERM, seconds=1, drain=True)
    assert status == 0
    assert output.splitlines() == ["ended", "ended", "run of 'whole' was stopped, because its swarm was drained", "returned"]
    journal = Journal(tmp_path / "j.db")
    (row,) = journal.runs()
    assert (row.state, journal.trace(row.id).not_started()) == ("drained", ["whole/join"])
