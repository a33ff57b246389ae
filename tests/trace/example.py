"""Three runs to look at: one that finished after trouble, one that failed with hostile texts, one that was killed."""

from __future__ import annotations

from pathlib import Path

from swarmlet.errors import ModelUnavailable, RateLimited, StepFailed
from swarmlet.trace import (
    CallEnded,
    CallStarted,
    Noted,
    RunEnded,
    RunId,
    RunStarted,
    StepEnded,
    StepRetried,
    StepStarted,
    ToolEnded,
    ToolStarted,
    Trace,
)
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.record import Recorder
from tests.trace.build import writing

EVIL = "\x1b[31mred\x1b[0m [bold]markup[/bold] \u202egnp.exe \x9b2J\r\x07"
"""What a hostile model may say: escapes, rich markup, turned text, the C1 form of ESC [, a carriage return, a bell."""


class Player:
    """Plays a run by hand; every event is a second after the one before."""

    def __init__(self, recorder: Recorder, name: str, **inputs: object) -> None:
        self.recorder = recorder
        self.at = 1_700_000_000.0
        digests = {name: recorder.keep(value, to_any_json) for name, value in inputs.items()}
        recorder.emit(RunStarted(at=self.at, run=recorder.run, name=name, node=f"app:{name}", inputs=digests, version="0.1"))

    def tick(self, seconds: float = 1.0) -> float:
        self.at += seconds
        return self.at

    def begin(self, path: str, **inputs: object) -> None:
        node = f"app:{path.rpartition('/')[2]}"
        digests = {name: self.recorder.keep(value, to_any_json) for name, value in inputs.items()}
        self.recorder.emit(StepStarted(at=self.tick(), path=path, node=node, inputs=digests, waited=0.25))

    def finish(self, path: str, output: object) -> None:
        digest = self.recorder.keep(output, to_any_json)
        self.recorder.emit(StepEnded(at=self.tick(), path=path, state="finished", output=digest))

    def fail(self, path: str, error: Exception) -> None:
        fault = self.recorder.fault(error)
        self.recorder.emit(StepEnded(at=self.tick(), path=path, state="failed", error=fault))

    def call(self, path: str, messages: list[dict[str, str]], reply: object, turn: int = 1, attempt: int = 1) -> None:
        keep, model = self.recorder.keep, "gpt-4o-mini"
        request = keep({"model": model, "messages": messages, "tools": [], "seed": None}, to_any_json)
        self.recorder.emit(CallStarted(at=self.tick(), path=path, turn=turn, attempt=attempt, model=model, request=request))
        failed = isinstance(reply, Exception)
        self.recorder.emit(
            CallEnded(
                at=self.tick(),
                path=path,
                turn=turn,
                attempt=attempt,
                state="failed" if failed else "finished",
                model="" if failed else f"{model}-2024-07-18",
                input_tokens=0 if failed else 1200,
                cached_tokens=0 if failed else 1024,
                output_tokens=0 if failed else 80,
                usd=None if failed else "0.000151",
                reply=None if failed else keep({"text": reply, "refusal": None}, to_any_json),
                error=self.recorder.fault(reply) if isinstance(reply, Exception) else None,
                retry_in=0.5 if failed else None,
            )
        )

    def tool(self, path: str, name: str, arguments: str, result: str) -> None:
        keep = self.recorder.keep
        self.recorder.emit(
            ToolStarted(at=self.tick(), path=path, turn=1, id="t1", tool=name, arguments=keep(arguments, to_any_json))
        )
        self.recorder.emit(
            ToolEnded(
                at=self.tick(0.004),
                path=path,
                turn=1,
                id="t1",
                tool=name,
                state="finished",
                result=keep(result, to_any_json),
            )
        )

    def done(self, output: object) -> None:
        digest = self.recorder.keep(output, to_any_json)
        self.recorder.emit(RunEnded(at=self.tick(), state="finished", output=digest))


def solve(recorder: Recorder) -> None:
    """A loop of two rounds with parallel steps, a tool, a step that was tried again, and calls that were."""
    play = Player(recorder, "solve", task={"text": "Add two numbers"})
    question = [{"role": "system", "content": "You write.\nShortly."}, {"role": "user", "content": "Add!"}]
    play.begin("solve/write", task={"text": "Add two numbers"})
    play.call("solve/write", question, RateLimited("slow down"))
    play.call("solve/write", question, "", attempt=2)
    play.tool("solve/write", "search", '{"query": "sum"}', "two hits")
    play.call("solve/write", [*question, {"role": "tool", "content": "two hits"}], "return a + b", turn=2)
    play.finish("solve/write", {"source": "def add(a, b):\n    return a + b"})
    for round_ in (1, 2):
        path = f"solve/attempt[{round_}]/check"
        play.begin(path, code="def add")
        fault = recorder.fault(ValueError("flaky"))
        recorder.emit(StepRetried(at=play.tick(), path=path, attempt=1, error=fault, wait=2))
        recorder.emit(Noted(at=play.tick(), path=path, message="held the event loop for 0.3 s"))
        play.finish(path, round_)
    play.done("def add(a, b):\n    return a + b")


def fail(recorder: Recorder) -> None:
    """One agent, which fails after it said something hostile."""
    play = Player(recorder, "talk", text=EVIL)
    play.begin("talk", text=EVIL)
    play.call("talk", [{"role": "user", "content": EVIL}], EVIL)
    play.fail("talk", ModelUnavailable(f"server said: {EVIL}"))
    fault = recorder.fault(StepFailed("talk", f"ModelUnavailable: {EVIL}"))
    recorder.emit(RunEnded(at=play.tick(), state="failed", error=fault))


def die(recorder: Recorder) -> None:
    """A run whose process was killed inside of a call."""
    play = Player(recorder, "solve", task=1)
    play.begin("solve/write", task=1)
    recorder.emit(CallStarted(at=play.tick(), path="solve/write", turn=1, attempt=1, model="gpt-4o-mini"))


RUNS = {"0001-solve": solve, "0002-fail": fail, "0003-die": die}


def trace_of(run: str) -> Trace:
    recorder = Recorder(RunId(run))
    RUNS[run](recorder)
    return Trace(recorder.events, recorder.values)


def example_journal(path: Path) -> None:
    with writing(path) as writer:
        for run, play in RUNS.items():
            play(Recorder(RunId(run), (writer,)))
