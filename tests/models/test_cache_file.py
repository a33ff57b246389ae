"""The file of a cache: for several runs and processes, bounded, and no trouble to a run whatever is wrong with it."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarmlet.errors import JournalError
from swarmlet.models.cache import SqliteCache
from swarmlet.models.cache import file as cache_file
from tests.models.caches import HELLO, opened, reply_of


def content(path: Path, sql: str) -> list[Any]:  # Any: rows
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.anyio
async def test_a_file_serves_the_next_run_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cache.db"
    async with opened(SqliteCache(path)) as cache:
        await cache.put("k", HELLO)
        assert content(path, "PRAGMA journal_mode") == [("wal",)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.with_name("cache.db-wal").exists()
    async with opened(SqliteCache(path)) as cache:
        assert await cache.get("k") == HELLO


@pytest.mark.anyio
async def test_the_sum_of_what_is_kept_is_right(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    async with opened(SqliteCache(path, max_bytes=3000)) as cache:
        for number in range(20):
            await cache.put(f"k{number % 7}", reply_of(number * 40))
        await cache.drop("k6")
        ((kept,),) = content(path, "SELECT size FROM kept")
        ((total, count),) = content(path, "SELECT sum(size), count(*) FROM replies")
        assert kept == total <= 3000
        assert count > 1
        await cache.put("nearly all", reply_of(2900))
        assert content(path, "SELECT key FROM replies") == [("nearly all",)]


def foreign(path: Path) -> None:
    content(path, "CREATE TABLE theirs (x)")


def newer(path: Path) -> None:
    content(path, f"PRAGMA application_id = {cache_file.APPLICATION_ID}")
    content(path, f"PRAGMA user_version = {cache_file.SCHEMA_VERSION + 1}")


def garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def damaged(path: Path) -> None:
    anyio.run(fill, path)
    data = bytearray(path.read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    path.write_bytes(data)


async def fill(path: Path) -> None:
    async with opened(SqliteCache(path)) as cache:
        for number in range(50):
            await cache.put(str(number), reply_of(1000))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (foreign, "SQLite file of another program"),
        (newer, "a newer swarmlet wrote it"),
        (garbage, "not an SQLite file"),
        (damaged, "it is damaged"),
        (Path.mkdir, "it is no file"),
    ],
)
def test_a_file_that_is_not_right_is_said_and_costs_no_run(
    tmp_path: Path, backend: str, spoil: Callable[[Path], object], why: str
) -> None:
    path = tmp_path / "cache.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    beside = set(tmp_path.iterdir())

    async def use() -> None:
        cache = SqliteCache(path)
        with pytest.raises(JournalError, match=why) as caught:
            await cache.ready()
        assert str(path) in str(caught.value)
        await cache.put("k", HELLO)
        assert await cache.get("k") is None
        await cache.drop("k")
        await cache.aclose()
        assert cache.error is not None
        assert why in str(cache.error)

    anyio.run(use, backend=backend)
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert set(tmp_path.iterdir()) == beside


@pytest.mark.anyio
async def test_an_older_cache_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    await fill(path)
    content(path, "PRAGMA user_version = 0")
    async with opened(SqliteCache(path)) as cache:
        assert await cache.get("1") is None
        await cache.put("1", HELLO)
        assert await cache.get("1") == HELLO


@pytest.mark.anyio
async def test_rows_that_hold_no_reply_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    await fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for name, said in (("1", b"{"), ("2", b"[]"), ("3", b'{"finish_reason":"length"}'), ("4", "text"), ("5", 7)):
            connection.execute("UPDATE replies SET reply = ? WHERE key = ?", (said, name))
    async with opened(SqliteCache(path)) as cache:
        assert [await cache.get(name) for name in "12345"] == [None] * 5
        assert await cache.get("6") is not None


@pytest.mark.anyio
async def test_a_file_that_breaks_while_it_is_used_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    cache = SqliteCache(path)
    async with opened(cache):
        await cache.put("k", HELLO)
        content(path, "DROP TABLE replies")
        assert await cache.get("k") is None
        assert cache.error is not None
        assert "no such table" in str(cache.error)
        await cache.put("k", HELLO)
        assert await cache.get("k") is None


@pytest.mark.anyio
async def test_a_file_that_is_kept_locked_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_file, "BUSY_SECONDS", 0.05)
    path = tmp_path / "cache.db"
    async with opened(SqliteCache(path)) as first:
        await first.put("k", HELLO)
        cache = SqliteCache(path)
        async with opened(cache):
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                assert await cache.get("k") == HELLO  # readers do not wait for it
                await cache.put("l", HELLO)
                assert "keeps it locked" in str(cache.error)
                with anyio.fail_after(2):
                    for number in range(100):
                        await cache.put(str(number), HELLO)
                other.execute("ROLLBACK")
            await cache.ready()
            await cache.put("l", HELLO)
            assert cache.error is None
            assert await cache.get("l") == HELLO
            await cache.aclose()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no flock")
@pytest.mark.anyio
async def test_processes_write_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a lock of their own, because SQLite's does not keep some versions from damaging the file."""
    import fcntl

    monkeypatch.setattr(cache_file, "BUSY_SECONDS", 0.05)
    path = tmp_path / "cache.db"
    cache = SqliteCache(path)
    async with opened(cache):
        with path.with_name("cache.db-lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            await cache.put("k", HELLO)
            assert "keeps it locked" in str(cache.error)
            with pytest.raises(JournalError, match="keeps it locked"):
                await SqliteCache(path).ready()
        await cache.ready()
        await cache.put("k", HELLO)
        assert await cache.get("k") == HELLO
        await cache.aclose()


@pytest.mark.anyio
async def test_a_file_that_is_locked_from_the_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_file, "BUSY_SECONDS", 0.05)
    path = tmp_path / "cache.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalError, match="another program keeps it locked"):
            await SqliteCache(path).ready()


