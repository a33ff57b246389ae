"""`each` over a list that a model is still writing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio
import pytest
from anyio.lowlevel import checkpoint
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel
from typing_extensions import TypedDict

from swarmlet import (
    Budget,
    Failed,
    GraphError,
    MemoryCache,
    Node,
    Partial,
    Run,
    RunStopped,
    StepFailed,
    Swarm,
    Trace,
    agent,
    current,
    each,
    graph,
    node,
    within,
)
from swarmlet.errors import ModelUnavailable, OutputInvalid
from swarmlet.testing import CallTools, Garbage, Gate, Paced, Request, Say, ScriptedServer, StreamError, call, replay
from swarmlet.testing.replies import to_json
from swarmlet.trace.events import CallEnded, CallSaved, Noted, StepEnded, StepStarted, TextDelta
from tests.swarm.resuming import executed, executes, finished, recorded, resumed

from .helpers import FAST, because, failure, outcome, partial, say, sent

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Section(BaseModel):
    title: str = Field(max_length=20)


class Outline(BaseModel):
    name: str
    sections: list[Section]


@agent(list[Section], early=True)
def listed(task: str) -> str:
    """You write outlines."""
    return task


@agent(Outline, early=True)
def outline(task: str) -> str:
    """You write outlines."""
    return task


class Writers:
    """Says which sections are being written, and lets them wait."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.finished: list[str] = []
        self.cancelled: list[str] = []
        self.heard = anyio.Event()
        self.held: set[str] = set()

    async def write(self, section: Section) -> str:
        self.begun.append(section.title)
        self.heard.set()
        try:
            if section.title in self.held:
                await anyio.sleep_forever()
            await checkpoint()
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(section.title)
            raise
        self.finished.append(section.title)
        if section.title.startswith("bad"):
            raise ValueError(section.title)
        return section.title.upper()


@pytest.fixture
def writers() -> Writers:
    return Writers()


def whole_of(writers: Writers, **options: Any) -> Node[[str], list[Any]]:
    """A graph of an outline and its sections."""
    write = node(writers.write, name="write")
    map_over: Any = each
    mapped: Node[[list[Section]], list[Any]] = map_over(write, **options)

    @graph
    def whole(task: str) -> list[Any]:
        return mapped(listed(task))

    return whole


def of(*titles: str) -> dict[str, Any]:
    return {"value": [{"title": title} for title in titles]}


def in_pieces(*pieces: str) -> Garbage:
    """A stream with these pieces of text."""
    deltas: list[tuple[Any, str | None]] = [*(({"content": piece}, None) for piece in pieces), ({}, "stop")]
    choices: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in deltas
    ]
    usage: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}}
    events = "".join(f"data: {json.dumps(one)}\n\n" for one in (*choices, usage))
    return Garbage(f"{events}data: [DONE]\n\n", content_type="text/event-stream")


