"""The code in the README and the docs runs, page by page, against a server that answers from the schema of each request."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import anyio
import pytest

from swarmlet.testing import ScriptedServer

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_of(page: Path) -> str:
    """The Python blocks of a page as one program, each at the line at which it stands, so that tracebacks point there."""
    text = page.read_text(encoding="utf-8")
    lines: list[str] = []
    for block in BLOCK.finditer(text):
        start = text.count("\n", 0, block.start(1))
        lines += [""] * (start - len(lines))
        lines += block[1].splitlines()
    return "\n".join(lines) + "\n"


def pages_with_code() -> list[object]:
    return [pytest.param(page, id=page.name) for page in PAGES if code_of(page).strip()]


@pytest.mark.parametrize("page", pages_with_code())
def test_the_code_of_the_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    program = compile(code_of(page), str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with ScriptedServer(strict=False) as server:
        server.answer_from_schema()
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)

        async def main() -> None:
            running = eval(program, module.__dict__)
            if inspect.iscoroutine(running):
                await running

        anyio.run(main)


def test_every_page_that_the_readme_names_is_there() -> None:
    named = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    missing = [target for target in named if "://" not in target and not (ROOT / target).exists()]
    assert missing == []
