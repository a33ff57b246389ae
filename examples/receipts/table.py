"""A verdict as a line of the table."""

from __future__ import annotations

from examples.receipts.shapes import Accepted, ForPerson, NotAReceipt, Receipt, Scan, Verdict
from swarmlet import Failed, Usage
from swarmlet.trace import visible


def row(scan: Scan, verdict: Verdict | Failed, spent: Usage) -> str:
    what, receipt, why = told(verdict)
    shop, day, total = ("", "", "") if receipt is None else (receipt.shop, receipt.day or "", money(receipt))
    known = f"{scan.name[:16]:<17}{shop[:24]:<25}{day!s:<12}{total:>11}"
    return visible(f"{known}  {what:<14}{spent.requests:>5}{spent.usd:>10.6f}  {why}".rstrip())


def told(verdict: Verdict | Failed) -> tuple[str, Receipt | None, str]:
    match verdict:
        case Accepted(receipt, doubted):
            return "accepted", receipt, ", ".join(dict.fromkeys(doubt.about for doubt in doubted))
        case ForPerson(receipt, doubts):
            return "for a person", receipt, "; ".join(doubt.text for doubt in doubts)
        case NotAReceipt(what=what):
            return "no receipt", None, what
        case Failed():
            return "failed", None, verdict.type


def money(receipt: Receipt) -> str:
    return f"{receipt.total} {receipt.currency}"