def held_after(count: int, said: object) -> tuple[Paced, Gate]:
    """A reply of which no more comes than so many items, until the gate is opened."""
    gate = Gate()
    text = to_json(said)
    end = -1
    for _ in range(count):
        end = text.index("}", end + 1)
    gate.open(2 + (end + 1) // 8)  # an event with the role, then eight characters each
    return Paced(Say(text), gate=gate), gate


async def run_until(whole: Node[[str], T], ready: Callable[[], bool], gate: Gate) -> Run[T]:
    """The run of a graph, whose reply is held back until it is `ready`."""
    runs: list[Run[T]] = []
    async with Swarm() as swarm:

        async def run() -> None:
            runs.append(await swarm.run(whole, "x"))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(run)
                while not ready():  # noqa: ASYNC110  # it may be anything
                    await anyio.sleep(0.001)
                gate.open()
    return runs[0]


def states(run: Any) -> Counter[tuple[str, str]]:
    return Counter((event.path, event.state) for event in run.trace.events if isinstance(event, StepEnded))


async def test_the_first_item_starts_while_the_model_still_writes(scripted_server: ScriptedServer, writers: Writers) -> None:
    reply, gate = held_after(1, of("one", "two", "three"))
    scripted_server.script(reply)

    def ready() -> bool:
        assert not writers.begun or scripted_server.in_flight == 1, "the server holds the rest back"
        return writers.finished == ["one"]

    run_ = await run_until(whole_of(writers), ready, gate)

    assert run_.output == ["ONE", "TWO", "THREE"]
    assert writers.begun == ["one", "two", "three"]
    paths = [event.path for event in run_.trace.events if isinstance(event, StepStarted)]
    assert paths == ["whole/listed", "whole/write[0]", "whole/write[1]", "whole/write[2]"]
    assert set(states(run_).values()) == {1}
    order = [event for event in run_.trace.events if isinstance(event, StepStarted | StepEnded)]
    assert [type(one) for one in order if one.path in ("whole/listed", "whole/write[0]")][:2] == [StepStarted, StepStarted]


async def test_results_are_those_without_it_wherever_the_stream_is_cut(scripted_server: ScriptedServer) -> None:
    text = json.dumps(
        {"name": "tides\u00e9", "sections": [{"title": 'a"]},\\'}, {"title": "\u00fc\U0001f600"}]}, ensure_ascii=False
    )

    @node
    async def write(section: Section, task: str) -> str:
        await checkpoint()
        return f"{task}: {section.title}"

    @graph
    def whole(task: str) -> tuple[str, list[str]]:
        made = outline(task)
        return made.name, each(write)(made.sections, task)

    async with Swarm() as swarm:
        for cut in range(0, len(text), 2):
            scripted_server.script(in_pieces(text[:cut], text[cut : cut + 1], text[cut + 1 :]))
            run = await swarm.run(whole, "x")
            assert run.output == ("tides\u00e9", ['x: a"]},\\', "x: \u00fc\U0001f600"])
            assert set(states(run).values()) == {1}
        scripted_server.script(in_pieces(*text))
        assert (await swarm.run(whole, "x")).output[1] == ['x: a"]},\\', "x: \u00fc\U0001f600"]


@agent(list[Section])
def unasked(task: str) -> str:
    return task


async def test_only_what_can_begin_early_makes_a_stream(scripted_server: ScriptedServer, writers: Writers) -> None:
    write = node(writers.write, name="write")

    @graph
    def not_asked(task: str) -> list[str]:
        return each(write)(unasked(task))

    @graph
    def no_map(task: str) -> list[Section]:
        return listed(task)

    @graph
    def guarded(task: str) -> list[str]:
        return each(write)(listed.with_options(fallback=unasked)(task))

    async with Swarm() as swarm:
        whole: Any
        for whole in (not_asked, no_map, guarded, whole_of(writers, enough=2)):
            scripted_server.script(of("one", "two"))
            await swarm.run(whole, "x")
        scripted_server.script(of("one"))
        await swarm.run(listed, "x")
        scripted_server.script(of("one"))
        await swarm.run(whole_of(writers), "x")

    assert [request.stream for request in scripted_server.requests] == [*[False] * 5, True]


# Replies that change


async def test_an_item_that_was_repaired_is_run_again_and_the_others_are_not(
    scripted_server: ScriptedServer, writers: Writers
) -> None:
    writers.held = {"old"}
    long = "a title that is too long for it"
    reply, gate = held_after(3, of("same", "old", "gone", long))
    scripted_server.script(reply, of("same", "new"))

    run = await run_until(whole_of(writers), lambda: {"same", "gone"} == set(writers.finished), gate)

    assert run.output == ["SAME", "NEW"]
    assert set(writers.begun[:3]) == {"same", "old", "gone"}
    assert writers.begun[3:] == ["new"]
    assert writers.cancelled == ["old"]
    assert states(run) == {
        ("whole/listed", "finished"): 1,
        ("whole/write[0]", "finished"): 1,
        ("whole/write[1]", "cancelled"): 1,
        ("whole/write[1]", "finished"): 1,
        ("whole/write[2]", "finished"): 1,
    }
    notes = {event.path: event.message for event in run.trace.events if isinstance(event, Noted)}
    assert "has another item there by now" in notes["whole/write[1]"]
    assert "does not have by now" in notes["whole/write[2]"]
    assert run.trace.step("whole/write[1]").state == "finished"
    assert run.trace.critical_path()
    assert run.trace.waits()
    assert run.trace.slacks()


async def test_a_reply_that_breaks_off_is_asked_for_again_and_its_items_are_not_run_again(
    scripted_server: ScriptedServer, writers: Writers
) -> None:
    scripted_server.script(StreamError(Say(of("one", "two", "three", "four")), after=10), of("one", "two", "3"))

    run = await outcome(whole_of(writers).with_options(retry=FAST), "x")

    assert run.output == ["ONE", "TWO", "3"]
    assert [call.attempt for call in sent(run)] == [1, 2]
    begun = Counter(writers.begun)
    assert begun["one"] == 1
    assert begun["3"] == 1


async def test_who_listens_to_the_text_hears_no_reply_twice(scripted_server: ScriptedServer, writers: Writers) -> None:
    scripted_server.script(StreamError(Say(of("one", "two", "three", "four")), after=10))
    heard: list[str] = []
    whole = whole_of(writers).with_options(retry=FAST)  # a text that was shown cannot be taken back

    async def listen() -> None:
        async with Swarm() as swarm, swarm.stream(whole, "x") as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    heard.append(event.text)

    with anyio.fail_after(30), pytest.raises(StepFailed) as caught:
        await listen()

    because(caught.value, ModelUnavailable)
    assert heard
    assert to_json(of("one", "two", "three", "four")).startswith("".join(heard))


async def test_the_texts_of_other_turns_do_no_harm(scripted_server: ScriptedServer, writers: Writers) -> None:
    def look(word: str) -> str:
        return word

    @agent(list[Section], tools=[look], early=True)
    def looking(task: str) -> str:
        return task

    @graph
    def whole(task: str) -> list[str]:
        return each(node(writers.write, name="write"))(looking(task))

    scripted_server.script(CallTools([call("look", word="a")], text='{"value": [{"title": "draft"}]}'), of("one", "two"))

    run = await outcome(whole, "x")

    assert run.output == ["ONE", "TWO"]
    assert writers.begun == ["draft", "one", "two"]


async def test_lists_that_a_validator_changes_are_run_as_they_are_in_the_end(
    scripted_server: ScriptedServer, writers: Writers
) -> None:
    def backwards(sections: list[Section]) -> list[Section]:
        return sections[::-1]

    @agent(Annotated[list[Section], AfterValidator(backwards)], early=True)
    def turned(task: str) -> str:
        return task

    @graph
    def whole(task: str) -> list[str]:
        return each(node(writers.write, name="write"))(turned(task))

    reply, gate = held_after(3, of("one", "two", "three"))
    scripted_server.script(reply)

    run = await run_until(whole, lambda: len(writers.finished) == 3, gate)

    assert run.output == ["THREE", "TWO", "ONE"]
    assert Counter(writers.begun) == {"one": 2, "two": 1, "three": 2}


# Failures


async def test_a_failing_item_fails_the_run_as_it_would_without(scripted_server: ScriptedServer, writers: Writers) -> None:
    scripted_server.script(of("one", "bad", "three"))

    error = await failure(whole_of(writers), "x")

    assert error.path == "whole/write[1]"
    assert str(because(error, ValueError)) == "bad"
    assert states(partial(error))["whole/listed", "finished"] == 1, "the reply was paid for, and is whole"


async def test_a_failing_item_that_is_repaired_fails_nothing(scripted_server: ScriptedServer, writers: Writers) -> None:
    long = "a title that is too long for it"
    reply, gate = held_after(1, of("bad one", "two", long))
    scripted_server.script(reply, of("good one", "two", "three"))

    run = await run_until(whole_of(writers), lambda: writers.finished == ["bad one"], gate)

    assert run.output == ["GOOD ONE", "TWO", "THREE"]
    assert states(run)["whole/write[0]", "failed"] == 1


async def test_failing_items_are_kept_or_skipped(scripted_server: ScriptedServer, writers: Writers) -> None:
    for _ in range(3):
        scripted_server.script(of("one", "bad", "three"))

    kept = (await outcome(whole_of(writers, on_error="keep"), "x")).output
    assert [kept[0], kept[2]] == ["ONE", "THREE"]
    assert isinstance(kept[1], Failed)
    assert (kept[1].path, kept[1].type, kept[1].message) == ("whole/write[1]", "ValueError", "bad")
    assert (await outcome(whole_of(writers, on_error="skip", warm=True, concurrency=1), "x")).output == ["ONE", "THREE"]
    error = await failure(whole_of(writers, on_error="skip", at_least=3), "x")
    assert "at least 3 items must succeed, and at most 2 can" in str(error)


async def test_an_agent_that_fails_in_the_end_stops_what_was_started(scripted_server: ScriptedServer, writers: Writers) -> None:
    writers.held = {"one"}

    @agent(list[Section], early=True, repairs=0)
    def once(task: str) -> str:
        return task

    @graph
    def whole(task: str) -> list[str]:
        return each(node(writers.write, name="write"))(once(task))

    reply, gate = held_after(1, of("one", "a title that is too long for it"))
    scripted_server.script(reply)

    with pytest.raises(ExceptionGroup) as caught:
        await run_until(whole, lambda: writers.begun == ["one"], gate)

    (error,) = caught.value.exceptions
    assert isinstance(error, StepFailed)
    assert error.path == "whole/once"
    because(error, OutputInvalid)
    assert writers.cancelled == ["one"]
    assert states(partial(error))["whole/write[0]", "cancelled"] == 1


async def test_a_run_that_is_cancelled_in_the_middle_leaves_nothing(scripted_server: ScriptedServer, writers: Writers) -> None:
    writers.held = {"one"}
    reply, gate = held_after(1, of("one", "two", "three"))
    scripted_server.script(reply)

    async with Swarm() as swarm, anyio.create_task_group() as group:
        with anyio.fail_after(30):
            whole = whole_of(writers)
            group.start_soon(lambda: swarm.run(whole, "x"))
            await writers.heard.wait()
            group.cancel_scope.cancel()

    assert writers.cancelled == ["one"]
    await scripted_server.wait_for_async(disconnects=1)
    gate.open()


async def test_a_budget_that_runs_out_gives_back_only_what_counts(scripted_server: ScriptedServer) -> None:
    done: list[str] = []

    @node
    async def write(section: Section) -> str:
        done.append(section.title)
        return await current().run(say, section.title) if section.title == "new" else section.title.upper()

    @graph
    def whole(task: str) -> list[str]:
        return each(write)(listed(task))

    reply, gate = held_after(2, of("same", "old", "a title that is too long for it"))
    scripted_server.script(reply, of("same", "new"))

    run = await run_until(within(whole, Budget(requests=2)), lambda: len(done) == 2, gate)

    assert isinstance(run.output, Partial)
    assert done == ["same", "old", "new"]
    assert run.output.finished == {
        "within/whole/listed": [Section(title="same"), Section(title="new")],
        "within/whole/write[0]": "SAME",
    }


# What else is around


async def test_steps_for_items_see_nothing_of_what_the_agent_has_set(scripted_server: ScriptedServer) -> None:
    seen: list[str] = []
    paths: list[str] = []
    setting: ContextVar[str] = ContextVar("setting", default="as it was")

    @agent(list[Section], early=True)
    def setter(task: str) -> str:
        setting.set("set by the agent")
        return task

    @node
    async def write(section: Section) -> str:
        seen.append(setting.get())
        paths.append(current().path)
        return section.title

    @graph
    def whole(task: str) -> list[str]:
        return each(write)(setter(task))

    scripted_server.script(of("one", "two"))
    await outcome(whole, "x")

    assert seen == ["as it was", "as it was"]
    assert paths == ["whole/write[0]", "whole/write[1]"]


async def test_graphs_and_agents_are_mapped_early_too(scripted_server: ScriptedServer) -> None:
    @agent(str)
    def draft(section: Section) -> str:
        return f"draft {section.title}"

    @agent(str)
    def polish(text: str) -> str:
        return f"polish {text}"

    @graph
    def chapter(section: Section) -> str:
        return polish(draft(section))

    @graph
    def whole(task: str) -> list[str]:
        return each(chapter, concurrency=2)(listed(task))

    def answer(request: Request) -> object:
        return of("one", "two", "three") if "outlines" in request.text else request.last.split()[-1] + "!"

    scripted_server.answer(answer)

    assert (await outcome(whole, "x")).output == ["one!!", "two!!", "three!!"]


async def test_a_reply_from_the_cache_comes_at_once(scripted_server: ScriptedServer, writers: Writers) -> None:
    scripted_server.script(of("one", "two"))
    whole = whole_of(writers).with_options(cache=True)
    async with Swarm(cache=MemoryCache()) as swarm:
        first = await swarm.run(whole, "x")
        second = await swarm.run(whole, "x")

    assert first.output == second.output == ["ONE", "TWO"]
    assert [event.source for event in second.trace.events if isinstance(event, CallSaved)] == ["cache"]


async def test_a_replay_runs_the_items_of_the_list_as_it_was_in_the_end(scripted_server: ScriptedServer) -> None:
    @agent(str)
    def write(section: Section) -> str:
        return section.title

    @graph
    def whole(task: str) -> list[str]:
        return each(write)(listed(task))

    outlines = [of("one", "old", "a title that is too long for it"), of("one", "new")]
    scripted_server.answer(lambda request: outlines.pop(0) if "outlines" in request.text else request.last.upper())
    run = await outcome(whole, "x")

    async with replay(run, allow_unused=True) as swarm:
        assert (await swarm.run(whole, "x")).output == run.output == ["ONE", "NEW"]


gates: list[Gate] = []
"""What is opened when the first section is written."""


@node
async def note(section: Section) -> str:
    executes()
    await checkpoint()
    for gate in gates:
        gate.open()
    return section.title.upper()


@graph
def noted(task: str) -> list[str]:
    return each(note)(listed(task))


@node
async def shouted(text: str) -> str:
    executes()
    return f"{text}!"


@graph
def chapter(section: Section) -> str:
    return shouted(note(section))


@graph
def chapters(task: str) -> list[str]:
    return each(chapter)(listed(task))


async def begun_early(server: ScriptedServer, path: Path, whole: Node[[str], list[str]]) -> tuple[Trace, int, int]:
    """The record of a run whose first section is written before the outline: where it ends, and where the outline does."""
    reply, gate = held_after(1, of("one", "two", "three"))
    gates[:] = [gate]
    server.script(reply)
    trace = await recorded(path, whole, "x")
    ended = next(at for at, event in enumerate(trace.events) if isinstance(event, StepEnded))
    replied = next(at for at, event in enumerate(trace.events) if isinstance(event, CallEnded))
    assert ended < replied
    return trace, ended, replied


@pytest.mark.parametrize(("whole", "end"), [(noted, ""), (chapters, "!")], ids=["a node", "a graph"])
async def test_a_run_goes_on_from_any_moment(
    scripted_server: ScriptedServer, tmp_path: Path, whole: Node[[str], list[str]], end: str
) -> None:
    trace, _, replied = await begun_early(scripted_server, tmp_path / "whole.sqlite", whole)
    scripted_server.answer(lambda _: of("one", "two", "three"))

    for length in range(2, len(trace.events)):
        asked = len(scripted_server.requests)
        run = await resumed(tmp_path, trace, length, whole)
        assert run.output == [f"ONE{end}", f"TWO{end}", f"THREE{end}"]
        assert not finished(trace.events[:length]).intersection(executed), "what has finished is not executed again"
        assert len(scripted_server.requests) - asked == (0 if length > replied else 1), "the call is made again if it was open"


async def test_a_run_goes_on_though_the_model_says_something_else(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    trace, ended, _ = await begun_early(scripted_server, tmp_path / "whole.sqlite", noted)
    scripted_server.script(of("other", "two"))

    run = await resumed(tmp_path, trace, ended + 1, noted)

    assert run.output == ["OTHER", "TWO"]
    assert "noted/note[0]" in executed


async def test_a_swarm_that_is_drained_lets_what_runs_finish_and_starts_nothing_more(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    reply, gate = held_after(1, of("one", "two", "three"))
    gates.clear()
    executed.clear()
    scripted_server.script(reply)
    stopped: list[RunStopped] = []

    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:

        async def run() -> None:
            try:
                await swarm.run(noted, "x")
            except RunStopped as error:
                stopped.append(error)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(run)
                while not executed:  # noqa: ASYNC110  # a step says it
                    await anyio.sleep(0.001)
                group.start_soon(swarm.drain)
                await anyio.sleep(0.01)
                gate.open()

    assert executed == ["noted/note[0]"]
    (error,) = stopped
    assert error.run is not None
    assert error.run.trace.not_started() == ["noted/note[1]", "noted/note[2]"]
    executed.clear()
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        with anyio.fail_after(30):
            assert (await swarm.resume(error.run.id, noted)).output == ["ONE", "TWO", "THREE"]
    assert executed == ["noted/note[1]", "noted/note[2]"]


async def test_a_run_is_forked_with_what_was_begun_early(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    trace, *_ = await begun_early(scripted_server, tmp_path / "whole.sqlite", noted)
    executed.clear()

    async with Swarm(journal=tmp_path / "whole.sqlite") as swarm:
        with anyio.fail_after(30):
            run = await swarm.fork(trace.run_id, noted, outputs={"noted/listed": [Section(title="one"), Section(title="2")]})

    assert run.output == ["ONE", "2"]
    assert executed == ["noted/note[1]"]


# Kinds of outputs


class Plain(TypedDict):
    parts: list[Section]


@dataclass
class Data:
    parts: tuple[Section, ...]


class Deep(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    inner: Data = Field(alias="theInner")


class Rooted(RootModel[list[Section]]):
    pass


@agent(Plain, early=True)
def plain(task: str) -> str:
    return task


@agent(Deep, early=True)
def deep(task: str) -> str:
    return task


@agent(Rooted, early=True)
def rooted(task: str) -> str:
    return task


def kinds(writers: Writers) -> dict[str, tuple[Node[[str], list[str]], Any]]:
    write = node(writers.write, name="write")
    parts = of("one", "two")["value"]

    @graph
    def of_plain(task: str) -> list[str]:
        return each(write)(plain(task)["parts"])

    @graph
    def of_deep(task: str) -> list[str]:
        return each(write)(deep(task).inner.parts)

    @graph
    def of_root(task: str) -> list[str]:
        return each(write)(rooted(task).root)

    return {
        "plain": (of_plain, {"parts": parts}),
        "deep": (of_deep, {"theInner": {"parts": parts}}),
        "root": (of_root, {"value": parts}),
    }


@pytest.mark.parametrize("kind", ["plain", "deep", "root"])
async def test_lists_are_found_in_every_kind_of_output(scripted_server: ScriptedServer, writers: Writers, kind: str) -> None:
    whole, said = kinds(writers)[kind]
    reply, gate = held_after(1, said)
    scripted_server.script(reply)

    await run_until(whole, lambda: writers.begun == ["one"], gate)

    assert writers.begun == ["one", "two"]


def test_an_output_without_a_list_is_refused() -> None:
    with pytest.raises(GraphError, match=r"agent\(early=True\) hands on the items of a list, and Section has none"):
        agent(Section, early=True)
    with pytest.raises(GraphError, match="str has none"):
        agent(str, early=True)
    with pytest.raises(GraphError, match=r"agent\(early=\) is True or False, not 'yes'"):
        agent(list[str], early="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
