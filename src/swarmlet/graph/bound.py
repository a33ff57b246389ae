"""`Bound`: an upper bound on a number of calls, with a symbol for everything that is not known before the run.

A polynomial with whole coefficients of at least 0: `4 + 10·(items of fetch)`. No symbol is ever below 0, so a bound with
larger coefficients is never the smaller one; that is what makes the bound of a choice simple.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

Product: TypeAlias = tuple[str, ...]
"""The symbols of a term, sorted; one that is squared stands in it twice."""

ITEMS = "items of "
TOOL_CALLS = "tool calls of "


@final
@dataclass(frozen=True, slots=True)
class Bound:
    """At most so many. Bounds are added and multiplied with one another and with whole numbers.

    `items of fetch` is the length of the longest list that the map `fetch` gets at once; `tool calls of write` is how often
    the model of agent `write` calls nodes as tools, at most, in one execution of the agent.
    """

    terms: tuple[tuple[Product, int], ...] = ()
    """Each product of symbols with its factor, the short products first; the empty product is 1."""

    @classmethod
    def of(cls, number: int) -> Bound:
        """A known number. Raises `ValueError` for one below 0."""
        if number < 0:
            raise ValueError(f"a bound is at least 0, not {number}")
        return _bound({(): number})

    @classmethod
    def symbol(cls, name: str) -> Bound:
        """A number that is not known yet."""
        return _bound({(name,): 1})

    @classmethod
    def total(cls, bounds: Iterable[Bound]) -> Bound:
        """The bound of everything that may all happen."""
        sums: Counter[Product] = Counter()
        for bound in bounds:
            sums.update(dict(bound.terms))
        return _bound(sums)

    @classmethod
    def either(cls, bounds: Iterable[Bound]) -> Bound:
        """The bound of that of which one thing happens: of each term the larger factor."""
        largest: dict[Product, int] = {}
        for bound in bounds:
            for product, factor in bound.terms:
                largest[product] = max(factor, largest.get(product, 0))
        return _bound(largest)

    def __add__(self, other: Bound | int) -> Bound:
        return Bound.total((self, _as_bound(other)))

    __radd__ = __add__

    def __mul__(self, other: Bound | int) -> Bound:
        if other in (1, _ONE):
            return self
        products: Counter[Product] = Counter()
        for left, factor in self.terms:
            for right, times in _as_bound(other).terms:
                products[tuple(sorted((*left, *right)))] += factor * times
        return _bound(products)

    __rmul__ = __mul__

    @property
    def known(self) -> int | None:
        """The number, if nothing has to be known from the run."""
        return self.at() if not self.symbols else None

    @property
    def symbols(self) -> tuple[str, ...]:
        """What has to be known, in the order of the terms."""
        return tuple(dict.fromkeys(symbol for product, _ in self.terms for symbol in product))

    def at(self, values: Mapping[str, int] | None = None, /, *, items: int | None = None, tool_calls: int | None = None) -> int:
        """The number for these values of the symbols.

        `items` is the length of every list, and `tool_calls` the number of every agent's tool calls, that `values` does not
        name. Raises `ValueError` that lists the symbols for which there is no value, and for values of unknown symbols.
        """
        given = dict(values or {})
        known = self.symbols
        if strange := [repr(name) for name in given if name not in known]:
            raise ValueError(f"the bound {self} has no {', '.join(strange)}")
        for prefix, value in ((ITEMS, items), (TOOL_CALLS, tool_calls)):
            if value is not None:
                given = {symbol: value for symbol in known if symbol.startswith(prefix)} | given
        if missing := [repr(symbol) for symbol in known if symbol not in given]:
            raise ValueError(f"the bound {self} is not known without {', '.join(missing)}: give at({{{missing[0]}: ...}})")
        if wrong := [f"{symbol!r}: {value!r}" for symbol, value in given.items() if value < 0]:
            raise ValueError(f"a number of items or calls is at least 0, not {', '.join(wrong)}")
        return sum(factor * _multiplied(given[symbol] for symbol in product) for product, factor in self.terms)

    def __str__(self) -> str:
        return " + ".join(_term(product, factor) for product, factor in self.terms) or "0"


def _bound(factors: Mapping[Product, int]) -> Bound:
    """The bound with these factors: equal ones have their terms in the same order."""
    terms = [(product, factor) for product, factor in factors.items() if factor]
    return Bound(tuple(sorted(terms, key=lambda term: (len(term[0]), term[0]))))


def _as_bound(number: Bound | int) -> Bound:
    return number if isinstance(number, Bound) else Bound.of(number)


def _multiplied(numbers: Iterable[int]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product


def _term(product: Product, factor: int) -> str:
    powers = [f"({symbol})" + (f"^{power}" if power > 1 else "") for symbol, power in Counter(product).items()]
    return "·".join([str(factor), *powers] if factor != 1 or not powers else powers)


_ONE = Bound.of(1)
