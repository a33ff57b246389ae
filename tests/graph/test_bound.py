"""Bounds are polynomials: they add, multiply and compare like the numbers that they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.graph.bound import Bound

ITEMS = Bound.symbol("items of fetch")
CALLS = Bound.symbol("tool calls of write")
VALUES = {"items of fetch": 3, "tool calls of write": 5}


def bounds() -> st.SearchStrategy[Bound]:
    leaves = st.one_of(st.integers(0, 9).map(Bound.of), st.sampled_from([ITEMS, CALLS]))
    return st.recursive(
        leaves, lambda inner: st.tuples(inner, inner, st.booleans()).map(lambda pair: _combined(*pair)), max_leaves=6
    )


def _combined(one: Bound, other: Bound, add: bool) -> Bound:
    return one + other if add else one * other


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (Bound(), "0"),
        (Bound.of(0), "0"),
        (Bound.of(1), "1"),
        (ITEMS, "(items of fetch)"),
        (4 + 10 * ITEMS, "4 + 10·(items of fetch)"),
        (ITEMS * ITEMS + 1, "1 + (items of fetch)^2"),
        (CALLS * 2 * ITEMS + ITEMS, "(items of fetch) + 2·(items of fetch)·(tool calls of write)"),
        (0 * ITEMS, "0"),
    ],
)
def test_a_bound_reads_like_a_formula(bound: Bound, text: str) -> None:
    assert str(bound) == text


def test_a_known_bound_is_a_number() -> None:
    assert (Bound.of(7).known, Bound().known, (ITEMS + 1).known) == (7, 0, None)
    assert Bound.of(7).at() == 7
    assert Bound.of(7).at(items=100) == 7


def test_symbols_get_values_by_name_or_by_kind() -> None:
    bound = 2 + 3 * ITEMS + CALLS * Bound.symbol("items of read")
    assert bound.symbols == ("items of fetch", "items of read", "tool calls of write")
    assert bound.at(items=10, tool_calls=1) == 42
    assert bound.at({"items of read": 0}, items=10, tool_calls=1) == 32
    assert bound.at({"items of read": 2, "items of fetch": 1, "tool calls of write": 4}) == 13


def test_missing_values_are_listed() -> None:
    with pytest.raises(ValueError, match="without 'items of fetch', 'tool calls of write'"):
        (ITEMS * CALLS).at()
    with pytest.raises(ValueError, match="without 'tool calls of write'"):
        (ITEMS * CALLS).at(items=3)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match="has no 'items of fech'"):
        ITEMS.at({"items of fech": 3})
    with pytest.raises(ValueError, match="at least 0"):
        ITEMS.at(items=-1)
    with pytest.raises(ValueError, match="at least 0"):
        Bound.of(-1)


@given(bounds(), bounds(), bounds())
def test_bounds_calculate_like_their_values(one: Bound, other: Bound, third: Bound) -> None:
    assert (one + other).at(_known(one + other)) == _at(one) + _at(other)
    assert _at(one * other) == _at(one) * _at(other)
    assert one + other == other + one
    assert one * other == other * one
    assert (one + other) * third == one * third + other * third
    assert Bound.total([one, other, third]) == sum([one, other, third], Bound())
    assert hash(one + other) == hash(other + one)


@given(bounds(), bounds())
def test_a_choice_is_bounded_by_neither_less_than_one_nor_more_than_both(one: Bound, other: Bound) -> None:
    either = _at(Bound.either([one, other]))
    assert max(_at(one), _at(other)) <= either <= _at(one + other)
    assert Bound.either([one, one]) == one
    assert Bound.either([]) == Bound()


def _known(bound: Bound) -> dict[str, int]:
    return {symbol: VALUES[symbol] for symbol in bound.symbols}


def _at(bound: Bound) -> int:
    return bound.at(_known(bound))
