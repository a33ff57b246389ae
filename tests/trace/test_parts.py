"""Pictures in the record: each is there once, and every value comes back with it."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import Again, Done, Image, JournalError, StepFailed, Suspended, Swarm, agent, ask, graph, loop, node
from swarmlet.cli.main import main
from swarmlet.testing import ScriptedServer, replay, save_recording
from swarmlet.trace import Journal, PartsKept, Trace, read_export
from swarmlet.trace.parts import SHORT, put_together, taken_apart, without_letters
from swarmlet.trace.record import digest_of

pytestmark = pytest.mark.anyio


def picture(size: int = 30_000) -> Image:
    return Image.of(b"\x89PNG\r\n\x1a\n" + os.urandom(size))


@dataclass(frozen=True)
class Scan:
    name: str
    picture: Image


@dataclass(frozen=True)
class State:
    scan: Scan
    last: str = ""


@agent(str)
def look(state: State) -> list[str | Image]:
    return ["again" if state.last else "what is it?", state.scan.picture]


@node
def judge(state: State, said: str) -> Again[State] | Done[State]:
    return Done(State(state.scan, said)) if state.last else Again(State(state.scan, said))


@graph
def body(state: State) -> Again[State] | Done[State]:
    return judge(state, look(state))


@graph
def seen(scan: Scan) -> State:
    return loop(body, rounds=2)(State(scan))


def times(journal: Path, run: str, one: Image) -> int:
    return "".join(Journal(journal).export(run)).count(one.url[-200:])


# Taken apart and put together


def urls() -> st.SearchStrategy[str]:
    letters = st.binary(min_size=0, max_size=4 * SHORT).map(lambda content: b64encode(content).decode())
    return letters.map(lambda text: f"data:image/png;base64,{text}") | st.text(max_size=50)


@given(
    st.recursive(urls(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3))
)
def test_a_value_is_put_together_as_it_was(value: object) -> None:
    content = json.dumps(value, separators=(",", ":")).encode()
    apart, parts = taken_apart(content, digest_of)
    assert put_together(apart, parts.get) == content
    assert all(digest_of(part) == digest for digest, part in parts.items())
    json.loads(apart)


def test_what_somebody_says_is_never_taken_for_a_picture() -> None:
    one = picture()
    apart, parts = taken_apart(json.dumps(one.url).encode(), digest_of)
    said = json.dumps(json.loads(apart)).encode()  # as anybody would write it who has seen it
    assert len(said) < 80
    assert put_together(said, parts.get) == said
    escaped = json.dumps(apart.decode()).encode()
    assert put_together(escaped, parts.get) == escaped


def test_a_short_picture_and_one_whose_letters_are_lost_stay_as_they_are() -> None:
    short = json.dumps(picture(300).url).encode()
    assert taken_apart(short, digest_of) == (short, {})
    apart, _ = taken_apart(json.dumps(picture().url).encode(), digest_of)
    assert put_together(apart, lambda _: None) == apart


def test_a_reader_sees_the_beginning_of_a_picture_and_how_long_it_is() -> None:
    assert without_letters(f"a data:image/png;base64,{'A' * 20}{'B' * 500} b") == (
        f"a data:image/png;base64,{'A' * 20}... (500 more) b"
    )


# In runs


async def test_a_picture_is_recorded_once_however_many_values_hold_it(tmp_path: Path, scripted_server: ScriptedServer) -> None:
    scripted_server.script("a cat", "a dog")
    one = picture()
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        result = await swarm.run(seen, Scan("x", one))
    assert result.output.scan.picture == one
    assert times(tmp_path / "runs.sqlite", result.id, one) == 1
    kept = [event for event in result.trace.events if isinstance(event, PartsKept)]
    assert [len(event.parts) for event in kept] == [1]
    for trace in (
        result.trace,
        Journal(tmp_path / "runs.sqlite").trace(result.id),
        read_export(Journal(tmp_path / "runs.sqlite").export(result.id)),
    ):
        assert pictures(trace) == [one.url] * 2


def pictures(trace: Trace) -> list[str]:
    asked = [trace.request(call) for step in trace.steps() for call in step.calls]
    messages = [cast("list[dict[str, list[dict[str, str]]]]", (request or {})["messages"]) for request in asked]
    return [message[-1]["content"][1]["url"] for message in messages]


async def test_a_run_with_pictures_goes_on_where_it_failed_and_pays_for_nothing_twice(
    tmp_path: Path, scripted_server: ScriptedServer
) -> None:
    scripted_server.script("a cat", "a dog")
    one, ready = picture(), list[bool]()

    @node
    def gate(state: State) -> State:
        if not ready:
            raise ValueError("not yet")
        return state

    @graph
    def flow(scan: Scan) -> State:
        return gate(seen(scan))

    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(flow, Scan("x", one))
    ready.append(True)
    assert caught.value.run is not None
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        result = await swarm.resume(caught.value.run.id, flow)
        forked = await swarm.fork(result.id, flow)
    assert result.output == forked.output == State(Scan("x", one), "a dog")
    assert (result.usage.requests, forked.usage.requests) == (2, 0)
    assert times(tmp_path / "runs.sqlite", result.id, one) == times(tmp_path / "runs.sqlite", forked.id, one) == 1


async def test_an_answer_with_a_picture_waits_in_the_journal(tmp_path: Path) -> None:
    one = picture()
    upload = ask(Image, "Which picture?")

    @graph
    def flow() -> Image:
        return upload()

    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(flow)
        assert caught.value.run is not None
        run = caught.value.run.id
        await swarm.answer(run, caught.value.questions[0], one)
        assert [summary.state for summary in Journal(tmp_path / "runs.sqlite").runs()] == ["suspended"]
        assert Journal(tmp_path / "runs.sqlite").trace(run).state == "suspended"
        assert (await swarm.resume(run, flow)).output == one


async def test_a_recording_of_a_run_is_replayed_for_the_same_picture(tmp_path: Path, scripted_server: ScriptedServer) -> None:
    scripted_server.script("a cat", "a dog")
    one = picture()
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        result = await swarm.run(seen, Scan("x", one))
    save_recording(Journal(tmp_path / "runs.sqlite").trace(result.id), tmp_path / "seen.jsonl")
    async with replay(tmp_path / "seen.jsonl") as swarm:
        again = await swarm.run(seen, Scan("x", one))
    assert again.output == result.output


async def test_readers_are_shown_no_letters(
    tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted_server.script("a cat", "a dog")
    one = picture()
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        result = await swarm.run(seen, Scan("x", one))
    monkeypatch.setenv("SWARMLET_JOURNAL", str(tmp_path / "runs.sqlite"))
    assert main(["show", result.id, "--path", "seen/body[0]/look"]) == 0
    shown = capsys.readouterr().out
    assert "data:image/png;base64,iVBOR" in shown
    assert one.url[100:300] not in shown


async def test_values_that_runs_have_are_not_pruned_with_others(tmp_path: Path, scripted_server: ScriptedServer) -> None:
    scripted_server.script("a cat", "a dog", "a cat", "a dog")
    one, other = picture(), picture()
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        gone = await swarm.run(seen, Scan("x", one))
        stays = await swarm.run(seen, Scan("y", other))
    assert main(["--journal", str(tmp_path / "runs.sqlite"), "journal", "prune", "--keep", "1"]) == 0
    journal = Journal(tmp_path / "runs.sqlite")
    assert [run.id for run in journal.runs()] == [stays.id]
    assert pictures(journal.trace(stays.id)) == [other.url] * 2
    with pytest.raises(JournalError):
        journal.trace(gone.id)
    (parts,) = (event.parts for event in gone.trace.events if isinstance(event, PartsKept))
    assert journal.trace(stays.id).content(parts[0]) is None
