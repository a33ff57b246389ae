"""The `swarmlet` command: data on standard output, messages on standard error, exit status 0, 1 or 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from swarmlet.cli.main import main
from tests.trace.example import RUNS, example_journal

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal with three runs, which the environment names."""
    path = tmp_path / "journal.sqlite"
    example_journal(path)
    monkeypatch.setenv("SWARMLET_JOURNAL", str(path))
    return path


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "swarmlet", *arguments],
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environment,
    )


def test_runs_lists_the_newest_first(capsys: Captured) -> None:
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    assert [text.split()[0] for text in out.splitlines()[2:]] == sorted(RUNS, reverse=True)
    assert err == ""


def test_runs_says_that_there_are_more(capsys: Captured) -> None:
    assert main(["runs", "--limit", "2"]) == 0
    out, err = capsys.readouterr()
    assert "0001-solve" not in out
    assert "--limit 0 shows all" in err
    assert main(["runs", "--limit", "0", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--state", "failed"], ["0002-fail"]),
        (["--name", "solve"], ["0003-die", "0001-solve"]),
        (["--name", "solve", "--state", "failed"], []),
    ],
)
def test_runs_are_filtered(filters: list[str], found: list[str], capsys: Captured) -> None:
    assert main(["runs", "--json", *filters]) == 0
    assert [run["id"] for run in json.loads(capsys.readouterr().out)] == found
    assert main(["runs", *filters]) == 0
    out, err = capsys.readouterr()
    assert bool(out) == bool(found)
    assert ("no such run" in err) == (not found)


@pytest.mark.parametrize("run", ["0001-solve", "0001"])
def test_show_prints_the_tree_of_steps(run: str, capsys: Captured) -> None:
    assert main(["show", run]) == 0
    out = capsys.readouterr().out
    assert out.startswith("run 0001-solve: solve (app:solve)\nfinished, started ")
    assert "│  └─ check" in out
    assert "2 calls, 1 retry, 1 tool call, 2 step retries" in out


def test_show_prints_one_step_with_its_contents(capsys: Captured) -> None:
    assert main(["show", "0001", "--path", "solve/write"]) == 0
    assert capsys.readouterr().out == SHOWN_STEP


SHOWN_STEP = """\
step solve/write (app:write)
finished, 8.0 s, after waiting 250 ms, 2,400 tokens in (2,048 cached), 160 out, 0.000302 USD
inputs:
  task:
    text: Add two numbers
call of turn 1: gpt-4o-mini, failed, 1.0 s, no tokens
  request:
    model: gpt-4o-mini
    messages:
      - role: system
        content:
          You write.
          Shortly.
      - role: user
        content: Add!
  error: RateLimited: slow down; tried again after 500 ms
call of turn 1, attempt 2: gpt-4o-mini-2024-07-18, finished, 1.0 s, 1,200 tokens in (1,024 cached), 80 out, 0.000151 USD
  request: as before
tool search of turn 1: finished, 4 ms
  arguments: {"query": "sum"}
  result: two hits
call of turn 2: gpt-4o-mini-2024-07-18, finished, 1.0 s, 1,200 tokens in (1,024 cached), 80 out, 0.000151 USD
  request:
    messages:
      - (the 2 before)
      - role: tool
        content: two hits
  reply:
    text: return a + b
output:
  source:
    def add(a, b):
        return a + b
"""


def test_show_prints_a_group_with_what_went_in_and_came_out_of_the_run(capsys: Captured) -> None:
    assert main(["show", "0001", "--path", "solve"]) == 0
    out = capsys.readouterr().out
    assert "inputs:\n  task:\n    text: Add two numbers\noutput:\n  def add(a, b):\n" in out
    assert out.endswith("steps below:\n  - solve/write\n  - solve/attempt\n")


