"""Files of SQLite: older formats, who holds them, hostile contents, and the room that they take."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmlet.errors import JournalError, SwarmletError
from swarmlet.trace import Journal, MemoryJournal, RunId, SqliteJournal, read_export
from swarmlet.trace.journal import JournalWriter, store_of
from tests.trace.build import ROOT, endless_writer, files_beside, note, numbers, start, writing
from tests.trace.journal_stores import Playing

FORMAT_1 = Path(__file__).with_name("journal_format_1.sql")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def old(path: Path) -> Path:
    """A journal of format 1: a run that finished, one that failed, one that asks, one that was killed."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FORMAT_1.read_text("utf-8"))
    return path


def format_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


# Formats


def test_a_file_of_format_1_is_read_as_it_is(old: Path) -> None:
    before, beside = old.read_bytes(), files_beside(old)
    journal = Journal(old)
    assert [(run.id, run.state) for run in journal.runs()] == [
        ("0004-d", "lost"),
        ("0003-c", "suspended"),
        ("0002-b", "failed"),
        ("0001-a", "finished"),
    ]
    assert journal.trace("0001").usage == journal.find("0001").usage
    assert [(question.run, question.text) for question in journal.inbox()] == [("0003-c", "Which?")]
    assert journal.verify().problems == ()
    assert len(list(journal.export("0001"))) == 6
    assert (old.read_bytes(), files_beside(old)) == (before, beside)


def test_the_first_writer_changes_format_1_into_the_present_one_and_loses_nothing(old: Path) -> None:
    lines = {run: list(Journal(old).export(run)) for run in ("0001", "0002", "0003", "0004")}
    with closing(JournalWriter(old)) as writer:
        Playing(writer, "0005-e", at=500).start(task="new").end()
    assert format_of(old) == 3
    assert {run: list(Journal(old).export(run)) for run in lines} == lines
    assert [run.id for run in Journal(old).runs()] == ["0005-e", "0004-d", "0003-c", "0002-b", "0001-a"]
    assert Journal(old).verify().problems == ()
    assert Journal(old).prune(keep=0).runs == 2
    assert Journal(old).verify().problems == ()


def test_a_changed_format_1_has_the_tables_of_a_new_journal(old: Path, tmp_path: Path) -> None:
    def tables(path: Path) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()

    new = tmp_path / "new.sqlite"
    for path in (old, new):
        JournalWriter(path).close()
    assert tables(old) == tables(new)


