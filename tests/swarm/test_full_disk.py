"""A disk that is full costs a plain run nothing; what is promised by the journal alone is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmlet import JournalError, Swarm, ask, node
from swarmlet.trace.journal import sqlite_file as file_module

pytestmark = pytest.mark.anyio

worked: list[int] = []


@node
def work(number: int) -> str:
    worked.append(number)
    return f"{number} " * 100_000


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    connect: Callable[..., sqlite3.Connection] = vars(file_module)["connect"]

    def small(path: Path, mode: str) -> sqlite3.Connection:
        connection = connect(path, mode)
        connection.execute("PRAGMA max_page_count = 30")
        return connection

    monkeypatch.setattr(file_module, "connect", small)


@pytest.mark.usefixtures("small_disk")
async def test_what_only_a_journal_can_promise_is_refused_when_the_disk_is_full(tmp_path: Path) -> None:
    worked.clear()
    async with Swarm(journal=tmp_path / "j.sqlite") as swarm:
        assert (await swarm.run(work, 1)).output.startswith("1 1")
        assert "the disk is full" in str(swarm.journal_error)
        assert (await swarm.run(work, 2)).output.startswith("2 2")
        with pytest.raises(JournalError, match="the disk is full"):
            await swarm.run_as("order-1", work, 3)
        with pytest.raises(JournalError, match="the disk is full"):
            await swarm.run(ask(bool, "Go on?"))
    assert worked == [1, 2]
