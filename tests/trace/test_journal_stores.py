"""What every store of journals does: files of SQLite, memory, and a real Postgres."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from time import time

import anyio
import pytest

from swarmlet.errors import JournalError, RunTaken
from swarmlet.trace import Journal, RunId, read_export
from swarmlet.trace.events import Digest, State
from swarmlet.trace.journal import JournalWriter, Pruned, Store
from swarmlet.trace.read import StepState
from tests.trace.journal_stores import Playing, postgres_url, store

__all__ = ["postgres_url", "store"]
pytestmark = pytest.mark.anyio


def states(store: Store) -> dict[str, StepState]:
    return {run.id: run.state for run in Journal(store).runs()}


def whole(store: Store) -> None:
    assert Journal(store).verify().problems == ()


async def test_what_was_flushed_is_there_for_others_and_all_of_it(store: Store) -> None:
    with closing(store.open()) as writer:
        play = Playing(writer).start(task={"text": "Add"}).step("solve/write", "return a + b")
        await writer.flush()
        assert writer.error is None
        trace = Journal(store).trace("a")
        assert list(trace.events) == play.events
        assert trace.output("solve/write") == "return a + b"
        assert states(store) == {"a": "running"}
        play.end()
    assert states(store) == {"a": "finished"}
    whole(store)


async def test_runs_are_listed_newest_first_by_name_and_by_state(store: Store) -> None:
    with closing(store.open()) as writer:
        ended: tuple[State, ...] = ("finished", "failed", "cancelled", "drained", "suspended")
        for number, state in enumerate(ended):
            Playing(writer, f"r{number}", at=number, name="odd" if number % 2 else "even").start().end(state)
        Playing(writer, "r5", at=5).start()
        await writer.flush()
        journal = Journal(store)
        assert [run.id for run in journal.runs()] == ["r5", "r4", "r3", "r2", "r1", "r0"]
        assert [run.id for run in journal.runs(name="odd", limit=1)] == ["r3"]
        assert [run.id for run in journal.runs(state="suspended")] == ["r4"]
        assert [run.id for run in journal.runs(state="running")] == ["r5"]
        assert journal.runs(state="lost") == []
        assert journal.runs(limit=0) == []
    assert journal.find("r5").state == "lost"
    assert [run.id for run in journal.runs(state="lost")] == ["r5"]
    assert journal.runs(state="running") == []
    with pytest.raises(JournalError, match="no run is ever in the state"):
        journal.runs(state="gone")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_run_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    with closing(store.open()) as writer:
        for run in ("ab", "a", "B", "a%", "ä"):
            Playing(writer, run).start().end()
    journal = Journal(store)
    assert [journal.find(run).id for run in ("a", "ab", "B", "a%", "ä")] == ["a", "ab", "B", "a%", "ä"]
    for run in ("b", "%", "c", ""):
        with pytest.raises(JournalError, match="there is no run"):
            journal.find(run)


async def test_tallies_go_on_when_a_run_is_resumed_by_another_writer(store: Store) -> None:
    with closing(store.open()) as writer:
        first = Playing(writer, at=10).start().step("solve/a").end("failed")
    with closing(store.open()) as writer:
        again = Playing(writer, at=100).resume().step("solve/b", usd="0.002")
        await writer.flush()
        summary = Journal(store).find("a")
        assert (summary.state, summary.steps, summary.usage.requests) == ("running", 2, 2)
        again.end("drained").resume(2).step("solve/c").end()
    summary, trace = Journal(store).find("a"), Journal(store).trace("a")
    assert list(trace.events) == [*first.events, *again.events]
    assert (summary.state, summary.seconds, summary.usage) == (trace.state, trace.seconds, trace.usage)
    assert (summary.steps, str(summary.usage.usd)) == (3, "0.004")
    whole(store)


async def test_an_answer_after_the_end_of_a_suspended_run_leaves_it_suspended(store: Store) -> None:
    with closing(store.open()) as writer:
        Playing(writer).start().ask("solve/ask").end("suspended")
    with closing(store.open()) as writer:
        Playing(writer, at=2_000).answer("solve/ask")
    journal = Journal(store)
    assert states(store) == {"a": "suspended"}
    assert journal.trace("a").state == "suspended"
    assert journal.find("a").seconds == journal.trace("a").seconds
    assert journal.inbox() == []
    whole(store)


async def test_the_inbox_has_the_open_questions_of_runs_that_may_go_on(store: Store) -> None:
    with closing(store.open()) as writer:
        Playing(writer, "done", at=0).start().ask("solve/q").end()
        Playing(writer, "failed", at=10).start().ask("solve/q").end("failed")
        Playing(writer, "old", at=20).start().ask("solve/first").ask("solve/second").answer("solve/first").end("suspended")
        again = Playing(writer, "again", at=40, name="other").start().ask("solve/q", "First?").end("suspended")
        again.resume().ask("solve/q", "Second?", until=99.0).end("suspended")
        Playing(writer, "live", at=60).start().answer("solve/q").ask("solve/q")
        await writer.flush()
        found = Journal(store).inbox()
    assert [(question.run, question.path) for question in found] == [
        ("live", "solve/q"),
        ("again", "solve/q"),
        ("old", "solve/second"),
    ]
    question = found[1]
    assert (question.name, question.text, question.about, question.tool) == ("other", "Second?", "approval", "delete")
    assert (question.answers, question.arguments) == ({"type": "boolean"}, {"file": "x"})
    assert (question.since, question.until) == (42.0, 99.0)


async def test_questions_are_there_without_their_texts_where_capture_is_off(store: Store) -> None:
    with closing(store.open()) as writer:
        play = Playing(writer)
        play.recorder.capture = False
        play.start().ask("solve/q").end("suspended")
    (question,) = Journal(store).inbox()
    assert (question.text, question.answers, question.arguments) == (None, None, None)


async def test_the_values_of_a_long_run_are_all_there_in_any_order(store: Store) -> None:
    with closing(store.open()) as writer:
        play = Playing(writer).start(task="x")
        for number in range(300):
            play.step(f"solve/step[{number}]", number)
        play.end()
    trace = Journal(store).trace("a")
    for number in (*range(300), *range(299, -1, -7)):
        assert trace.output(f"solve/step[{number}]") == number
    assert trace.content(Digest("0" * 32)) is None


# Claims


async def test_a_run_that_goes_on_in_this_process_cannot_be_claimed_again(store: Store) -> None:
    with closing(store.open()) as writer, closing(store.open()) as other:
        await writer.claim(RunId("a"))
        for who in (writer, other):
            with pytest.raises(RunTaken, match="goes on in this process"):
                await who.claim(RunId("a"))
        await other.claim(RunId("b"))
        assert not writer.taken(RunId("a"))
        writer.release(RunId("a"))
        await other.claim(RunId("a"))
        other.close()
        await writer.claim(RunId("a"))


async def test_a_claim_that_nobody_waits_for_any_more_is_let_go_of(store: Store) -> None:
    with closing(store.open()) as writer:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await writer.claim(RunId("a"))
        await writer.flush()
        await writer.claim(RunId("a"))


async def test_claims_of_a_writer_end_when_it_is_closed(store: Store) -> None:
    with closing(store.open()) as writer, closing(store.open()) as other:
        await writer.claim(RunId("a"))
        Playing(writer).start()
        writer.close()
        assert states(store) == {"a": "lost"}
        await other.claim(RunId("a"))
        Playing(other).resume()
        await other.flush()
        assert states(store) == {"a": "running"}
        other.release(RunId("a"))
        await other.flush()
        assert states(store) == {"a": "lost"}


async def test_what_a_writer_says_of_a_run_that_it_has_not_got_is_not_written(store: Store) -> None:
    with closing(store.open()) as writer, closing(store.open()) as other:
        await writer.claim(RunId("a"))
        play = Playing(writer).start()
        Playing(other, at=9).step("solve/stranger")
        Playing(other, "b").start().end()
        await other.flush()
        assert other.taken(RunId("a"))
        assert not writer.taken(RunId("a"))
        assert not other.taken(RunId("b"))
        play.end()
        await writer.flush()
        assert list(Journal(store).trace("a").events) == play.events


async def test_anybody_may_answer(store: Store) -> None:
    with closing(store.open()) as writer, closing(store.open()) as other:
        await writer.claim(RunId("a"))
        Playing(writer).start().ask("solve/q")
        await writer.flush()
        Playing(other, at=2_000).answer("solve/q")
        await other.flush()
        assert Journal(store).inbox() == []
        assert states(store) == {"a": "running"}
        assert not other.taken(RunId("a"))


async def test_a_run_may_be_written_without_a_claim_and_is_let_go_of_when_it_ends(store: Store) -> None:
    with closing(store.open()) as writer, closing(store.open()) as other:
        Playing(writer).start()
        await writer.flush()
        with pytest.raises(RunTaken):
            await other.claim(RunId("a"))
        Playing(writer, at=2_000).end()
        await writer.flush()
        await other.claim(RunId("a"))


# Growth


async def test_bytes_grow_with_what_is_new(store: Store) -> None:
    """Four times the steps take four times the room: rows for each step, and each value once."""
    prompt = "The same long prompt. " * 500

    def size(run: str) -> int:
        return sum(len(line) for line in Journal(store).export(run))

    sizes: list[int] = []
    for steps in (50, 100, 200):
        with closing(store.open()) as writer:
            play = Playing(writer, f"r{steps}").start(prompt=prompt)
            for number in range(steps):
                play.step(f"solve/step[{number}]", f"reply {number} of {steps}")
                play.keep(prompt)
            play.end()
        sizes.append(size(f"r{steps}"))
    assert (sizes[2] - sizes[1]) / (sizes[1] - sizes[0]) == pytest.approx(2, rel=0.05)
    with store.looking() as look:
        assert sum(len(prompt) - 10 < len(content) for _, content in look.contents()) == 1


# Pruning


async def filled(store: Store) -> None:
    with closing(store.open()) as writer:
        for number in range(4):
            Playing(writer, f"done{number}", at=100.0 * number).start(task="shared").step("solve/a", f"own {number}").end()
        resumable: tuple[State, ...] = ("failed", "cancelled", "drained", "suspended")
        for state in resumable:
            Playing(writer, state, at=1_000.0).start(task=state).end(state)
        Playing(writer, "lost", at=1_100.0).start(task="lost")
        await writer.flush()


def left(store: Store) -> list[str]:
    return sorted(run.id for run in Journal(store).runs())


async def test_pruning_deletes_old_finished_runs_and_what_only_they_named(store: Store) -> None:
    await filled(store)
    with store.looking() as look:
        before = len(list(look.contents()))
    journal = Journal(store)
    pruned = journal.prune(keep=2)
    assert pruned == Pruned(runs=2, events=12, contents=2)
    assert left(store) == ["cancelled", "done2", "done3", "drained", "failed", "lost", "suspended"]
    whole(store)
    assert journal.trace("done2").output("solve/a") == "own 2"
    assert journal.trace("done2").value(journal.trace("done2").started.inputs["task"]) == "shared"
    with store.looking() as look:
        assert len(list(look.contents())) == before - 2
    journal.vacuum()
    assert journal.prune(older_than=timedelta(seconds=time() - 210)) == Pruned(1, 6, 1)
    assert journal.prune(older_than=timedelta(0)) == Pruned(1, 6, 4), "with the values that all of them had named"
    assert left(store) == ["cancelled", "drained", "failed", "lost", "suspended"]
    whole(store)


async def test_runs_that_can_be_resumed_are_deleted_only_if_that_is_asked_for(store: Store) -> None:
    await filled(store)
    journal = Journal(store)
    assert journal.prune(keep=0).runs == 4
    assert journal.prune(keep=0, states=["failed", "lost"]).runs == 2
    assert journal.prune(keep=0, states=["suspended", "cancelled", "drained"]).runs == 3
    assert journal.runs() == []
    whole(store)
    with store.looking() as look:
        assert list(look.contents()) == []


async def test_a_run_that_goes_on_is_never_deleted_and_neither_are_its_values(store: Store) -> None:
    await filled(store)
    with closing(store.open()) as writer:
        for run in ("failed", "lost", "new"):
            await writer.claim(RunId(run))
        play = Playing(writer, "new").start()
        digest = play.keep("not named yet")
        await writer.flush()
        journal = Journal(store)
        assert journal.prune(keep=0, states=["finished", "failed", "lost"]).runs == 4
        assert left(store) == ["cancelled", "drained", "failed", "lost", "new", "suspended"]
        assert digest is not None
        assert journal.content(digest) == b'"not named yet"'
        with pytest.raises(JournalError, match="cannot be deleted"):
            journal.prune(keep=0, states=["running"])


@pytest.mark.parametrize(
    ("rule", "says"),
    [({}, "say which runs"), ({"keep": -1}, "no less than 0"), ({"older_than": timedelta(-1)}, "no less than 0")],
)
async def test_a_rule_that_makes_no_sense_deletes_nothing(store: Store, rule: dict[str, int], says: str) -> None:
    await filled(store)
    with pytest.raises(JournalError, match=says):
        Journal(store).prune(**rule)  # type: ignore[arg-type]
    assert len(left(store)) == 9


# Exporting


async def test_an_export_read_back_is_the_same_trace(store: Store) -> None:
    with closing(store.open()) as writer:
        play = Playing(writer, at=0.1).start(task={"text": "ä 🎈 \x00 \u2028"}).step("solve/a", [1.5, None, "x" * 10_000]).end()
    lines = list(Journal(store).export("last"))
    trace = read_export(lines)
    assert list(trace.events) == play.events
    assert trace.value(trace.started.inputs["task"]) == {"text": "ä 🎈 \x00 \u2028"}
    assert trace.output("solve/a") == [1.5, None, "x" * 10_000]
    for line in lines:
        assert line.isascii()
        assert "\n" not in line
        assert line == json.dumps(json.loads(line), sort_keys=True)


async def test_every_store_exports_the_same_lines(store: Store, tmp_path: object) -> None:
    with closing(store.open()) as writer, closing(JournalWriter(f"{tmp_path}/other.sqlite")) as other:
        for each in (writer, other):
            Playing(each).start(task="x").step("solve/a", "y").end()
    assert list(Journal(store).export("a")) == list(Journal(f"{tmp_path}/other.sqlite").export("a"))


async def test_half_a_surrogate_pair_and_nul_do_not_stop_the_journal(store: Store) -> None:
    with closing(store.open()) as writer:
        Playing(writer, name="so\0lve \ud83d").start(task="nul \0").step("solve/\udcff\0", "\0").end()
        await writer.flush()
        assert writer.error is None
    assert Journal(store).find("a").state == "finished"
    whole(store)


async def test_a_value_that_nobody_has_recorded_is_none(store: Store) -> None:
    with closing(store.open()) as writer:
        Playing(writer).start().end()
    assert Journal(store).content(Digest("0" * 32)) is None
