"""`swarmlet watch`: follows a run that another process writes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from swarmlet.trace import Event, RunEnded, RunId, RunStarted, StepEnded, StepStarted
from swarmlet.trace.events import RunResumed
from swarmlet.trace.journal import JournalWriter
from swarmlet.trace.record import Recorder
from tests.cli.terminals import COMMAND, WAIT, environment, in_terminal
from tests.trace.build import writing


class Writing:
    """A run that this process writes, event by event, while others read."""

    def __init__(self, writer: JournalWriter, name: str = "live") -> None:
        self.recorder = Recorder(RunId("live"), (writer,))
        self.emit(RunStarted(at=0.0, run=RunId("live"), name=name, node=f"app:{name}"))

    def emit(self, event: Event) -> None:
        self.recorder.emit(event)

    def step(self, name: str, at: float) -> None:
        self.emit(StepStarted(at=at, path=f"live/{name}", node=f"app:{name}"))
        self.emit(StepEnded(at=at + 1, path=f"live/{name}", state="finished"))


@contextmanager
def watching(path: Path, *options: str) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, "--journal", str(path), "watch", "last", "--every", "0.05", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def watching_when_there(path: Path, writer: JournalWriter, *options: str) -> Generator[subprocess.Popen[str]]:
    anyio.run(writer.flush)
    with watching(path, *options) as process:
        yield process


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_lines_come_as_another_process_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    with writing(path) as writer:
        run = Writing(writer)
        run.step("first", 1.0)
        with watching_when_there(path, writer) as process:
            assert next_line(process).split() == ["0", "ms", "began", "live"]
            assert next_line(process).split()[2:4] == ["finished", "live/first"]
            run.step("second\x1b[31m", 3.0)
            assert next_line(process).rstrip().endswith(r"finished   live/second\x1b[31m  1.0 s")
            run.emit(RunEnded(at=5.0, state="finished"))
            out, err = process.communicate(timeout=WAIT)
            assert out.split() == ["5.0", "s", "finished", "live"]
            assert err.startswith("swarmlet: live: finished, 5.0 s, 2 steps done")
            assert process.returncode == 0


def test_json_gives_each_event_as_a_line(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    with writing(path) as writer:
        run = Writing(writer)
        with watching_when_there(path, writer, "--json") as process:
            assert json.loads(next_line(process))["kind"] == "run_started"
            run.step("first", 1.0)
            assert [json.loads(next_line(process))["kind"] for _ in range(2)] == ["step_started", "step_ended"]
            run.emit(RunEnded(at=5.0, state="failed"))
            out, _ = process.communicate(timeout=WAIT)
            assert json.loads(out)["state"] == "failed"
            assert process.returncode == 1


def test_a_resumed_run_is_followed_on(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    with writing(path) as writer:
        run = Writing(writer)
        run.emit(StepStarted(at=0.5, path="live/lost", node="app:lost"))
        run.emit(RunResumed(at=9.0, number=1))
        with watching_when_there(path, writer) as process:
            next_line(process)
            assert "resumed" in next_line(process)
            run.emit(RunEnded(at=10.0, state="suspended"))
            process.communicate(timeout=WAIT)
            assert process.returncode == 3


def test_of_what_was_before_only_the_last_lines_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    with writing(path) as writer:
        run = Writing(writer)
        for number in range(50):
            run.step(f"step[{number}]", float(number))
        run.emit(RunEnded(at=60.0, state="finished"))
    with watching(path, "--lines", "3") as process:
        out, _ = process.communicate(timeout=WAIT)
        assert [line.split("finished")[1].split()[0] for line in out.splitlines()] == ["live/step[48]", "live/step[49]", "live"]


def test_in_a_terminal_it_shows_what_is_under_way(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    with writing(path) as writer:
        run = Writing(writer)
        run.emit(StepStarted(at=0.5, path="live/slow", node="app:slow"))
        anyio.run(writer.flush)
        shown = in_terminal(
            [*COMMAND, "--journal", str(path), "watch", "last", "--every", "0.05"],
            told={"1 running": lambda: run.emit(RunEnded(at=5.0, state="finished"))},
        )
    assert "live/slow" in shown.text
    assert shown.status == 0


@pytest.mark.parametrize("state", ["cancelled", "drained"])
def test_a_run_that_did_not_finish_is_status_1(state: str, tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    with writing(path) as writer:
        Writing(writer).emit(RunEnded(at=5.0, state=state))  # type: ignore[arg-type]
    with watching(path) as process:
        process.communicate(timeout=WAIT)
        assert process.returncode == 1


def test_a_run_whose_process_is_gone_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    with writing(path) as writer:
        Writing(writer)
    with watching(path) as process:
        _, err = process.communicate(timeout=WAIT)
        assert process.returncode == 1
        assert "lost" in err
