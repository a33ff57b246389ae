"""Wiring is checked by type checkers as they are, with no plugin: `tests/typing` is user code with its wrong lines marked.

`# error` marks a line that every checker must flag, `# error: mypy, ty` one that only these flag. No other line may be
flagged. The files are copied, so that no checker reads the configuration of this repository.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from runpy import run_path
from typing import Any, NamedTuple

import pytest

CODE = Path(__file__).parent / "typing"
CHECKERS = {"pyright", "mypy", "ty"}
MARK = re.compile(r"  # error(?:: (?P<checkers>\w+(?:, \w+)*))?$")
PLAIN = re.compile(r"^(?P<file>[^:]+\.py):(?P<line>\d+):(?P<column>\d+:)? (?P<text>.*)$")


class Place(NamedTuple):
    """A line of the user code."""

    file: str
    line: int


def marked(checker: str) -> set[Place]:
    """The lines that `checker` must flag."""
    places: set[Place] = set()
    for path in CODE.glob("*.py"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if mark := MARK.search(line):
                named = set((mark["checkers"] or "pyright, mypy, ty").split(", "))
                assert named <= CHECKERS, f"{path.name}:{number} names an unknown checker"
                places |= {Place(path.name, number)} if checker in named else set()
            else:
                assert "# error" not in line, f"{path.name}:{number} has a mark that cannot be read"
    return places


def compare(checker: str, flagged: dict[Place, str]) -> None:
    """Fail with one readable line for each difference."""
    wanted = marked(checker)
    different = [
        f"tests/typing/{place.file}:{place.line}: {checker} "
        + (f"flags a right line: {flagged[place]}" if place in flagged else "does not flag this wrong line")
        + f"\n    {(CODE / place.file).read_text(encoding='utf-8').splitlines()[place.line - 1].strip()}"
        for place in sorted(wanted ^ flagged.keys())
    ]
    assert not different, "\n".join(["", *different])


def output_of(folder: Path, checker: str, *arguments: str) -> str:
    """What `checker` prints when it runs in `folder`. Skips where it is not installed."""
    try:
        version(checker)
    except PackageNotFoundError:
        pytest.skip(f"{checker} is not installed")
    command = [sys.executable, "-m", checker, *arguments]
    # `pyright --verifytypes` looks for packages beside the first python on the path, whatever `--pythonpath` says.
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": search}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"{checker} took longer than 300 s (pyright downloads node where there is none)")
    if done.returncode not in (0, 1) or not done.stdout.strip():  # 1: it ran, and found something
        hint = " (it needs node, and downloads it where there is none)" if checker == "pyright" else ""
        pytest.fail(f"{checker} could not run{hint}, status {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def check(folder: Path, checker: str, *arguments: str) -> str:
    """What `checker` prints about a copy of the user code in `folder`."""
    shutil.copytree(CODE, folder / "code", ignore=shutil.ignore_patterns("__pycache__"))
    return output_of(folder, checker, *arguments)


def read_json(output: str) -> Any:
    """Pyright's report; before it, at its first use, pyright may say what it downloads."""
    return json.loads(output[output.index("{") :])


def read_lines(output: str) -> dict[Place, str]:
    """What is flagged, from output with one line for each finding."""
    flagged: dict[Place, str] = {}
    for line in output.splitlines():
        if found := PLAIN.match(line):
            flagged.setdefault(Place(Path(found["file"]).name, int(found["line"])), found["text"])
    return flagged


def test_pyright_strict_flags_exactly_the_wrong_lines(tmp_path: Path) -> None:
    settings = {"include": ["code"], "typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    output = check(tmp_path, "pyright", "--outputjson", "--pythonpath", sys.executable)
    report = read_json(output)
    assert report["summary"]["filesAnalyzed"] == len(list(CODE.glob("*.py")))
    flagged: dict[Place, str] = {}
    for finding in report["generalDiagnostics"]:
        place = Place(Path(finding["file"]).name, finding["range"]["start"]["line"] + 1)
        flagged.setdefault(place, finding["message"].splitlines()[0])
    compare("pyright", flagged)


def test_mypy_strict_flags_exactly_the_wrong_lines(tmp_path: Path) -> None:
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\npython_version = 3.11\n", encoding="utf-8")
    cache = str(tmp_path / "cache")
    output = check(
        tmp_path,
        "mypy",
        "--python-executable",
        sys.executable,
        "--cache-dir",
        cache,
        "--hide-error-context",
        "--no-pretty",
        "code",
    )
    compare("mypy", {place: text for place, text in read_lines(output).items() if not text.startswith("note:")})


def test_ty_flags_exactly_the_wrong_lines(tmp_path: Path) -> None:
    output = check(
        tmp_path, "ty", "check", "--python", sys.executable, "--python-version", "3.11", "--output-format", "concise", "code"
    )
    compare("ty", read_lines(output))


@pytest.mark.parametrize("path", sorted(CODE.glob("right_*.py")), ids=lambda path: path.stem)
def test_the_right_code_also_builds(path: Path) -> None:
    run_path(str(path))


def test_every_public_name_has_a_type_that_all_checkers_read_alike(tmp_path: Path) -> None:
    options = ("--verifytypes", "swarmlet", "--ignoreexternal", "--outputjson")
    symbols = read_json(output_of(tmp_path, "pyright", *options))["typeCompleteness"]["symbols"]
    assert len(symbols) > 500
    incomplete = [
        "\n    ".join([symbol["name"], *(finding["message"] for finding in symbol["diagnostics"])])
        for symbol in symbols
        if symbol["isExported"] and not symbol["isTypeKnown"]
    ]
    assert not incomplete, "\n".join(["", *incomplete])
