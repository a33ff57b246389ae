from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from swarmlet.errors import JournalError
from swarmlet.trace import Journal, RunSummary
from swarmlet.trace.events import Digest, RunId
from swarmlet.trace.journal import default_path
from swarmlet.usage import Usage
from tests.trace.build import end, note, paid, start, writing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Journal:
    """Three runs: finished, failed in price, and one that has no end."""
    with writing(path) as writer:
        first = start(writer, "0001-aa", at=100)
        paid(first, at=101)
        paid(first, at=102, usd="0.0000000000000000000000000001")
        end(first, at=103.5)
        second = start(writer, "0002-ab", at=200, name="other")
        paid(second, at=201, usd=None)
        end(second, at=202)
        note(start(writer, "0002-ac", at=300), 4)
    return Journal(path)


def test_runs_are_listed_newest_first(journal: Journal) -> None:
    assert [run.id for run in journal.runs()] == ["0002-ac", "0002-ab", "0001-aa"]
    assert [run.id for run in journal.runs(limit=2)] == ["0002-ac", "0002-ab"]
    assert [run.id for run in journal.runs(name="other")] == ["0002-ab"]
    assert [run.id for run in journal.runs(state="lost")] == ["0002-ac"]
    assert journal.runs(state="running") == []
    assert journal.runs(limit=0) == []


def test_a_summary_says_what_the_trace_says(journal: Journal) -> None:
    usd = Decimal("0.0001000000000000000000000001")
    assert journal.runs()[-1] == RunSummary(
        RunId("0001-aa"), "solve", "app:solve", "finished", 100.0, 3.5, 2, Usage(2, 200, 80, 20, usd)
    )
    for run in journal.runs():
        trace = journal.trace(run.id)
        assert (run.state, run.seconds, run.usage) == (trace.state, trace.seconds, trace.usage)


def test_a_run_without_an_end_is_lost_when_nobody_writes_and_lasts_until_its_last_event(journal: Journal) -> None:
    lost = journal.find("0002-ac")
    assert (lost.state, lost.seconds) == ("lost", 4.0 - 300.0)


def test_listing_reads_no_events(journal: Journal, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM events")
        connection.commit()
    assert len(journal.runs()) == 3


@pytest.mark.parametrize(
    ("meant", "found"),
    [("0001-aa", "0001-aa"), ("0001", "0001-aa"), ("0002-ac", "0002-ac"), ("last", "0002-ac")],
)
def test_a_run_is_found_by_id_beginning_or_last(journal: Journal, meant: str, found: str) -> None:
    assert journal.find(meant).id == found
    assert journal.trace(meant).run_id == found


def test_an_id_that_begins_another_id_means_itself(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with writing(path) as writer:
        start(writer, "a")
        start(writer, "ab")
    assert Journal(path).find("a").id == "a"


def test_an_ambiguous_beginning_names_the_candidates(journal: Journal) -> None:
    with pytest.raises(JournalError, match="2 runs begin with '0002': 0002-ac, 0002-ab"):
        journal.trace("0002")


@pytest.mark.parametrize("unknown", ["nope", "%", "0001-aaa", "LAST", "'; DROP TABLE runs"])
def test_an_unknown_run_names_the_newest(journal: Journal, unknown: str) -> None:
    with pytest.raises(JournalError, match="the newest are 0002-ac, 0002-ab, 0001-aa"):
        journal.find(unknown)


def test_a_journal_without_runs_says_so(tmp_path: Path) -> None:
    with writing(tmp_path / "journal.sqlite"):
        pass
    journal = Journal(tmp_path / "journal.sqlite")
    assert journal.runs() == []
    with pytest.raises(JournalError, match="it holds none yet"):
        journal.find("last")


def test_a_value_that_was_not_recorded_is_none(journal: Journal) -> None:
    assert journal.trace("last").value(Digest("unknown")) is None


def test_an_event_of_the_future_is_told(journal: Journal, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE events SET event = '{\"kind\": \"teleported\"}' WHERE run = '0001-aa'")
        connection.commit()
    with pytest.raises(JournalError, match="a newer swarmlet may have written it"):
        journal.trace("0001-aa")


def test_the_default_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    below_home = tmp_path / ".local" / "state" / "swarmlet" / "journal.sqlite"
    assert default_path({}) == below_home
    assert default_path({"XDG_STATE_HOME": "relative", "SWARMLET_JOURNAL": ""}) == below_home
    assert default_path({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "swarmlet" / "journal.sqlite"
    assert default_path({"SWARMLET_JOURNAL": "~/mine.sqlite"}) == tmp_path / "mine.sqlite"