def test_show_prints_attempts_and_notes_of_a_step(capsys: Captured) -> None:
    assert main(["show", "0001", "--path", "solve/attempt[1]/check"]) == 0
    out = capsys.readouterr().out
    assert "attempt 1 failed, next in 2.0 s: ValueError: flaky\n" in out
    assert "note: held the event loop for 0.3 s\n" in out


def test_show_prints_a_step_of_a_killed_run(capsys: Captured) -> None:
    assert main(["show", "last", "--path", "solve/write"]) == 0
    out = capsys.readouterr().out
    assert "running, not ended" in out
    assert "call of turn 1: gpt-4o-mini, running, not ended, no tokens\n" in out


def test_show_gives_json(capsys: Captured) -> None:
    assert main(["show", "0001", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["steps"]) == 7
    assert main(["--json", "show", "0001", "--path", "solve"]) == 0
    step = json.loads(capsys.readouterr().out)
    assert (step["inputs"], step["node"]) == ({"task": {"text": "Add two numbers"}}, None)


@pytest.mark.parametrize("options", [[], ["--path", "talk"], ["--json"], ["--json", "--path", "talk"]])
@pytest.mark.parametrize("force", ["", "1"])
def test_hostile_texts_are_shown_and_not_obeyed(options: list[str], force: str) -> None:
    done = command("show", "0002", *options, **({"FORCE_COLOR": force, "TERM": "xterm"} if force else {}))
    assert done.returncode == 0
    assert "[bold]markup[/bold]" in done.stdout
    assert "\x1b[31mred" not in done.stdout
    assert not set("\x07\x9b\u202e\r") & set(done.stdout)
    assert ("\x1b" in done.stdout) == (bool(force) and not options)  # colours are ours


def test_no_color_is_obeyed() -> None:
    assert "\x1b[3" not in command("runs", NO_COLOR="1", FORCE_COLOR="1", TERM="xterm").stdout


def test_lines_are_not_cut_where_there_is_no_terminal() -> None:
    lines = command("show", "0002", COLUMNS="40").stdout.splitlines()
    assert lines[-1].endswith(r"\x9b2J\r\x07")
    assert len(lines[-1]) > 80


def test_an_output_that_cannot_show_the_tree_shows_escapes() -> None:
    done = command("show", "0001", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert r"\u251c\u2500 write" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "nope"], "there is no run 'nope'"),
        (["show", "000"], "3 runs begin with '000'"),
        (["show", "0001", "--path", "solve/nope"], "no step 'solve/nope'"),
        (["--journal", "missing.sqlite", "runs"], "there is no journal at 'missing.sqlite'"),
        (["runs", "--journal", __file__], "not a swarmlet journal"),
    ],
)
def test_a_failure_is_one_sentence_and_status_1(arguments: list[str], says: str, capsys: Captured) -> None:
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("swarmlet: ")
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["nope"], ["runs", "--nope"], ["show"], ["runs", "--limit", "x"]])
def test_a_wrong_use_is_status_2(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("arguments", [["runs"], ["show", "0001"], ["show", "0001", "--timeline"], ["top"], ["stats"]])
def test_without_rich_tables_are_plain_text(arguments: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out
    assert err == ""
    table = [text for text in out.splitlines() if "----" in text or "|0" in text]
    assert table


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--help"], "runs"), (["runs", "--help"], "--limit"), (["--version"], "swarmlet ")],
)
def test_help_and_version(arguments: list[str], says: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (0, None)
    assert says in capsys.readouterr().out


def test_a_reader_that_leaves_early_is_no_error(path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "swarmlet", "show", "0001"], check=False, stdout=pipe, stderr=subprocess.PIPE
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_subcommand_imports_neither_the_demo_nor_rich_before_it_needs_them() -> None:
    code = (
        "import sys; from swarmlet.cli.main import main; main(['runs', '--json']); "
        "print([name for name in sys.modules if name.startswith(('rich', 'swarmlet.cli.demo', 'swarmlet.cli.show'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.endswith("]\n[]\n")
