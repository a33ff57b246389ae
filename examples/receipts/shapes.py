"""What goes in and what comes out. Every text, list and figure that a model writes is bounded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field

from swarmlet import Image

Text = Annotated[str, Field(max_length=60)]
Code = Annotated[str, Field(min_length=3, max_length=3, description="ISO 4217, such as EUR")]
Money = Annotated[Decimal, Field(max_digits=9, decimal_places=2)]
Count = Annotated[Decimal, Field(max_digits=7, decimal_places=3)]


class Scan(BaseModel):
    """A receipt as it comes in: as a text, or as a picture."""

    name: str
    received: date
    content: Annotated[str, Field(max_length=10_000)] | Image


class Line(BaseModel):
    name: Text
    quantity: Count | None = Field(description="if it is printed")
    unit_price: Money | None = Field(description="if it is printed")
    amount: Money


class Discount(BaseModel):
    name: Text
    amount: Money = Field(description="what it takes off")


class Tax(BaseModel):
    percent: Annotated[Decimal, Field(max_digits=4, decimal_places=2)]
    net: Money | None = Field(description="what it is on, if that is printed")
    amount: Money


class Receipt(BaseModel):
    shop: Text
    day: date | None = Field(description="as YYYY-MM-DD")
    currency: Code
    lines: list[Line] = Field(max_length=20)
    discounts: list[Discount] = Field(max_length=6)
    taxes: list[Tax] = Field(max_length=4)
    tip: Money
    total: Money = Field(description="what was paid in the end; negative if it was paid back")


class NotAReceipt(BaseModel):
    what: Text = Field(description="what it is instead")


Reading: TypeAlias = Receipt | NotAReceipt


@dataclass(frozen=True)
class Doubt:
    """Something that does not add up."""

    about: Literal["line", "sum", "tax", "day", "print"]
    text: str


@dataclass(frozen=True)
class Attempt:
    """A receipt on its way: how it was read last, and what does not add up in that."""

    scan: Scan
    receipt: Receipt | None = None
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True)
class Accepted:
    """Everything adds up. `doubted` is what did not in the reading before."""

    receipt: Receipt
    doubted: tuple[Doubt, ...] = ()


@dataclass(frozen=True)
class ForPerson:
    """Still in doubt: the best reading that there is, and what is wrong with it."""

    reading: Receipt
    doubts: tuple[Doubt, ...]


Verdict: TypeAlias = Accepted | ForPerson | NotAReceipt
