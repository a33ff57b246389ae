"""Colours, widths and pipes: the commands in a terminal, in none, and with a reader that leaves early."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from swarmlet.trace import RunId
from swarmlet.trace.record import Recorder
from tests.cli.slow_run import START, Scene, asking, slow_journal
from tests.cli.terminals import COMMAND, environment, in_terminal, without_terminal
from tests.trace.build import writing as written

COMMANDS = (
    ("runs",),
    ("show", "0010"),
    ("show", "0010", "--timeline"),
    ("show", "0012", "--path", "publish/ask"),
    ("top",),
    ("stats",),
    ("diff", "0010", "0011"),
    ("inbox",),
    ("watch", "0010"),
)
COLOURED = {("show", "0010"), ("show", "0010", "--timeline"), ("runs",)}
STYLE = re.compile("\x1b\\[[0-9;]*m")
MOVES = re.compile("\x1b\\[[0-9]*[AJK]")
"""With which a line that tells how far it is, or what is under way, is taken away."""


@pytest.fixture(scope="module", autouse=True)
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("slow") / "journal.sqlite"
    slow_journal(path)
    os.environ["SWARMLET_JOURNAL"] = str(path)
    return str(path)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_terminal_gets_our_colours_and_nothing_of_a_models(command: tuple[str, ...]) -> None:
    shown = in_terminal([*COMMAND, *command])
    assert shown.status == 0
    plain = MOVES.sub("", STYLE.sub("", shown.text)).replace("\r", "")
    assert not set("\x1b\x07\x9b\u202e") & set(plain)
    assert bool(STYLE.search(shown.text)) or command not in COLOURED


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_color_is_obeyed_in_a_terminal(command: tuple[str, ...]) -> None:
    styled = STYLE.findall(in_terminal([*COMMAND, *command], variables={"NO_COLOR": "1"}).text)
    assert not [style for style in styled if re.search(r"[34][0-9]", style)]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_pipe_gets_no_escapes_and_whole_lines(command: tuple[str, ...]) -> None:
    done = without_terminal(*command, COLUMNS="60")
    assert done.returncode == 0
    assert not set("\x1b\x07\x9b\u202e\r") & set(done.stdout)
    assert "…" not in done.stdout or "--timeline" in command


@pytest.mark.parametrize("command", [("show", "0010"), ("show", "0010", "--timeline")], ids=" ".join)
def test_force_color_is_obeyed_in_a_pipe(command: tuple[str, ...]) -> None:
    assert STYLE.search(without_terminal(*command, FORCE_COLOR="1").stdout)


def test_the_timeline_fits_the_terminal() -> None:
    for columns in (60, 90, 200):
        shown = in_terminal([*COMMAND, "show", "0010", "--timeline"], columns=columns)
        bars = [STYLE.sub("", text) for text in shown.text.splitlines() if "review[" in text and "─" in text]
        assert bars
        assert max(map(len, bars)) <= columns


def test_hints_are_for_people() -> None:
    assert (
        "the step to look at first: swarmlet show 0010-slow --path 'solve/review[3]'"
        in in_terminal([*COMMAND, "show", "0010"]).text
    )
    assert without_terminal("show", "0010").stderr == ""


@pytest.mark.parametrize(
    "command", [*COMMANDS, ("export", "0010"), ("export", "0010", "--format", "chrome"), ("completion", "bash")], ids=" ".join
)
def test_a_reader_that_leaves_early_is_no_error(command: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [*COMMAND, *command], check=False, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.PIPE, env=environment()
        )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("show", "nope"), 1),
        (("diff", "0010", "nope"), 1),
        (("diff", "0010", "0011", "--exit-code"), 1),
        (("watch", "nope"), 1),
        (("watch", "0009"), 1),
        (("watch", "0012"), 3),
        (("watch", "0010", "--every", "0"), 2),
        (("top", "--by", "fame"), 2),
        (("export", "0010", "--format", "pdf"), 2),
        (("plan", "no.such.module:graph"), 2),
        (("completion", "powershell"), 2),
        (("show", "0010", "--timeline", "--path", "solve"), 2),
    ],
)
def test_the_exit_status_says_what_happened(arguments: tuple[str, ...], status: int) -> None:
    done = without_terminal(*arguments)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_help_teaches_with_examples() -> None:
    for command in ("show", "top", "stats", "diff", "watch", "export", "plan", "completion", "runs"):
        told = " ".join(without_terminal(command, "--help").stdout.split())
        assert re.search(r"swarmlet (completion )?\w+|Exit status", told), command
    assert "Exit status: 0" in without_terminal("--help").stdout


def test_a_module_is_imported_for_its_command_only(tmp_path: Path) -> None:
    code = (
        "import sys; from swarmlet.cli.main import main; main(['top', '--json']); "
        "print([name for name in sys.modules if name.startswith(('rich', 'openai', 'swarmlet.bridges', 'swarmlet.cli.show'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.endswith("}\n[]\n")


def test_a_run_that_can_go_on_is_shown_with_the_command_for_it(tmp_path: Path) -> None:
    path = tmp_path / "left.sqlite"
    with written(path) as writer:
        Scene(Recorder(RunId("killed"), (writer,)), "killed", START).play(None)
        asking(Recorder(RunId("asks"), (writer,)), START)
    shown = in_terminal([*COMMAND, "--journal", str(path), "show", "killed"])
    assert "it can go on: swarmlet resume killed app:killed" in shown.text
    shown = in_terminal([*COMMAND, "--journal", str(path), "show", "asks"])
    assert "it waits for a person: swarmlet inbox lists the questions" in shown.text
    assert "swarmlet resume" not in shown.text
