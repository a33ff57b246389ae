"""Rows of many steps: what was queued as drafts is written whole and in order, and readers see events."""

from __future__ import annotations

import gc
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmlet.errors import JournalError
from swarmlet.trace import Event, Fault, Journal, Noted, RunEnded, RunId, RunStarted, StepEnded, StepStarted
from swarmlet.trace.events import Digest
from swarmlet.trace.journal import JournalWriter, MemoryJournal, Store
from swarmlet.trace.journal import thread as thread_module
from swarmlet.trace.journal.packing import STEPS, packed, read_row, repeats
from swarmlet.trace.journal.tally import digests_of
from swarmlet.trace.record import Draft, Recorder
from tests.trace.journal_stores import postgres_url as postgres_url
from tests.trace.journal_stores import store as store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def _restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def begun(writer: JournalWriter, run: str) -> Recorder:
    recorder = Recorder(RunId(run), (writer,))
    recorder.emit(RunStarted(at=recorder.now(), run=recorder.run, name="solve", node="app:solve", version="0"))
    return recorder


def one_step(recorder: Recorder, number: int) -> None:
    recorder.draft((recorder.now(), f"solve/{number}", "app:step", 0.0, 0.0, ("number", "text"), (number, f"é {number}")))
    recorder.draft((recorder.now(), f"solve/{number}", number % 5))