@pytest.mark.anyio
async def test_what_was_paid_for_is_kept_also_when_its_caller_is_cancelled(tmp_path: Path) -> None:
    async with opened(SqliteCache(tmp_path / "cache.db")) as cache:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await cache.put("k", HELLO)
        assert await cache.get("k") == HELLO


def is_open(cache: SqliteCache) -> bool:
    return cache._file is not None  # pyright: ignore[reportPrivateUsage]


@pytest.mark.anyio
async def test_the_last_of_several_users_closes_the_file(tmp_path: Path) -> None:
    cache = SqliteCache(tmp_path / "cache.db")
    await cache.ready()
    async with opened(cache):
        await cache.put("k", HELLO)
    assert is_open(cache)
    await cache.aclose()
    assert not is_open(cache)
    await cache.aclose()


def test_one_cache_serves_one_event_loop_after_the_other_and_side_by_side(tmp_path: Path) -> None:
    cache = SqliteCache(tmp_path / "cache.db")

    async def use(name: str) -> None:
        async with opened(cache):
            for number in range(20):
                await cache.put(f"{name}{number}", HELLO)
                assert await cache.get(f"{name}{number}") == HELLO

    for backend in ("asyncio", "trio"):
        anyio.run(use, backend, backend=backend)

    def in_thread(backend: str) -> None:
        anyio.run(use, f"t{backend}", backend=backend)

    threads = [threading.Thread(target=in_thread, args=(backend,)) for backend in ("asyncio", "trio")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((count,),) = content(cache.path, "SELECT count(*) FROM replies")
    assert count == 80
    assert cache.error is None


WRITER = """
import anyio, sys
from swarmlet.models.base import ChatReply
from swarmlet.models.cache import SqliteCache

async def main():
    cache = SqliteCache(sys.argv[1], max_bytes=200_000)
    await cache.ready()
    for number in range(150):
        await cache.put(f"{sys.argv[2]}-{number}", ChatReply(text="x" * 1000))
        await cache.get(f"{'abcd'[number % 4]}-{number}")
    await cache.aclose()
    print(cache.error)

anyio.run(main)
"""


def test_several_processes_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stdout=subprocess.PIPE, text=True) for name in "abcd"
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in started] == ["None"] * 4
    assert content(path, "PRAGMA integrity_check") == [("ok",)]
    ((kept,),) = content(path, "SELECT size FROM kept")
    ((total, count),) = content(path, "SELECT sum(size), count(*) FROM replies")
    assert kept == total <= 200_000
    assert count > 100
