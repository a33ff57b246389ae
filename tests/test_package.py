"""What the package shows to the outside, and what importing it costs."""

from __future__ import annotations

import ast
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
def test_all_lists_exactly_the_names_that_the_file_imports_by_name(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    named = {one.asname for line in ast.walk(tree) if isinstance(line, ast.ImportFrom) for one in line.names if one.asname}
    assert named == set(module.__all__)


@pytest.mark.parametrize("module", [swarmlet, swarmlet.trace], ids=lambda module: module.__name__)
def test_every_public_name_is_there_in_whatever_order_they_are_asked_for(module: ModuleType) -> None:
    code = "import sys, importlib; m = importlib.import_module(sys.argv[1]); [getattr(m, name) for name in reversed(m.__all__)]"
    subprocess.run([sys.executable, "-c", code, module.__name__], check=True)
    kinds = f"from {module.__name__} import *; import types; assert not isinstance(globals().get('graph'), types.ModuleType)"
    subprocess.run([sys.executable, "-c", kinds], check=True)


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
