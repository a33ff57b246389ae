"""The completion scripts, in the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from swarmlet.cli.main import COMMANDS, main
from tests.cli.slow_run import slow_journal

Captured = pytest.CaptureFixture[str]
needs = {
    shell: pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")
    for shell in ("bash", "zsh", "fish")
}


@pytest.fixture
def home(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the three scripts, a journal, and `swarmlet` in the path."""
    slow_journal(tmp_path / "journal.sqlite")
    monkeypatch.setenv("SWARMLET_JOURNAL", str(tmp_path / "journal.sqlite"))
    for shell in needs:
        assert main(["completion", shell]) == 0
        (tmp_path / f"script.{shell}").write_text(capsys.readouterr().out)
    command = tmp_path / "swarmlet"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m swarmlet "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def shell(home: Path, *command: str) -> list[str]:
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=home, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


def bash(home: Path, *words: str) -> list[str]:
    given = " ".join(f"'{word}'" for word in words)
    script = (
        f'. ./script.bash; COMP_WORDS=({given}); COMP_CWORD={len(words) - 1}; _swarmlet; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    return shell(home, "bash", "--norc", "-c", script)


@needs["bash"]
def test_bash_completes_commands_options_values_and_runs(home: Path) -> None:
    assert set(bash(home, "swarmlet", "")) == set(COMMANDS)
    assert bash(home, "swarmlet", "sho") == ["show"]
    assert {"--timeline", "--path", "--journal", "--json"} <= set(bash(home, "swarmlet", "show", "--"))
    assert bash(home, "swarmlet", "top", "--by", "t") == ["tokens"]
    assert bash(home, "swarmlet", "export", "last", "--format", "") == ["jsonl", "chrome", "otlp"]
    assert bash(home, "swarmlet", "show", "001") == ["0012-asks", "0011-quick", "0010-slow"]
    assert bash(home, "swarmlet", "diff", "0010-slow", "la") == ["last"]
    assert bash(home, "swarmlet", "--journal", "script.b") == ["script.bash"]
    assert bash(home, "swarmlet", "journal", "p") == ["prune"]
    assert {"bash", "zsh", "fish"} <= set(bash(home, "swarmlet", "completion", ""))


@needs["fish"]
def test_fish_completes_commands_options_values_and_runs(home: Path) -> None:
    def fish(line: str) -> list[str]:
        return shell(home, "fish", "--no-config", "-c", f"source script.fish; complete -C '{line}' | cut -f1")

    assert set(COMMANDS) <= set(fish("swarmlet "))
    assert "--timeline" in fish("swarmlet show --t")
    assert fish("swarmlet top --by t") == ["tokens"]
    assert {"0010-slow", "0011-quick"} <= set(fish("swarmlet show 001"))


@needs["zsh"]
def test_zsh_completes_commands_options_values_and_runs(home: Path) -> None:
    # zsh completes only in its line editor, which is driven in a pty of its own (zsh/zpty)
    script = """
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "PROMPT=; autoload -Uz compinit; compinit -u -d $PWD/dump; source ./script.zsh"
        zpty -w shell "bindkey '^I' complete-word; zstyle ':completion:*' insert-unambiguous no"
        zpty -w shell "zle-line-init() { print ready-''now; }; zle -N zle-line-init"  # its line editor has begun
        text=
        while [[ $text != *ready-now* ]]; do zpty -r shell piece || break; text+=$piece; done
        zpty -w -n shell "$1"$'\\t'
        zpty -w -n shell $'\\x15'"print over-''done"$'\\n'
        while [[ $text != *over-done* ]]; do zpty -r shell piece || break; text+=$piece; done
        print -r -- "$text"
    """

    def zsh(line: str) -> str:
        done = subprocess.run(
            ["zsh", "-f", "-c", script, "-", line], check=False, capture_output=True, text=True, cwd=home, timeout=60
        )
        return done.stdout.partition("ready-now")[2]

    assert "swarmlet show" in zsh("swarmlet sho")
    assert "--timeline" in zsh("swarmlet show --tim")
    assert "tokens" in zsh("swarmlet top --by t")
    assert "0010-slow" in zsh("swarmlet show 0010")


def test_ids_are_offered_also_where_there_is_no_journal(tmp_path: Path, capsys: Captured) -> None:
    assert main(["completion", "ids", "--journal", str(tmp_path / "none.sqlite")]) == 0
    assert capsys.readouterr() == ("last\n", "")