def test_a_change_of_format_that_fails_leaves_the_file_as_it_was(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("CREATE INDEX runs_by_state ON runs (name)")  # in the way
    with pytest.raises(JournalError, match="cannot use the journal"):
        JournalWriter(old)
    assert format_of(old) == 1
    assert len(Journal(old).runs()) == 4


# Who holds a file


def test_a_run_is_lost_as_soon_as_its_process_is_dead(path: Path) -> None:
    with endless_writer(path, "theirs") as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert Journal(path).find("theirs").state == "running"
        process.kill()
        process.wait()
        assert Journal(path).find("theirs").state == "lost"
        assert [run.id for run in Journal(path).runs(state="lost")] == ["theirs"]
    with writing(path) as writer:  # it is lost also while another process writes
        start(writer, "mine")
        anyio.run(writer.flush)
        assert [(run.id, run.state) for run in Journal(path).runs()] == [("theirs", "lost"), ("mine", "running")]


def test_a_file_that_another_process_writes_is_not_pruned(path: Path) -> None:
    with endless_writer(path, "theirs") as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(JournalError, match="being written by another process"):
            Journal(path).prune(keep=0)


def test_cleaning_up_makes_no_journal(path: Path) -> None:
    for work in (lambda: Journal(path).prune(keep=0), lambda: Journal(path).vacuum()):
        with pytest.raises(JournalError, match="there is no journal"):
            work()
    assert files_beside(path) == set()


def test_a_vacuum_gives_room_back(path: Path) -> None:
    with writing(path) as writer:
        play = Playing(writer).start()
        for number in range(2_000):
            play.step(f"solve/step[{number}]", f"{number} " * 100)
        play.end()
    before = path.stat().st_size
    journal = Journal(path)
    assert journal.prune(older_than=timedelta(0)).contents > 2_000
    journal.vacuum()
    assert path.stat().st_size < before / 10
    assert files_beside(path) == {"journal.sqlite", "journal.sqlite-lock"}


def test_a_file_grows_with_what_is_new(path: Path) -> None:
    sizes: list[int] = []
    for steps in (500, 1_000, 2_000):
        with writing(path) as writer:
            play = Playing(writer, f"r{steps}").start()
            for number in range(steps):
                play.step(f"solve/step[{number}]", f"reply {number} of {steps}")
            play.end()
        sizes.append(path.stat().st_size)
    assert (sizes[2] - sizes[1]) / (sizes[1] - sizes[0]) == pytest.approx(2, rel=0.1)


NOBODY = 65534
UNPRIVILEGED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from swarmlet.errors import JournalError
from swarmlet.trace import Journal
from swarmlet.trace.journal import JournalWriter
Journal(sys.argv[1]).runs()  # imports what it needs while that may be read
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
print(len(Journal(sys.argv[1]).runs()), Journal(sys.argv[1]).find("last").state)
try:
    JournalWriter(sys.argv[1])
except JournalError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_may_not_be_written_can_be_read_and_says_so(what: str) -> None:
    with TemporaryDirectory() as folder:  # not below pytest's own, which only its user may enter
        path = Path(folder) / "journal.sqlite"
        with writing(path) as writer:
            Playing(writer).start()
        path.chmod(0o444)
        Path(folder).chmod(0o555 if what == "folder" else 0o755)
        if what == "file":
            (Path(folder) / "journal.sqlite-lock").chmod(0o666)
        else:
            (Path(folder) / "journal.sqlite-lock").chmod(0o444)
        command = [sys.executable, "-c", UNPRIVILEGED, str(path), ROOT]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
        Path(folder).chmod(0o755)
    first, second = done.stdout.splitlines()
    assert first == "1 lost"
    assert second.startswith("cannot use the journal")


# Hostile files


def look_at_everything(path: Path) -> None:
    """Every way of reading. Raises nothing but errors of swarmlet."""
    journal = Journal(path)
    for work in (
        lambda: journal.runs(),
        lambda: journal.inbox(),
        lambda: journal.verify(),
        lambda: [journal.trace(run.id).steps() for run in journal.runs()],
        lambda: [list(journal.export(run.id)) for run in journal.runs()],
        lambda: JournalWriter(path).close(),
    ):
        with suppress(SwarmletError):
            work()


def small_journal() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        with writing(path) as writer:
            Playing(writer).start(task="x").step("solve/a", "y").ask("solve/q").end("suspended")
            Playing(writer, "b").start(task="x").step("solve/a", "z").end()
        return path.read_bytes()


SMALL = small_journal()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    flips=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=20),
    cut=st.none() | st.integers(0, len(SMALL)),
)
def test_a_damaged_file_gives_clear_errors_only(flips: list[tuple[int, int]], cut: int | None) -> None:
    content = bytearray(SMALL)
    for place, byte in flips:
        content[place] = byte
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        path.write_bytes(content[:cut])
        look_at_everything(path)


strange = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.binary()


