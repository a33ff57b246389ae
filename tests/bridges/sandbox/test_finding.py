"""Which sandbox is taken, and what is said where there is none. Each in a process that really lacks what it lacks."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swarmlet.bridges.sandbox import Bubblewrap, Monty, SandboxLimits, find_sandbox
from tests.bridges.sandbox.boxes import needs_bubblewrap, needs_monty

HIDES_MONTY = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pydantic_monty":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""
FINDS = """
from swarmlet.bridges.sandbox import SandboxMissing, find_sandbox
try:
    print(find_sandbox().name)
except SandboxMissing as missing:
    print("missing:", missing)
"""


def said(code: str, path: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": path}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def strange() -> Iterator[Callable[[str], str]]:
    """Makes a PATH on which `bwrap` is a script of these lines: in a folder that other users can enter, as root becomes one."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)

        def make(lines: str) -> str:
            script = Path(folder) / "bwrap"
            script.write_text(f"#!/bin/sh\n{lines}\n")
            script.chmod(0o755)
            return folder + os.pathsep + os.environ["PATH"]

        yield make


@needs_bubblewrap
def test_the_full_python_is_taken_where_it_works() -> None:
    assert said(FINDS, os.environ["PATH"]) == "bubblewrap"
    assert isinstance(find_sandbox(SandboxLimits(seconds=3), at_once=2), Bubblewrap)


@needs_monty
def test_without_bubblewrap_the_interpreter_is_taken(tmp_path: Path) -> None:
    assert said(FINDS, str(tmp_path)) == "monty"


def test_without_either_it_is_said_what_to_install(tmp_path: Path) -> None:
    told = said(HIDES_MONTY + FINDS, str(tmp_path))
    assert told.startswith("missing: no sandbox for Python code works here.")
    assert "pip install 'swarmlet[sandbox]'" in told
    if sys.platform == "linux":
        assert "apt install bubblewrap" in told


@needs_bubblewrap
def test_a_bubblewrap_that_may_not_make_namespaces_is_not_taken(strange: Callable[[str], str]) -> None:
    told = said(HIDES_MONTY + FINDS, strange('echo "bwrap: No permissions to create a new namespace" >&2; exit 1'))
    assert "No permissions to create a new namespace" in told
    assert "does not let users make user namespaces" in told
    assert "security-opt" in told


@needs_bubblewrap
def test_a_bubblewrap_that_is_too_old_is_not_taken(strange: Callable[[str], str]) -> None:
    path = strange('echo "bwrap: Unknown option --disable-userns" >&2; exit 1')
    assert "bubblewrap 0.8 or newer is needed" in said(HIDES_MONTY + FINDS, path)


@needs_bubblewrap
def test_a_bubblewrap_that_hangs_is_not_waited_for_for_ever(strange: Callable[[str], str]) -> None:
    hurries = "import swarmlet.bridges.sandbox.machine as machine\nmachine._TRY_SECONDS = 1\n"
    assert "did not end within 1 seconds" in said(HIDES_MONTY + hurries + FINDS, strange("exec sleep 600"))


def test_running_without_the_backend_says_what_to_install(tmp_path: Path) -> None:
    runs = """
import anyio
from swarmlet.bridges.sandbox import Bubblewrap, Monty, SandboxMissing
for box in (Bubblewrap(), Monty()):
    try:
        anyio.run(box.run, "print(1)")
    except SandboxMissing as missing:
        print("missing:", missing)
"""
    told = said(HIDES_MONTY + runs, str(tmp_path)).splitlines()
    assert [line.partition(":")[0] for line in told] == ["missing", "missing"]
    assert "pydantic-monty is not installed: pip install 'swarmlet[sandbox]'" in told[1]


def test_importing_the_bridge_imports_neither_monty_nor_openai() -> None:
    code = "import sys, swarmlet.bridges.sandbox\nprint({'pydantic_monty', 'openai', 'ctypes'} & set(sys.modules))"
    assert "monty" not in said(code, os.environ["PATH"])
    assert "openai" not in said(code, os.environ["PATH"])


@pytest.mark.parametrize("field", ["seconds", "cpu_seconds", "memory_mb", "output_kb", "disk_mb", "processes"])
@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, "5", None, True, 10**9])
def test_limits_are_numbers_above_zero(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"SandboxLimits\({field}=\) is a (whole )?number above 0"):
        SandboxLimits(**{field: value})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("field", ["memory_mb", "output_kb", "disk_mb", "processes"])
def test_sizes_are_whole_numbers(field: str) -> None:
    with pytest.raises(ValueError, match="is a whole number above 0"):
        SandboxLimits(**{field: 64.5})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_memory_that_python_itself_needs_is_the_least() -> None:
    with pytest.raises(ValueError, match=r"SandboxLimits\(memory_mb=\) is at least 32"):
        SandboxLimits(memory_mb=31)


@needs_monty
@needs_bubblewrap
def test_the_smallest_limits_still_run_a_program() -> None:
    import anyio

    least = SandboxLimits(seconds=60, cpu_seconds=1, memory_mb=32, output_kb=1, disk_mb=1, processes=1)
    for box in (Bubblewrap(least), Monty(least)):
        assert anyio.run(box.run, "print(1)").stdout == "1\n"
