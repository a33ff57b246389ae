"""The stores of journals, each a real one, for the tests that all of them pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from swarmlet.bridges.journals import PostgresJournal
from swarmlet.trace import (
    CallEnded,
    CallStarted,
    Event,
    MemoryJournal,
    RunEnded,
    RunId,
    RunStarted,
    SqliteJournal,
    StepEnded,
    StepStarted,
)
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.events import Answered, Asked, Digest, RunResumed, State
from swarmlet.trace.journal import Store, Writer
from swarmlet.trace.record import Recorder
from tests.bridges.limit_servers import postgres_server

STORES = ("sqlite", "memory", "postgres")


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return PostgresJournal(url, schema=f"test_{uuid4().hex}", lease=30)
    return MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "journal.sqlite")


class Playing:
    """A run that is played by hand, with a second between two events."""

    def __init__(self, writer: Writer, run: str = "a", at: float = 1_000.0, name: str = "solve") -> None:
        self.writer = writer
        self.recorder = Recorder(RunId(run), (writer,))
        self.name = name
        self.at = at

    @property
    def run(self) -> RunId:
        return self.recorder.run

    @property
    def events(self) -> list[Event]:
        return self.recorder.events

    def tick(self) -> float:
        self.at += 1
        return self.at

    def keep(self, value: object) -> Digest | None:
        return self.recorder.keep(value, to_any_json)

    def start(self, **inputs: object) -> Playing:
        kept = {name: self.keep(value) for name, value in inputs.items()}
        self.recorder.emit(
            RunStarted(at=self.tick(), run=self.run, name=self.name, node=f"app:{self.name}", inputs=kept, version="0")
        )
        return self

    def resume(self, number: int = 1) -> Playing:
        self.recorder.emit(RunResumed(at=self.tick(), number=number))
        return self

    def step(self, path: str, output: object = None, usd: str = "0.001") -> Playing:
        """A step with a model call."""
        request, reply = self.keep({"model": "m", "path": path}), self.keep(output)
        self.recorder.emit(StepStarted(at=self.tick(), path=path, node="app:step", inputs={"task": self.keep("task")}))
        self.recorder.emit(CallStarted(at=self.tick(), path=path, turn=1, attempt=1, model="m", request=request))
        self.recorder.emit(
            CallEnded(
                at=self.tick(),
                path=path,
                turn=1,
                attempt=1,
                state="finished",
                input_tokens=7,
                output_tokens=2,
                usd=usd,
                reply=reply,
            )
        )
        self.recorder.emit(StepEnded(at=self.tick(), path=path, state="finished", output=reply))
        return self

    def ask(self, path: str, question: str = "May I?", until: float | None = None) -> Playing:
        self.recorder.emit(
            Asked(
                at=self.tick(),
                path=path,
                about="approval",
                question=self.keep(question),
                answers=self.keep({"type": "boolean"}),
                tool="delete",
                arguments=self.keep({"file": "x"}),
                until=until,
            )
        )
        return self

    def answer(self, path: str, answer: object = True) -> Playing:
        self.recorder.emit(Answered(at=self.tick(), path=path, answer=self.keep(answer), by="ann"))
        return self

    def end(self, state: State = "finished", output: object = None) -> Playing:
        self.recorder.emit(RunEnded(at=self.tick(), state=state, output=self.keep(output)))
        return self