@settings(max_examples=100, deadline=None)
@given(table=st.sampled_from(["runs", "events", "contents", "claims"]), value=strange, column=st.integers(0, 20))
def test_strange_values_in_its_tables_give_clear_errors_only(table: str, value: object, column: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        path.write_bytes(SMALL)
        with closing(sqlite3.connect(path)) as connection:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            with suppress(sqlite3.Error):
                connection.execute(f"UPDATE {table} SET {names[column % len(names)]} = ?", (value,))
                connection.commit()
        look_at_everything(path)


@pytest.mark.parametrize(
    "trap",
    [
        "CREATE TRIGGER trap AFTER INSERT ON events BEGIN DELETE FROM runs; END",
        "DROP TABLE claims; CREATE VIEW claims AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT 1 FROM c) SELECT 1 FROM c",
        "DROP TABLE contents; CREATE VIRTUAL TABLE contents USING fts5(digest, content)",
        "CREATE TABLE more (x)",
    ],
)
def test_a_file_with_tables_that_do_things_is_refused(path: Path, trap: str) -> None:
    path.write_bytes(SMALL)
    with closing(sqlite3.connect(path)) as connection:
        try:
            connection.executescript(trap)
        except sqlite3.OperationalError:
            pytest.skip("this SQLite has no such tables")
    before = path.read_bytes()
    for work in (lambda: Journal(path).runs(), lambda: JournalWriter(path).close()):
        with pytest.raises(JournalError, match="not those of a swarmlet journal"):
            work()
    assert path.read_bytes() == before


def test_verifying_tells_what_is_wrong(path: Path) -> None:
    path.write_bytes(SMALL)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE runs SET steps = 7 WHERE run = 'a'")
        connection.execute("UPDATE contents SET content = CAST('\"changed\"' AS BLOB) WHERE content = CAST('\"z\"' AS BLOB)")
        connection.execute("DELETE FROM contents WHERE content = CAST('\"y\"' AS BLOB)")
        connection.execute("UPDATE events SET path = 'elsewhere' WHERE run = 'b' AND kind = 'call_ended'")
        connection.execute("INSERT INTO events (run, kind, at, event) VALUES ('c', 'noted', 1, '{}')")
        connection.commit()
    found = Journal(path).verify()
    assert (found.runs, found.events, found.contents) == (2, 13, 8)
    said = "\n".join(found.problems)
    assert "run a: the list of runs says other things of it than its events" in said
    assert said.count("which is not there") == 4
    assert "is not what its name says" in said
    assert "run b: event 4 (call_ended): its row says other things than the event" in said
    assert "run c: it has events and is not in the list of runs" in said
    with pytest.raises(JournalError, match="it is damaged"):
        Journal(path).trace("b").output("solve/a")


def test_events_out_of_order_are_told(path: Path) -> None:
    with writing(path) as writer:
        play = Playing(writer).start().end()
        play.step("solve/late")
        play.start()
    said = "\n".join(Journal(path).verify().problems)
    assert "event 3 (step_started) comes after the end of the run" in said
    assert "event 7 (run_started) is out of order" in said


# Exports


CHANGES: dict[str, Callable[[list[str]], list[str]]] = {
    "line 1 is not of a run": lambda lines: lines[1:],
    "line 1 of the export is not JSON: it is cut off": lambda lines: [lines[0][:-5], *lines[1:]],
    "line 2 of the export was changed": lambda lines: [line.replace("Add", "Sub") for line in lines],
    "has format 9": lambda lines: [lines[0].replace('"format": 2', '"format": 9'), *lines[1:]],
    "cannot read": lambda lines: [line.replace('"at"', '"when"') for line in lines],
    "does not begin with run_started": lambda lines: lines[:2],
    "it does not begin with run_started": lambda lines: [line.replace("run_started", "run_begun") for line in lines],
    "line 1 of the export is not JSON": lambda _: ["[" * 100_000],
    "this is no run": lambda _: [],
}


@pytest.mark.parametrize("says", CHANGES)
def test_an_export_that_was_changed_is_refused(path: Path, says: str) -> None:
    with writing(path) as writer:
        Playing(writer).start(task="Add").end()
    with pytest.raises(JournalError, match=says):
        read_export(CHANGES[says](list(Journal(path).export("a"))))


# Stores


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"PostgresJournal\(url\)"):
        store_of("postgresql://me@host/db")
    for wrong in (MemoryJournal, 5, None):
        with pytest.raises(SwarmletError, match="a journal is the path of a file, or a store"):
            store_of(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    store = SqliteJournal(tmp_path / "x")
    assert store_of(store) is store


def test_a_memory_is_gone_with_its_store() -> None:
    store = MemoryJournal()
    with closing(store.open()) as writer:
        Playing(writer).start().end()
    assert [run.id for run in Journal(store).runs()] == [RunId("a")]
    assert Journal(MemoryJournal()).runs() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX")
def test_a_reader_that_looks_who_writes_does_not_keep_a_writer_out(path: Path) -> None:
    with writing(path) as writer:
        note(start(writer, "a"), 1)
    look = (
        f"import sys; sys.path.insert(0, {ROOT!r})\nfrom swarmlet.trace import Journal\nwhile True: Journal(sys.argv[1]).runs()"
    )
    with subprocess.Popen([sys.executable, "-c", look, str(path)]) as process:
        try:
            for number in range(60):
                with writing(path) as writer:
                    note(start(writer, f"r{number}"), number)
        finally:
            process.kill()
    assert numbers(path, "r59") == [59]
