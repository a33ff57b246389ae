"""`swarmlet journal`, and journals that are named by a URL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from swarmlet.bridges.journals import PostgresJournal
from swarmlet.cli.main import main
from swarmlet.trace import Journal, SqliteJournal, read_export
from swarmlet.trace.journal import Store
from tests.bridges.limit_servers import free_port, postgres_server
from tests.trace.journal_stores import Playing

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


def fill(store: Store) -> None:
    with closing(store.open()) as writer:
        for number in range(3):
            Playing(writer, f"done{number}", at=100.0 * number).start(task="x").step("solve/a", number).end()
        Playing(writer, "asks", at=1_000.0).start().ask("solve/q").end("suspended")
        Playing(writer, "lost", at=2_000.0).start()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "journal.sqlite"
    fill(SqliteJournal(path))
    monkeypatch.setenv("SWARMLET_JOURNAL", str(path))
    return path


def said(capsys: Captured, *arguments: str, status: int = 0) -> str:
    assert main(arguments) == status
    return capsys.readouterr().out


def test_pruning_says_what_it_deleted(path: Path, capsys: Captured) -> None:
    assert said(capsys, "journal", "prune", "--keep", "1") == "deleted 2 runs, 12 events and 2 values\n"
    assert json.loads(said(capsys, "--json", "journal", "prune", "--older-than", "30d")) == {
        "runs": 1,
        "events": 6,
        "contents": 4,
    }
    out = said(capsys, "journal", "prune", "--older-than", "0s", "--state", "lost", "--state", "suspended", "--json")
    assert json.loads(out)["runs"] == 2
    assert Journal(path).runs() == []


def test_a_dry_run_lists_and_deletes_nothing(path: Path, capsys: Captured) -> None:
    assert main(["journal", "prune", "--keep", "1", "--dry-run", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [run["id"] for run in json.loads(out)] == ["done1", "done0"]
    assert err == "swarmlet: 2 runs would be deleted\n"
    assert "done0" in said(capsys, "journal", "prune", "--keep", "1", "--dry-run")
    assert len(Journal(path).runs()) == 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["prune"], "which runs?"),
        (["prune", "--older-than", "soon"], "a number with a unit"),
        (["prune", "--keep", "-1"], "no less than 0"),
    ],
)
@pytest.mark.usefixtures("path")
def test_a_wrong_use_is_status_2_and_deletes_nothing(arguments: list[str], says: str, capsys: Captured) -> None:
    assert main(["journal", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, says in err) == ("", True)


@pytest.mark.parametrize("arguments", [[], ["prune", "--state", "running", "--keep", "0"], ["burn"], ["export"]])
def test_a_use_that_cannot_be_read_is_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["journal", *arguments])
    assert ended.value.code == 2


@pytest.mark.usefixtures("path")
def test_verifying_a_whole_journal_is_status_0(capsys: Captured) -> None:
    assert said(capsys, "journal", "verify") == "5 runs, 22 events and 10 values were read\n"
    assert json.loads(said(capsys, "journal", "verify", "--json"))["problems"] == []
    assert said(capsys, "journal", "vacuum") == ""


def test_verifying_a_damaged_journal_is_status_1(path: Path, capsys: Captured) -> None:
    import sqlite3

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM contents")
        connection.commit()
    assert main(["journal", "verify"]) == 1
    out, err = capsys.readouterr()
    assert "which is not there" in out
    assert "problems" in err


@pytest.mark.usefixtures("path")
def test_an_export_can_be_read_back(capsys: Captured) -> None:
    trace = read_export(said(capsys, "journal", "export", "done1").splitlines())
    assert trace.output("solve/a") == 1
    assert main(["journal", "export", "nope"]) == 1


@pytest.mark.usefixtures("path")
def test_lost_and_suspended_runs_are_listed(capsys: Captured) -> None:
    assert [run["id"] for run in json.loads(said(capsys, "runs", "--state", "lost", "--json"))] == ["lost"]
    assert [run["id"] for run in json.loads(said(capsys, "runs", "--state", "suspended", "--json"))] == ["asks"]


def test_a_url_names_a_journal_in_postgres(url: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(PostgresJournal(url))
    assert [run["id"] for run in json.loads(said(capsys, "--journal", url, "runs", "--json"))] == [
        "lost",
        "asks",
        "done2",
        "done1",
        "done0",
    ]
    monkeypatch.setenv("SWARMLET_JOURNAL", url)
    assert "done1" in said(capsys, "show", "done1")
    assert said(capsys, "journal", "verify") == "5 runs, 22 events and 10 values were read\n"
    assert said(capsys, "journal", "prune", "--keep", "0") == "deleted 3 runs, 18 events and 6 values\n"
    assert said(capsys, "journal", "vacuum") == ""


def test_a_server_that_is_away_is_status_1_without_its_password(capsys: Captured) -> None:
    assert main(["runs", "--journal", f"postgresql://me:secret@127.0.0.1:{free_port()}/db"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "cannot be reached" in err
    assert "secret" not in err


def test_another_kind_of_url_is_status_2(capsys: Captured) -> None:
    assert main(["runs", "--journal", "mysql://me:secret@host/db"]) == 2
    err = capsys.readouterr().err
    assert "postgresql://" in err
    assert "secret" not in err
