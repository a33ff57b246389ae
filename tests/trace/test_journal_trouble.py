"""What goes wrong with files is told in one sentence, and never inside of a run."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from swarmlet.errors import JournalError
from swarmlet.trace import Journal
from swarmlet.trace.journal import JournalWriter
from swarmlet.trace.journal import sqlite_file as file_module
from tests.trace.build import ROOT, endless_writer, files_beside, note, numbers, start, writer_threads, writing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def written(path: Path) -> Path:
    with writing(path) as writer:
        recorder = start(writer, "a")
        for number in range(2_000):
            note(recorder, number)
    return path


def refused(path: Path) -> str:
    """What reading and writing say; both say the same, in one line, and leave nothing behind."""
    beside, threads = files_beside(path), writer_threads()
    with pytest.raises(JournalError) as writing_error:
        JournalWriter(path)
    with pytest.raises(JournalError) as reading_error:
        Journal(path).runs()
    assert str(writing_error.value) == str(reading_error.value)
    assert "\n" not in str(writing_error.value)
    assert (files_beside(path), writer_threads()) == (beside, threads)
    return str(writing_error.value)


def test_a_text_file_is_not_a_journal(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)
    assert "not a swarmlet journal" in refused(path)


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_another_programs_sqlite_file_is_left_alone(path: Path, mode: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE events (x)")
        connection.commit()
        before = path.read_bytes()
        assert "an SQLite file of another program" in refused(path)
        assert path.read_bytes() == before


def test_a_journal_of_a_newer_swarmlet_is_left_alone(written: Path) -> None:
    with closing(sqlite3.connect(written)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "has format 99" in refused(written)
    assert "upgrade swarmlet" in refused(written)


def test_a_damaged_journal_is_said_to_be_damaged(written: Path) -> None:
    content = bytearray(written.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    written.write_bytes(content)
    with pytest.raises(JournalError, match="it is damaged"):
        Journal(written).runs()


def test_a_cut_journal_is_said_to_be_damaged(written: Path) -> None:
    written.write_bytes(written.read_bytes()[:5000])
    with pytest.raises(JournalError, match="it is damaged"):
        Journal(written).runs()


def test_a_missing_journal_is_said_to_be_missing_and_is_not_made(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal at"):
        Journal(path).trace("last")
    assert files_beside(path) == set()


def test_an_empty_file_is_an_empty_journal(path: Path) -> None:
    path.touch()
    with pytest.raises(JournalError, match="is empty"):
        Journal(path).runs()
    with writing(path) as writer:
        note(start(writer, "a"), 1)
    assert numbers(path, "a") == [1]


def test_a_folder_is_not_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot use the journal"):
        JournalWriter(tmp_path)
    with pytest.raises(JournalError, match="cannot use the journal"):
        Journal(tmp_path).runs()


def test_a_folder_that_cannot_be_made_is_told(path: Path) -> None:
    path.touch()
    with pytest.raises(JournalError, match="cannot use the journal"):
        JournalWriter(path / "below" / "journal.sqlite")
    with pytest.raises(JournalError, match="there is no journal"):
        Journal(path / "below" / "journal.sqlite").runs()


def test_a_journal_that_another_program_holds_is_said_to_be_locked(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "BUSY_SECONDS", 0.0)
    with closing(sqlite3.connect(written, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert "another program keeps it locked" in refused(written)


@pytest.mark.anyio
async def test_a_lock_that_stays_is_an_error_of_the_writer_and_not_of_the_run(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "BUSY_SECONDS", 0.0)
    with writing(path) as writer, closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        start(writer, "a")
        await writer.flush()
        assert "another program keeps it locked" in str(writer.error)


@pytest.mark.anyio
async def test_a_full_disk_stops_the_journal_and_not_the_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect: Callable[..., sqlite3.Connection] = vars(file_module)["connect"]

    def small(path: Path, mode: str) -> sqlite3.Connection:
        connection = connect(path, mode)
        connection.execute("PRAGMA max_page_count = 30")
        return connection

    monkeypatch.setattr(file_module, "connect", small)
    with writing(path) as writer:
        recorder = start(writer, "a")
        note(recorder, 0)
        await writer.flush()
        for number in range(1, 3_000):
            note(recorder, number)
        await writer.flush()
        assert "the disk is full" in str(writer.error)
        note(recorder, 3_000)
        await writer.flush()
        with pytest.raises(JournalError, match="the disk is full"):
            JournalWriter(path)
    monkeypatch.undo()
    found = numbers(path, "a")
    assert found == list(range(len(found)))
    assert len(recorder.events) == 3_002  # the trace in memory is whole
    with writing(path) as writer:
        note(start(writer, "b"), 5)
    assert numbers(path, "b") == [5]


FILL = """
import anyio, resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.trace.build import note, numbers, start, writing

async def main():
    path = Path(sys.argv[1])
    if len(sys.argv) > 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    with writing(path) as writer:
        recorder, number = start(writer, "a"), 0
        while not writer.error:
            note(recorder, number)
            await writer.flush()
            number += 1
        print(writer.error)
        await writer.flush()
    assert numbers(path, "a") == list(range(number - 1)), (number, len(numbers(path, "a")))

anyio.run(main)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_real_write_error_leaves_all_that_was_durable(path: Path) -> None:
    command = [sys.executable, "-c", FILL, str(path), ROOT, "limit"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.count("\n") == 1
    assert "cannot use the journal" in done.stdout


def can_mount() -> bool:
    unshare = shutil.which("unshare")
    probe = [str(unshare), "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return bool(unshare) and subprocess.run(probe, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="a disk that can be filled needs the right to mount one")
def test_a_real_full_disk_leaves_all_that_was_durable(tmp_path: Path) -> None:
    script = f'mount -t tmpfs -o size=500k none "{tmp_path}" && exec "$@"'
    fill = [sys.executable, "-c", FILL, str(tmp_path / "journal.sqlite"), ROOT]
    command = ["unshare", "--mount", "sh", "-c", script, "sh", *fill]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "the disk is full" in done.stdout


def test_a_process_killed_outside_of_the_wal_leaves_a_readable_journal(written: Path) -> None:
    change = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "db.execute('PRAGMA cache_size = 1'); db.execute('BEGIN IMMEDIATE'); "
        "db.execute('UPDATE contents SET content = zeroblob(9000)'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", change, str(written)], check=False)
    assert "journal.sqlite-journal" in files_beside(written)
    assert numbers(written, "a") == list(range(2_000))
    assert files_beside(written) == {"journal.sqlite", "journal.sqlite-lock"}


def test_reading_makes_no_files(written: Path) -> None:
    before = files_beside(written)
    assert numbers(written, "a")
    assert files_beside(written) == before
    with endless_writer(written, "b") as process:
        assert process.stdout is not None
        process.stdout.readline()
        live = files_beside(written)
        assert numbers(written, "b")
        assert files_beside(written) == live
