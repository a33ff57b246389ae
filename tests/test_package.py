"""What the package shows to the outside, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import swarmlet
import swarmlet.testing
import swarmlet.trace

SOURCE = Path(swarmlet.__file__).parent


@pytest.mark.parametrize("module", [swarmlet, swarmlet.trace], ids=lambda module: module.__name__)
def test_all_lists_exactly_the_public_names(module: ModuleType) -> None:
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    assert public == set(module.__all__)


def test_every_listed_name_of_the_test_kit_is_there() -> None:
    assert [name for name in swarmlet.testing.__all__ if not hasattr(swarmlet.testing, name)] == []


@pytest.mark.parametrize("module", ["swarmlet", "swarmlet.testing.plugin", "swarmlet.cli.main", "swarmlet.bridges.local"])
def test_importing_it_imports_neither_the_sdk_nor_any_extra(module: str) -> None:
    extras = "{'openai', 'httpx2', 'rich', 'structlog', 'griffe', 'xllamacpp', 'h11', 'trio'}"
    code = f"import sys, {module}; print(*sorted({extras} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_no_file_is_too_long_to_be_read_in_one_sitting() -> None:
    lengths = {path.relative_to(SOURCE): path.read_text("utf-8").count("\n") for path in SOURCE.rglob("*.py")}
    assert {str(path): length for path, length in lengths.items() if length > 600} == {}


def test_the_typing_marker_and_the_demo_data_are_in_the_package() -> None:
    assert (SOURCE / "py.typed").exists()
    assert (SOURCE / "cli" / "demo" / "inbox.json").exists()
    assert (SOURCE / "bridges" / "local" / "chat.jinja").exists()
