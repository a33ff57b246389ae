"""docs/patterns.md shows the examples as they are."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from swarmlet import Node

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "patterns.md").read_text(encoding="utf-8")
GRAPHS = {
    "chain": "describe",
    "route": "answer",
    "parallel": "review",
    "orchestrate": "research",
    "evaluate": "headline",
}


CODE = re.compile(r"^```python title=\"(.*?)\"\n(.*?\n)```$", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"^```mermaid\n(.*?)\n```$", re.DOTALL | re.MULTILINE)


def test_the_page_shows_code_of_every_example() -> None:
    assert {title for title, _ in CODE.findall(PAGE)} == {f"examples/{name}.py" for name in GRAPHS}
    assert len(CODE.findall(PAGE)) == PAGE.count("```python")


@pytest.mark.parametrize(("title", "code"), CODE.findall(PAGE))
def test_a_code_block_stands_in_its_example_word_for_word(title: str, code: str) -> None:
    assert code in (ROOT / title).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GRAPHS)
def test_the_picture_of_a_pattern_is_its_graph(name: str) -> None:
    graph: object = getattr(import_module(f"examples.{name}"), GRAPHS[name])
    assert isinstance(graph, Node)
    assert graph.to_mermaid() in PICTURE.findall(PAGE)