def kinds(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [kind for (kind,) in connection.execute("SELECT kind FROM events ORDER BY seq")]


def settle(writer: JournalWriter) -> None:
    """Return when all is written, or will never be."""
    with suppress(JournalError):
        writer.maintain(lambda _: None)


def left_over() -> list[int]:
    """How many drafts wait in memory, for each list of them that somebody holds."""
    gc.collect()
    return [len(one.waiting) for one in gc.get_objects() if isinstance(one, thread_module.Drafts)]


def same(journal: Journal, recorder: Recorder) -> None:
    trace = journal.trace(recorder.run)
    assert list(trace.events) == recorder.events
    for event in trace.events:
        assert all(trace.content(digest) == recorder.content(digest) is not None for digest in digests_of(event))


@pytest.mark.usefixtures("_restless")
def test_what_many_threads_record_while_others_read_is_whole_and_in_order(store: Store) -> None:
    recorders: list[Recorder] = []
    problems: list[object] = []
    over = threading.Event()

    def write(seed: int) -> None:
        random, mine = Random(seed), [begun(writer, f"{seed}-{number}") for number in range(4)]
        recorders.extend(mine)
        for number in range(800):
            recorder, chance = random.choice(mine), random.random()
            if chance < 0.9:
                one_step(recorder, number)
            elif chance < 0.95:
                recorder.emit(Noted(at=recorder.now(), path="solve", message=str(number)))
            else:
                fault = Fault("ValueError", "wrong")
                recorder.emit(StepEnded(at=recorder.now(), path=f"solve/{number}", state="failed", error=fault))
        for recorder in mine:
            recorder.emit(RunEnded(at=recorder.now(), state="finished"))

    def read() -> None:
        while not over.is_set():
            problems.extend(Journal(store).verify().problems)

    with closing(JournalWriter(store)) as writer:
        begun(writer, "first").emit(RunEnded(at=0.0, state="finished"))
        threads = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
        reader = threading.Thread(target=read)
        for thread in (*threads, reader):
            thread.start()
        for thread in threads:
            thread.join()
        over.set()
        reader.join()
    assert writer.error is None
    assert problems == []
    for recorder in recorders:
        same(Journal(store), recorder)
    assert Journal(store).verify().problems == ()


def test_steps_share_rows_and_other_events_have_their_own(path: Path) -> None:
    with closing(JournalWriter(path)) as writer:
        recorder = begun(writer, "a")
        for number in range(100):
            one_step(recorder, number)
        recorder.emit(Noted(at=recorder.now(), path="solve", message="half"))
        one_step(recorder, 100)
        recorder.emit(RunEnded(at=recorder.now(), state="finished"))
    found = kinds(path)
    assert {STEPS, "run_started", "noted", "run_ended"} == set(found)
    assert len(found) < 50
    assert (Journal(path).find("a").steps, Journal(path).find("a").state) == (101, "finished")
    same(Journal(path), recorder)


def test_more_than_can_wait_is_written_too(path: Path) -> None:
    with closing(JournalWriter(path)) as writer:
        recorder = begun(writer, "a")
        for number in range(3 * thread_module.HIGH_WATER):
            one_step(recorder, number)
    same(Journal(path), recorder)


class Counted:
    """How often an event loop had to wait for a writer's thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits = 0
        wait = thread_module.WriterThread.wait

        def counted(thread: thread_module.WriterThread) -> None:
            self.waits += 1
            wait(thread)

        monkeypatch.setattr(thread_module.WriterThread, "wait", counted)


def full(*_: object) -> None:
    raise JournalError("the disk is full")


def test_after_writing_has_failed_drafts_neither_wait_nor_pile_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    with closing(JournalWriter(path)) as writer:
        recorder = begun(writer, "a")
        settle(writer)
        monkeypatch.setattr("swarmlet.trace.journal.sqlite.SqliteBackend.append", full)
        for number in range(5 * thread_module.HIGH_WATER):
            one_step(recorder, number)
        settle(writer)
        assert "the disk is full" in str(writer.error)
        assert sum(left_over()) == 0
        assert counted.waits < 50
    assert [event.kind for event in Journal(path).trace("a").events] == ["run_started"]


def test_drafts_of_a_run_that_another_writer_has_are_dropped() -> None:
    store = MemoryJournal()
    with closing(JournalWriter(store)) as writer, closing(JournalWriter(store)) as other:
        mine = begun(writer, "a")
        settle(writer)
        theirs = Recorder(RunId("a"), (other,))
        one_step(theirs, 1)
        settle(other)
        assert other.taken(theirs.run)
        assert sum(left_over()) == 0
        one_step(mine, 2)
    same(Journal(store), mine)


def test_nothing_is_remembered_of_runs_that_have_ended_were_let_go_of_or_come_too_late(path: Path) -> None:
    with closing(JournalWriter(path)) as writer:
        for run in ("a", "b"):
            one_step(begun(writer, run), 1)
        settle(writer)
        assert left_over() == [0, 0]
        writer.event(RunId("a"), RunEnded(at=9e9, state="finished"))
        writer.release(RunId("b"))
        settle(writer)
        assert left_over() == []
    one_step(Recorder(RunId("c"), (writer,)), 1)
    assert left_over() == []
    assert [run.id for run in Journal(path).runs()] == ["b", "a"]


# Rows


def is_failure(event: Event) -> bool:
    return isinstance(event, StepEnded) and event.error is not None


Item = Draft | StepEnded

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
scalars = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | texts
times = st.floats(0, 1e10)
begins = st.tuples(times, texts, texts, times, times, st.just(("x", "y")), st.tuples(scalars, scalars))
drafts: st.SearchStrategy[Item] = begins | st.tuples(times, texts, scalars) | st.tuples(times, texts)


@st.composite
def failures(draw: st.DrawFn) -> StepEnded:
    return StepEnded(at=draw(times), path="p", state="failed", error=Fault("E", draw(st.text(max_size=9))))


@settings(deadline=None)
@given(items=st.lists(drafts | failures(), min_size=1, max_size=9))
def test_a_row_gives_the_events_and_values_that_went_into_it(items: list[Item]) -> None:
    recorder = Recorder(RunId("a"))
    recorder.log += items
    ((run, row),) = packed([(recorder.run, [one] if isinstance(one, tuple) else one) for one in items])
    assert run == recorder.run
    values: dict[Digest, bytes] = {}
    events = read_row(row, run, "here", values)
    whole = [one for one in recorder.events if not is_failure(one)]
    assert [one for one in events if not is_failure(one)] == whole  # a fault's text may hold half a surrogate pair
    assert len(events) == len(recorder.events)
    assert all(values[digest] == recorder.content(digest) for event in whole for digest in digests_of(event))
    assert repeats(row, events)


@pytest.mark.parametrize("text", ["{", "[1]", "[[]]", "[[1.0]]", '[["x", "y"]]', "[[1.0, 2]]", "[[1, 2, 3, 4]]", "{}", "[{}]"])
def test_a_damaged_row_of_steps_is_told_as_such(path: Path, text: str) -> None:
    with closing(JournalWriter(path)) as writer:
        one_step(begun(writer, "a"), 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE events SET event = ? WHERE kind = 'steps'", (text,))
        connection.commit()
    with pytest.raises(JournalError, match="damaged"):
        Journal(path).trace("a")
    (problem, *_) = Journal(path).verify().problems
    assert "event 2" in problem


def test_a_file_of_format_2_is_read_as_it_is_and_changed_by_its_next_writer(path: Path) -> None:
    with closing(JournalWriter(path)) as writer:
        old = Recorder(RunId("a"), (writer,))
        old.emit(RunStarted(at=1.0, run=old.run, name="solve", node="app:solve", version="0"))
        old.emit(Noted(at=2.0, path="solve", message="old"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    before = path.read_bytes()
    same(Journal(path), old)
    assert path.read_bytes() == before
    with closing(JournalWriter(path)) as writer:
        one_step(begun(writer, "b"), 1)
    same(Journal(path), old)
    assert Journal(path).find("b").steps == 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


def test_values_that_only_rows_of_steps_name_are_not_deleted(path: Path) -> None:
    with closing(JournalWriter(path)) as writer:
        recorder = begun(writer, "a")
        digest = recorder.keep_json(b'"long"')
        recorder.emit(StepStarted(at=1.0, path="solve/x", node="app:x", inputs={"text": digest}))
        one_step(recorder, 1)
        gone = begun(writer, "b")
        gone.keep_json(b'"gone"')
        gone.emit(RunEnded(at=2.0, state="finished"))
    assert Journal(path).prune(keep=0).contents == 1
    same(Journal(path), recorder)
