"""What the error of a request that was not recorded shows."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from swarmlet.testing.replays.shown import difference, words


def asks(*texts: str, **settings: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text} for text in texts], **settings}


def test_only_the_lines_that_differ_are_shown() -> None:
    old, new = asks("one\ntwo\nthree", "x"), asks("one\n2\nthree", "x")
    assert difference(old, new) == ["message 1 (user): [-two-]{+2+}"]


def test_lines_that_came_or_went_are_shown_whole() -> None:
    assert difference(asks("one\ntwo"), asks("one\ntwo\nthree")) == ["message 1 (user): {+three+}"]
    assert difference(asks("one", "two"), asks("one")) == ["message 2 (user): [-two-]"]


def test_settings_tools_and_schemas_are_named() -> None:
    old = asks("x", seed=7, tools=[{"name": "t", "description": "Looks up."}], format={"name": "City"})
    new = asks("x", seed=8, tools=[{"name": "t", "description": "Looks down."}], format={"name": "Town"})
    assert difference(old, new) == [
        "seed: [-7-]{+8+}",
        """tool 't': "description": "Looks [-up-]{+down+}.",""",
        """reply format: "name": "[-City-]{+Town+}\"""",
    ]


def test_a_long_line_is_shown_around_what_differs() -> None:
    assert words("a " * 1000 + "b" + " c" * 1000, "a " * 1000 + "d" + " c" * 1000) == (
        "..." + "a " * 20 + "[-b-]{+d+}" + " c" * 20 + "..."
    )


def test_many_differences_are_counted() -> None:
    old, new = ("\n".join(f"{letter}{number}" for number in range(50)) for letter in "ab")
    shown = difference(asks(old), asks(new))
    assert len(shown) == 9
    assert shown[-1] == "... and 42 more lines"


def test_what_cannot_be_seen_is_escaped() -> None:
    assert difference(asks("a"), asks("a\u202e\x1b[2J")) == ["message 1 (user): a{+\\u202e\\u001b[2J+}"]


@given(st.text(max_size=60), st.text(max_size=60))
def test_marks_can_be_read_back(old: str, new: str) -> None:
    shown = words(old, new)
    assert ("[-" in shown or "{+" in shown) == (old != new) or set("[-{+") & set(old + new)
    assert shown.isprintable()
