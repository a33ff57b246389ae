"""`swarmlet report`: one file, its path on standard output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarmlet.cli.main import main
from tests.trace.example import example_journal

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a journal of three runs elsewhere."""
    (tmp_path / "journal").mkdir()
    (tmp_path / "here").mkdir()
    example_journal(tmp_path / "journal" / "journal.sqlite")
    monkeypatch.setenv("SWARMLET_JOURNAL", str(tmp_path / "journal" / "journal.sqlite"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_the_file_is_named_for_the_run(folder: Path, capsys: Captured) -> None:
    assert main(["report", "0001"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("0001-solve.html\n", "")
    assert (folder / "0001-solve.html").read_text("utf-8").startswith("<!doctype html>")
    assert [file.name for file in folder.iterdir()] == ["0001-solve.html"]


def test_the_file_can_be_named_and_the_run_can_be_the_newest(folder: Path, capsys: Captured) -> None:
    assert main(["report", "last", "-o", "a.html", "--full"]) == 0
    assert capsys.readouterr().out == "a.html\n"
    assert "0003-die" in (folder / "a.html").read_text("utf-8")


def test_a_dash_prints_the_page(folder: Path, capsys: Captured) -> None:
    assert main(["report", "0002", "-o", "-"]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")
    assert list(folder.iterdir()) == []
    assert main(["report", "0002", "-o", "-", "--json"]) == 2


def test_json_says_where_the_file_is_and_what_it_advises(folder: Path, capsys: Captured) -> None:
    assert main(["report", "0001", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == "0001-solve"
    assert told["bytes"] == (folder / told["file"]).stat().st_size
    assert told["advice"][0]["title"] == "To make it faster"
    assert told["advice"][0]["text"].startswith("Change write (1 step). Without its time the run would take ")


def test_it_is_opened_if_asked(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    opened = folder / "opened"
    browser = f'{Path("/bin/sh")} -c "echo %s > {opened}"'
    monkeypatch.setenv("BROWSER", browser)
    assert main(["report", "0001", "--open"]) == 0
    assert opened.read_text().strip() == (folder / "0001-solve.html").as_uri()
    assert capsys.readouterr().out == "0001-solve.html\n"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [(["report", "nothing"], 1, "there is no run 'nothing'"), (["report", "0001", "-o", "no/where.html"], 2, "cannot write")],
)
def test_what_cannot_be_done_is_said(arguments: list[str], status: int, says: str, capsys: Captured) -> None:
    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
