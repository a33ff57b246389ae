"""Runs that were slow and dear, as a journal would have them: for the tests of what is shown of them, and for pictures.

`solve` writes code, has eight reviewers look at it (four at once, and one of them is much slower), improves it in two rounds,
and runs tests. Times are made up, so they are the same each time.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final

from swarmlet.trace import CallEnded, CallStarted, RunEnded, RunId, RunStarted, StepEnded, StepStarted, ToolEnded, ToolStarted
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.events import Answered, Asked, Digest, Event, Fault
from swarmlet.trace.record import Recorder
from tests.trace.build import writing

START: Final = 1_760_000_000.0
EVIL: Final = "\x1b[31mred\x1b[0m \u202egnp.exe \x9b2J\r\x07"


class Scene:
    """Events at chosen moments; they are told in the order of time."""

    def __init__(self, recorder: Recorder, name: str, start: float) -> None:
        self.recorder = recorder
        self.name = name
        self.start = start
        self.events: list[Event] = []
        inputs: dict[str, Digest | None] = {"task": recorder.keep("Sort the lines", to_any_json)}
        self.events.append(RunStarted(at=start, run=recorder.run, name=name, node=f"app:{name}", inputs=inputs, version="0.1"))

    def step(self, path: str, begin: float, end: float | None, waited: float = 0.0, error: str = "") -> None:
        """A step."""
        node = f"app:{path.rpartition('/')[2].partition('[')[0]}"
        self.events.append(StepStarted(at=self.start + begin, path=path, node=node, waited=waited, place_waited=waited))
        if end is not None:
            state, fault = ("failed", Fault("ValueError", error)) if error else ("finished", None)
            self.events.append(StepEnded(at=self.start + end, path=path, state=state, error=fault))  # type: ignore[arg-type]

    def call(
        self,
        path: str,
        begin: float,
        end: float,
        *,
        turn: int = 1,
        attempt: int = 1,
        tokens: tuple[int, int, int] = (2000, 0, 300),
        waited: float = 0.0,
        retry_in: float | None = None,
        told: tuple[str, ...] = ("Review.",),
    ) -> None:
        """A model call."""
        messages = tuple(self.recorder.keep({"role": "user", "content": text}, to_any_json) for text in told)
        given, cached, written = tokens
        usd = (Decimal(given - cached) * 15 + Decimal(cached) * Decimal("7.5") + Decimal(written) * 60) / 100_000_000
        place = {"path": path, "turn": turn, "attempt": attempt}
        model = "gpt-4o-mini"
        request = self.recorder.keep({"model": model}, to_any_json)
        self.events.append(
            CallStarted(at=self.start + begin, model=model, waited=waited, request=request, messages=messages, **place)  # type: ignore[arg-type]
        )
        failed = retry_in is not None
        self.events.append(
            CallEnded(
                at=self.start + end,
                state="failed" if failed else "finished",
                model=model,
                input_tokens=0 if failed else given,
                cached_tokens=0 if failed else cached,
                output_tokens=0 if failed else written,
                usd=None if failed else str(usd),
                prompt_usd=None if failed else str(usd - Decimal(written) * 60 / 100_000_000),
                saved_usd=None if failed or not cached else str(Decimal(cached) * Decimal("7.5") / 100_000_000),
                first_token=None if failed else 0.4,
                error=Fault("RateLimited", "slow down") if failed else None,
                retry_in=retry_in,
                reply=None if failed else self.recorder.keep({"text": "Fine."}, to_any_json),
                **place,  # type: ignore[arg-type]
            )
        )

    def tool(self, path: str, begin: float, end: float) -> None:
        """A call of a tool."""
        self.events.append(ToolStarted(at=self.start + begin, path=path, turn=1, id="t1", tool="search_docs"))
        self.events.append(ToolEnded(at=self.start + end, path=path, turn=1, id="t1", tool="search_docs", state="finished"))

    def play(self, end: float | None, state: str = "finished") -> None:
        """Tell everything."""
        if end is not None:
            fault = Fault("ValueError", "no tests") if state == "failed" else None
            self.events.append(RunEnded(at=self.start + end, state=state, error=fault))  # type: ignore[arg-type]
        ends = ("step_ended", "run_ended")
        for event in sorted(self.events, key=lambda event: (event.at, event.kind in ends, event.kind == ends[1])):
            self.recorder.emit(event)


def slow(recorder: Recorder, start: float = START, factor: float = 1.0) -> None:
    """The slow, dear run: 42 seconds, of which one reviewer takes half."""
    scene = Scene(recorder, "solve", start)
    scene.step("solve/write", 0.01, 6.0 * factor)
    scene.call("solve/write", 0.02, 6.0 * factor, tokens=(1200, 0, 700), told=("You write code.", "Sort the lines"))
    at = 6.0 * factor
    takes = (4.0, 5.0, 4.5, 21.0 * factor, 4.0, 3.5, 4.2, 3.9)
    free = [at] * 4
    for index, took in enumerate(takes):
        place = free.index(min(free))
        begin, free[place] = free[place] + 0.01, free[place] + took
        path = f"solve/review[{index}]"
        scene.step(path, begin, free[place], waited=begin - at - 0.001)
        if index == 5:
            scene.call(path, begin + 0.01, begin + 0.3, retry_in=1.2)
            scene.call(path, begin + 1.51, free[place], attempt=2, tokens=(9000, 0, 400))
        elif index == 3:
            scene.call(
                path,
                begin + 2 * factor,
                begin + 9 * factor,
                waited=1.9 * factor,
                tokens=(9000, 0, 1500),
                told=("Review.", "code"),
            )
            scene.tool(path, begin + 9 * factor, begin + 11 * factor)
            told = ("Review.", "code", "a reply", "a result")
            scene.call(path, begin + 11 * factor, free[place], turn=2, tokens=(12000, 4096, 2500), told=told)
        else:
            scene.call(path, begin + 0.01, free[place], tokens=(9000, 0, 400), told=("Review.", "code"))
    at = max(free)
    for number in range(2):
        path = f"solve/attempt[{number}]"
        scene.step(f"{path}/improve", at + 0.01, at + 5.0)
        scene.call(f"{path}/improve", at + 0.02, at + 5.0, tokens=(3000, 1024, 600), told=("Improve.", f"round {number}"))
        scene.step(f"{path}/run_tests", at + 5.01, at + 7.0)
        at += 7.01
    scene.play(at + 0.01)


def asking(recorder: Recorder, start: float = START) -> None:
    """A run that waits for a person, whose question is hostile."""
    scene = Scene(recorder, "publish", start)
    scene.step("publish/ask", 0.1, None)
    keep = recorder.keep
    scene.events += [
        Asked(
            at=start + 0.2,
            path="publish/ask",
            about="answer",
            question=keep(f"Publish? {EVIL}", to_any_json),
            answers=keep({"enum": ["yes", "later"]}, to_any_json),
        ),
        Answered(at=start + 2.2, path="publish/ask", answer=keep("later", to_any_json), by="ana"),
        Asked(
            at=start + 2.3,
            path="publish/ask",
            about="answer",
            question=keep("And now?", to_any_json),
            answers=keep({"type": "boolean"}, to_any_json),
        ),
    ]
    scene.play(2.5, "suspended")


def small(recorder: Recorder, start: float, number: int) -> None:
    """One of many runs: a few steps, each a little different."""
    scene = Scene(recorder, "solve", start)
    took = 1.0 + (number % 7) / 10
    scene.step("solve/write", 0.01, took)
    scene.call("solve/write", 0.02, took, tokens=(1000 + number % 100, 0, 200))
    failed = number % 10 == 9
    scene.step("solve/run_tests", took + 0.01, took + 0.5, error="no tests" if failed else "")
    scene.play(took + 0.51, "failed" if failed else "finished")


def slow_journal(path: Path) -> None:
    """A journal with the slow run, a quicker one after it, nine small ones before, and one that asks."""
    with writing(path) as writer:
        for number in range(9, 0, -1):
            small(Recorder(RunId(f"000{number}-small"), (writer,)), START - 1000 * number, number)
        slow(Recorder(RunId("0010-slow"), (writer,)))
        slow(Recorder(RunId("0011-quick"), (writer,)), START + 100, 0.4)
        asking(Recorder(RunId("0012-asks"), (writer,)), START + 200)
