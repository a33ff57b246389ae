"""docs/patterns.md and docs/examples show the examples as they are."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import cast

import pytest

import examples
from swarmlet import Node

ROOT = Path(__file__).parents[2]
PATTERNS = ROOT / "docs" / "patterns.md"
PAGES = [PATTERNS, *sorted((ROOT / "docs" / "examples").glob("*.md"))]
GRAPHS = {
    "chain": "describe",
    "route": "answer",
    "parallel": "review",
    "orchestrate": "research",
    "evaluate": "headline",
}


CODE = re.compile(r"^```python title=\"(.*?)\"\n(.*?\n)```$", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"^```mermaid\n(.*?)\n```$", re.DOTALL | re.MULTILINE)


def blocks() -> Iterator[object]:
    for page in PAGES:
        for number, (title, code) in enumerate(CODE.findall(page.read_text(encoding="utf-8"))):
            yield pytest.param(title, code, id=f"{page.stem}-{number}")


def test_the_page_of_patterns_shows_code_of_every_pattern() -> None:
    page = PATTERNS.read_text(encoding="utf-8")
    assert {title for title, _ in CODE.findall(page)} == {f"examples/{name}.py" for name in GRAPHS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_says_where_it_is_from(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(CODE.findall(text)) == text.count("```python") > 0


@pytest.mark.parametrize(("title", "code"), list(blocks()))
def test_a_code_block_stands_in_its_example_word_for_word(title: str, code: str) -> None:
    assert code in (ROOT / title).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GRAPHS)
def test_the_picture_of_a_pattern_is_its_graph(name: str) -> None:
    graph: object = getattr(import_module(f"examples.{name}"), GRAPHS[name])
    assert isinstance(graph, Node)
    assert graph.to_mermaid() in PICTURE.findall(PATTERNS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_the_pictures_of_an_example_are_graphs_of_it(page: Path) -> None:
    drawn = set(PICTURE.findall(page.read_text(encoding="utf-8")))
    assert drawn <= {graph.to_mermaid() for graph in graphs_of(page.stem)}


def graphs_of(name: str) -> Iterator[Node[..., object]]:
    package = import_module(f"examples.{name}")
    for found in pkgutil.iter_modules(package.__path__):
        if found.name == "__main__":
            continue
        module = import_module(f"{package.__name__}.{found.name}")
        for value in vars(module).values():
            several = cast("dict[str, object]", value).values() if isinstance(value, dict) else [value]
            yield from (one for one in several if isinstance(one, Node))


def test_every_example_has_a_page() -> None:
    packages = {found.name for found in pkgutil.iter_modules(examples.__path__) if found.ispkg}
    assert packages == {page.stem for page in PAGES[1:]}
