"""`Budget`: what a node, with everything under it, may spend. Only the words; `policy.ledger` does the counting."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from swarmlet.errors import GraphError
from swarmlet.policy.amount import KINDS, Kind, Slice
from swarmlet.policy.checks import is_count, is_duration

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Budget:
    """A limit on what a node and everything under it may spend. Budgets nest: a call must fit all that enclose it.

    `tokens` counts input and output together, `input_tokens` and `output_tokens` count one side, `requests` counts
    model calls with every retry, `seconds` is time. `usd` is exact, so it is given as a string, `usd="0.02"`, and kept as
    a `Decimal`. At least one limit is set, and all that are set hold.

    Before a model call its worst case is set aside. A call that does not fit now, but may when running calls give something
    back, waits; one that can never fit is not sent: its step fails with `BudgetExceeded`. `within(node, budget)` gives back
    what is finished instead, or runs another node.
    """

    tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    requests: int | None = None
    usd: Decimal | str | int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "input_tokens", "output_tokens", "requests"):
            _check_count(name, getattr(self, name))
        if self.usd is not None:
            object.__setattr__(self, "usd", _dollars(self.usd))
        _check_seconds(self.seconds)
        if not self.limits and self.seconds is None:
            names = ", ".join(f"{kind}=" for kind in KINDS)
            raise GraphError(f"Budget() limits nothing: set at least one of {names} or seconds=")

    def __repr__(self) -> str:
        """As one would write it: what limits nothing is left out."""
        given = ((one.name, getattr(self, one.name)) for one in fields(self))
        said = ((name, f"{limit:f}" if isinstance(limit, Decimal) else limit) for name, limit in given if limit is not None)
        return f"Budget({', '.join(f'{name}={limit!r}' for name, limit in said)})"

    def as_slice(self) -> Slice:
        """What a slice of this size keeps from others, against each kind of limit: `tokens` may be of either side."""
        given, made = self.input_tokens or 0, self.output_tokens or 0
        total = max(self.tokens or 0, given + made)
        usd = self.usd if isinstance(self.usd, Decimal) else Decimal(0)
        return Slice(self.requests or 0, max(given, self.tokens or 0), max(made, self.tokens or 0), usd, total)

    @property
    def limits(self) -> Mapping[Kind, int | Decimal]:
        """The limits that are set, without `seconds`, which is a deadline and not counted."""
        limits: dict[Kind, int | Decimal] = {}
        for kind in KINDS:
            limit: int | Decimal | None = getattr(self, kind)
            if limit is not None:
                limits[kind] = limit
        return limits


def _check_count(name: str, value: object) -> None:
    if value is not None and not is_count(value):
        raise GraphError(f"Budget({name}=) is a whole number of at least 1, not {value!r}; leave it out for no limit")


def _check_seconds(value: object) -> None:
    if value is not None and not is_duration(value):
        raise GraphError(f"Budget(seconds=) is a finite number above 0, not {value!r}; leave it out for no limit")


def _dollars(value: object) -> Decimal:
    """The exact amount that `value` says. A float does not say one: 0.1 is a little more than a tenth."""
    if isinstance(value, float):
        raise GraphError(f"Budget(usd=) is exact: give it as a string, usd={str(value)!r}, and not as the float {value!r}")
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        raise GraphError(f"Budget(usd=) is a string such as '0.02', a whole number or a Decimal, not {value!r}")
    try:
        usd = Decimal(value)
    except InvalidOperation:
        raise GraphError(f"Budget(usd=) is an amount such as '0.02', not {value!r}") from None
    if not usd.is_finite() or usd <= 0:
        raise GraphError(f"Budget(usd=) is a finite amount above 0, not {value!r}; leave it out for no limit")
    _, _, exponent = usd.as_tuple()
    if usd.adjusted() > 15 or int(exponent) < -30:
        raise GraphError(f"Budget(usd=) is below 10**16 and has at most 30 decimal places, not {value!r}")
    return usd
