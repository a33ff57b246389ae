"""What the journal's tests share: small runs, and a process that writes until it is killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from swarmlet.trace import Event, Noted, RunEnded, RunId, RunStarted, StepStarted
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.events import CallEnded, Digest
from swarmlet.trace.journal import Journal, JournalWriter
from swarmlet.trace.record import Recorder

ROOT = str(Path(__file__).parents[2])
"""What another process needs in its path to import this module."""


@contextmanager
def writing(path: Path) -> Generator[JournalWriter]:
    with closing(JournalWriter(path)) as writer:
        yield writer


def start(writer: JournalWriter, run: str, at: float = 0.0, name: str = "solve") -> Recorder:
    """A run that has begun."""
    recorder = Recorder(RunId(run), (writer,))
    recorder.emit(RunStarted(at=at, run=recorder.run, name=name, node=f"app:{name}", version="0"))
    return recorder


def note(recorder: Recorder, number: int) -> None:
    """An event that can be told from the others, and that names a value."""
    digest = recorder.keep(f"value {number}", to_any_json)
    recorder.emit(Noted(at=float(number), path="solve/step", message=f"{number} {digest}"))


def paid(recorder: Recorder, at: float, usd: str | None = "0.0001") -> None:
    """A step with one model call."""
    recorder.emit(StepStarted(at=at, path="solve/write", node="app:write"))
    recorder.emit(
        CallEnded(
            at=at,
            path="solve/write",
            turn=1,
            attempt=1,
            state="finished",
            input_tokens=100,
            cached_tokens=40,
            output_tokens=10,
            usd=usd,
        )
    )


def end(recorder: Recorder, at: float) -> None:
    recorder.emit(RunEnded(at=at, state="finished"))


def numbers(path: Path, run: str) -> list[int]:
    """The numbers of the notes of a run, each checked to have its value."""
    trace = Journal(path).trace(run)
    notes = [event.message.split() for event in trace.events if isinstance(event, Noted)]
    for number, digest in notes:
        assert trace.value(Digest(digest)) == f"value {number}"
    return [int(number) for number, _ in notes]


def events_of(path: Path, run: str) -> list[Event]:
    return list(Journal(path).trace(run).events)


def files_beside(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()}


def writer_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("swarmlet journal")]


ENDLESS = """
import anyio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.trace.build import note, start
from swarmlet.trace.journal import JournalWriter

async def main():
    writer = JournalWriter(Path(sys.argv[1]))
    recorder, number = start(writer, sys.argv[2]), 0
    while True:
        note(recorder, number)
        if number % 7 == 0:
            await writer.flush()
            print(number, flush=True)
        number += 1

anyio.run(main)
"""


@contextmanager
def endless_writer(path: Path, run: str) -> Generator[subprocess.Popen[str]]:
    """A process that writes notes 0, 1, 2, ... and prints the number of each one that it knows to be durable."""
    command = [sys.executable, "-c", ENDLESS, str(path), run, ROOT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
