from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmlet.errors import JournalError
from swarmlet.trace import CallEnded, Event, Fault, Journal, Noted, RunEnded, RunId, TextDelta, ToolStarted
from swarmlet.trace.events import Digest
from swarmlet.trace.journal import JournalWriter
from swarmlet.trace.journal import thread as thread_module
from swarmlet.trace.journal.sqlite_file import reading
from tests.trace.build import (
    ROOT,
    end,
    endless_writer,
    events_of,
    files_beside,
    note,
    numbers,
    paid,
    start,
    writer_threads,
    writing,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


async def test_a_flushed_event_is_there_for_others_at_once(path: Path) -> None:
    with writing(path) as writer:
        recorder = start(writer, "a")
        for number in range(5):
            note(recorder, number)
            await writer.flush()
            assert numbers(path, "a") == list(range(number + 1))
    assert events_of(path, "a") == recorder.events


async def test_closing_writes_what_was_not_flushed(path: Path) -> None:
    with writing(path) as writer:
        recorder = start(writer, "a")
        for number in range(100):
            note(recorder, number)
    assert numbers(path, "a") == list(range(100))


async def test_pieces_of_text_are_not_kept(path: Path) -> None:
    with writing(path) as writer:
        recorder = start(writer, "a")
        recorder.tell(TextDelta(at=1, path="a", turn=1, attempt=1, text="Hel"))
    assert events_of(path, "a") == recorder.events


async def test_a_value_is_kept_once_for_all_runs(path: Path) -> None:
    with writing(path) as writer:
        for run in ("a", "b"):
            note(start(writer, run), 7)
    with reading(path) as (connection, _):
        assert connection.execute("SELECT content FROM contents").fetchall() == [(b'"value 7"',)]
    assert numbers(path, "a") == numbers(path, "b") == [7]


async def test_a_cancelled_flush_changes_nothing(path: Path) -> None:
    with writing(path) as writer:
        recorder = start(writer, "a")
        note(recorder, 0)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await writer.flush()
        assert scope.cancelled_caught
        note(recorder, 1)
        await writer.flush()
        assert numbers(path, "a") == [0, 1]


async def test_many_tasks_flush_at_the_same_time(path: Path) -> None:
    async def task(run: str) -> None:
        recorder = start(writer, run)
        for number in range(20):
            note(recorder, number)
            await writer.flush()
            assert len(recorder.events) == number + 2

    with writing(path) as writer:
        async with anyio.create_task_group() as tasks:
            for run in range(20):
                tasks.start_soon(task, f"run-{run}")
    assert all(numbers(path, f"run-{run}") == list(range(20)) for run in range(20))


def test_two_event_loops_use_one_writer(path: Path) -> None:
    async def run(name: str) -> None:
        recorder = start(writer, name)
        for number in range(200):
            note(recorder, number)
            await writer.flush()

    with writing(path) as writer:
        threads = [
            threading.Thread(target=anyio.run, args=(run, backend), kwargs={"backend": backend})
            for backend in ("asyncio", "trio")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert numbers(path, "asyncio") == numbers(path, "trio") == list(range(200))


async def test_a_flood_waits_for_the_disk_while_a_flush_is_pending(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0

    class Watched(SimpleQueue[object]):
        def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:
            nonlocal longest
            super().put(item, block, timeout)
            longest = max(longest, self.qsize())

    monkeypatch.setattr(thread_module, "SimpleQueue", Watched)
    monkeypatch.setattr(thread_module, "HIGH_WATER", 50)
    with writing(path) as writer:
        recorder = start(writer, "a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.flush)
            await anyio.lowlevel.checkpoint()
            for number in range(2_000):
                note(recorder, number)
    assert longest <= 53  # and what waits for the queue is in it too
    assert numbers(path, "a") == list(range(2_000))


async def test_flush_and_records_after_close_do_nothing(path: Path) -> None:
    with writing(path) as writer:
        recorder = start(writer, "a")
    note(recorder, 0)
    await writer.flush()
    writer.close()
    assert numbers(path, "a") == []


def test_writers_of_one_process_share_a_thread_until_the_last_is_closed(path: Path) -> None:
    before = writer_threads()
    with writing(path) as first, writing(path.parent / "." / path.name) as second:
        assert len(writer_threads()) == len(before) + 1
        note(start(first, "a"), 1)
        first.close()
        note(start(second, "b"), 2)
        second.close()
    assert writer_threads() == before
    assert (numbers(path, "a"), numbers(path, "b")) == ([1], [2])


def test_a_closed_journal_is_one_private_file_and_its_lock(path: Path) -> None:
    with writing(path) as writer:
        start(writer, "a")
    assert files_beside(path) == {"journal.sqlite", "journal.sqlite-lock"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "state" / "swarmlet" / "what? a #1% name.sqlite"
    with writing(path) as writer:
        note(start(writer, "a"), 1)
    assert numbers(path, "a") == [1]


def test_a_second_process_is_refused_by_name(path: Path) -> None:
    with endless_writer(path, "theirs") as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(JournalError, match=rf"being written by another process \(pid {process.pid}\)"):
            JournalWriter(path)
        assert numbers(path, "theirs")  # while reading is allowed


@pytest.mark.parametrize("lines", [1, 2, 3, 10, 40, 100])
def test_a_killed_process_leaves_a_prefix_that_holds_all_it_knew_durable(path: Path, lines: int) -> None:
    for run in ("first", "second"):  # the second has to take over what the first left
        with endless_writer(path, run) as process:
            assert process.stdout is not None
            known = [int(process.stdout.readline()) for _ in range(lines)][-1]
            process.kill()
            process.wait()
        before = files_beside(path)
        found = numbers(path, run)
        assert found == list(range(len(found)))
        assert len(found) > known
        assert Journal(path).find(run).state == "lost"
        assert files_beside(path) == before
    with writing(path) as writer:
        note(start(writer, "third"), 3)
    assert numbers(path, "third") == [3]


def test_a_run_goes_on_in_a_later_process(path: Path) -> None:
    with writing(path) as writer:
        recorder = start(writer, "a", at=10)
        paid(recorder, at=11)
        recorder.emit(RunEnded(at=12, state="failed", error=Fault("Suspended", "")))
    assert Journal(path).find("a").state == "failed"
    with writing(path) as writer:
        recorder.sinks = (writer,)
        paid(recorder, at=100, usd=None)
        writer.close()
        (again,) = Journal(path).runs()
        assert (again.state, again.seconds, again.steps) == ("lost", 90, 2)
    with writing(path) as writer:
        recorder.sinks = (writer,)
        end(recorder, at=110)
    (summary,) = Journal(path).runs()
    assert (summary.state, summary.seconds, summary.steps) == ("finished", 100, 2)
    assert summary.usage == Journal(path).trace("a").usage
    assert events_of(path, "a") == recorder.events


async def test_half_a_surrogate_pair_does_not_stop_the_journal(path: Path) -> None:
    with writing(path) as writer:
        recorder = start(writer, "a", name="solve \ud83d")
        recorder.emit(ToolStarted(at=1, path="solve/\udcff", turn=1, id="\ud83d", tool="search"))
        await writer.flush()
        assert writer.error is None
    (_, tool) = events_of(path, "a")
    assert tool == ToolStarted(at=1, path="solve/?", turn=1, id="?", tool="search")


FORK = """
import os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.trace.build import note, start, writing
from swarmlet.errors import JournalError
from swarmlet.trace.journal import JournalWriter

path = Path(sys.argv[1])
with writing(path) as writer:
    start(writer, "a")
    if not os.fork():
        try:
            JournalWriter(path)
        except JournalError as error:
            print(error, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX")
def test_a_forked_child_may_not_write_its_parents_journal(path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(path), ROOT]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "being written by another process" in done.stdout
    assert len(events_of(path, "a")) == 1


text = st.text(st.characters(exclude_categories=["Cs"]))
times = st.floats(allow_nan=False, allow_infinity=False)
digests = st.none() | text.map(Digest)
faults = st.builds(Fault, type=text, message=text)
states = st.sampled_from(["finished", "failed", "cancelled"])


events = (
    st.builds(Noted, at=times, path=text, message=text)
    | st.builds(RunEnded, at=times, state=states, output=digests, error=st.none() | faults)
    | st.builds(
        CallEnded,
        at=times,
        path=text,
        turn=st.integers(1, 9),
        attempt=st.integers(1, 9),
        state=states,
        usd=st.none() | text,
        reply=digests,
        error=st.none() | faults,
        first_token=st.none() | times,
    )
)


@settings(max_examples=30, deadline=None)
@given(st.lists(events, max_size=20))
def test_events_come_back_as_they_were(happened: list[Event]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        with writing(path) as writer:
            recorder = start(writer, "a")
            for event in happened:
                recorder.emit(event)
        assert events_of(path, "a") == recorder.events


def test_events_of_runs_that_were_mixed_come_back_apart(path: Path) -> None:
    with writing(path) as writer:
        recorders = [start(writer, run) for run in ("a", "b", "c")]
        for number in range(30):
            note(recorders[number % 3], number)
    assert numbers(path, "b") == list(range(1, 30, 3))
    assert Journal(path).trace("b").run_id == RunId("b")
