"""The arithmetic of a receipt, in plain code: it costs no tokens and does not err."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from examples.receipts.shapes import Doubt, NotAReceipt, Reading, Receipt, Scan

CENTS = Decimal("0.02")
"""What rounding may make of a line."""
ROUNDING = Decimal("0.05")
"""What it may make of a sum; some countries have no smaller coin."""
OLDEST = timedelta(days=3653)
PRINTED = re.compile(r"(?<!\d)\d+(?:[.,']\d{3})*[.,]\d{2}(?!\d)")


def doubts(receipt: Receipt, scan: Scan) -> tuple[Doubt, ...]:
    """All that does not add up."""
    return (*lines(receipt), *total(receipt), *taxes(receipt), *day(receipt, scan), *prints(receipt, scan))


def lines(receipt: Receipt) -> Iterator[Doubt]:
    for line in receipt.lines:
        if line.quantity is None or line.unit_price is None:
            continue
        amount = line.quantity * line.unit_price
        if abs(amount - line.amount) > CENTS:
            yield Doubt("line", f"{line.name}: {line.quantity} x {line.unit_price} is {amount}, not {line.amount}")


def total(receipt: Receipt) -> Iterator[Doubt]:
    """Some shops print prices with the tax in them, others add it at the end."""
    goods = sum(line.amount for line in receipt.lines) - sum(abs(one.amount) for one in receipt.discounts)
    with_tip = goods + receipt.tip
    with_tax = with_tip + sum(tax.amount for tax in receipt.taxes)
    if min(abs(with_tip - receipt.total), abs(with_tax - receipt.total)) > ROUNDING:
        yield Doubt("sum", f"lines, discounts and tip come to {with_tip}, but the total is {receipt.total}")


def taxes(receipt: Receipt) -> Iterator[Doubt]:
    for tax in receipt.taxes:
        most = receipt.total if tax.net is None else tax.net
        amount = most * tax.percent / 100
        if abs(tax.amount) > abs(amount) + ROUNDING or (tax.net is not None and abs(amount - tax.amount) > ROUNDING):
            yield Doubt("tax", f"{tax.percent} % of {most} is {amount:.2f}, not {tax.amount}")


def day(receipt: Receipt, scan: Scan) -> Iterator[Doubt]:
    if receipt.day is None:
        yield Doubt("day", "there is no date")
    elif not scan.received - OLDEST <= receipt.day <= scan.received:
        yield Doubt("day", f"{receipt.day} is no date for a receipt that came in on {scan.received}")


def prints(receipt: Receipt, scan: Scan) -> Iterator[Doubt]:
    """Figures that a model has made up, so that all adds up. Of a picture only a person can tell."""
    if not isinstance(scan.content, str):
        return
    there = {Decimal(re.sub(r"\D", "", found)) / 100 for found in PRINTED.findall(scan.content)}
    for amount in {abs(one) for one in (receipt.total, *(line.amount for line in receipt.lines))} - there:
        yield Doubt("print", f"{amount} is not printed on it")


def figures(reading: Reading) -> object:
    """What two readings must have in common to agree: the figures, and not how names are spelt or lines are ordered."""
    if isinstance(reading, NotAReceipt):
        return None
    amounts = sorted(line.amount for line in reading.lines)
    taken = sorted(abs(one.amount) for one in reading.discounts)
    return reading.day, reading.currency.upper(), amounts, taken, reading.tip, reading.total
