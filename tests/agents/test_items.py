"""The items of a list in JSON that is still being written."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from swarmlet.agents.items import ItemScanner, Keys

nasty = st.text(st.sampled_from('\\"[]{},: \n`é\U0001f600\u2028aé'), max_size=8) | st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | nasty
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(nasty, inner, max_size=3), max_leaves=8
)


def scanned(text: str, cuts: list[int], *wanted: Keys) -> list[tuple[Keys, int, Any]]:
    """What a scanner finds in a text that comes in pieces."""
    scanner = ItemScanner(wanted)
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[begin:end] for begin, end in itertools.pairwise(edges)]
    return [(keys, index, from_json(item)) for piece in pieces for keys, index, item in scanner.feed(piece)]


@given(st.data(), st.lists(values, max_size=6), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_any_list_cut_anywhere_gives_exactly_its_items(
    data: st.DataObject, items: list[Any], ascii_: bool, indent: Any
) -> None:
    text = json.dumps(items, ensure_ascii=ascii_, indent=indent)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=len(text)))

    assert scanned(text, cuts, ()) == [((), index, item) for index, item in enumerate(items)]


@given(st.data(), st.dictionaries(nasty, values, max_size=3), st.lists(values, max_size=4), st.lists(values, max_size=4), nasty)
def test_lists_are_found_where_they_are_in_an_object(
    data: st.DataObject, around: dict[str, Any], first: list[Any], second: list[Any], key: str
) -> None:
    whole: dict[str, Any] = {**around, key: {"other": first, "deep": {"list": second}}, "top": first}
    text = json.dumps(whole, ensure_ascii=data.draw(st.booleans()))
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=20))
    expected: list[tuple[Keys, list[Any]]] = [
        (path, list_) for path, list_ in (((key, "deep", "list"), second), (("top",), first)) if path[0] in whole
    ]
    if key == "top":
        expected = [((key, "deep", "list"), [])]

    found = scanned(text, cuts, (key, "deep", "list"), ("top",))

    for path, list_ in expected:
        assert [item for keys, _, item in found if keys == path] == list_
        assert [index for keys, index, _ in found if keys == path] == list(range(len(list_)))


def test_an_item_is_complete_when_a_comma_or_the_end_follows_it() -> None:
    scanner = ItemScanner([("value",)])

    assert not scanner.feed('{"value": [12')
    assert scanner.feed("3,") == [(("value",), 0, "123")]
    assert not scanner.feed(' {"a": "]"}')
    assert scanner.feed("]") == [(("value",), 1, ' {"a": "]"}')]
    assert not scanner.over
    assert not scanner.feed("}")
    assert scanner.over


def test_a_long_list_is_read_once() -> None:
    text = json.dumps({"value": [{"text": "x" * 50, "n": n} for n in range(2000)]})
    steps = ItemScanner([("value",)])
    found = 0
    for at in range(0, len(text), 3):
        found += len(steps.feed(text[at : at + 3]))
        assert len(steps._parts or ()) < 60, "only the open item is kept"  # pyright: ignore[reportPrivateUsage]
    assert found == 2000


def test_json_in_a_fence_is_found_and_other_text_is_not() -> None:
    fenced = '\n ```json\n{"value": [1, 2]}\n```\n'
    for cut in range(len(fenced)):
        assert [item for _, _, item in scanned(fenced, [cut], ("value",))] == [1, 2]
    for text in ("Here you are: [1, 2]", "```python\n[1, 2]\n```", '"[1, 2]"', "", "``` " + "x" * 200):
        assert not scanned(text, [], ())


def test_what_is_no_json_ends_it() -> None:
    assert [item for _, _, item in scanned("[1,,2]", [], ())] == [1]
    assert [item for _, _, item in scanned("[1}, 2]", [], ())] == [1]
    assert [item for _, _, item in scanned("[1] [2]", [], ())] == [1]
    assert [item for _, _, item in scanned('{"a": [1], "a": [2]}', [], ("a",))] == [1], "which of them counts is not known"
    assert not scanned("]]]", [], ())
    assert not scanned('{"a\\ud8zz": [1]}', [], ("a",))
