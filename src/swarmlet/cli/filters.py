"""Which runs of a journal a command is about: `--graph`, `--state`, `--since`, `--until`, `--min-usd`, `--min-time`."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from swarmlet.cli import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from swarmlet.trace.journal import Journal, RunSummary

STATES: Final = ("running", "finished", "failed", "cancelled", "drained", "suspended", "lost")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def add_filters(parser: ArgumentParser) -> None:
    """The options that choose runs."""
    group = parser.add_argument_group("which runs", "All that are given must hold. TIME: 90s, 15m, 2h, 3d, 1w, or a date.")
    group.add_argument(
        "--graph", "--name", metavar="NAME", dest="graph", help="of this node: its name, or module:name where two share one"
    )
    group.add_argument(
        "--state",
        action="append",
        dest="states",
        choices=STATES,
        metavar="STATE",
        help=f"in this state, any number of times: {', '.join(STATES)} (`lost`: its process is gone)",
    )
    group.add_argument("--since", metavar="TIME", help="that started so long ago at most, or at or after this date")
    group.add_argument("--until", metavar="TIME", help="that started so long ago at least, or before this date")
    group.add_argument("--min-usd", metavar="USD", help="that cost so much at least, as far as prices are known")
    group.add_argument("--min-time", metavar="TIME", help="that took so long at least: 90s, 15m, 2h")


@dataclass(frozen=True, slots=True)
class Wish:
    """Which runs are wanted."""

    graph: str | None
    states: frozenset[str] | None
    since: float | None
    until: float | None
    usd: Decimal | None
    seconds: float | None

    @property
    def all(self) -> bool:
        """Whether every run is wanted."""
        parts = (self.graph, self.states, self.since, self.until, self.usd, self.seconds)
        return not any(part is not None for part in parts)

    def fits(self, run: RunSummary) -> bool:
        """Whether a run is wanted."""
        return (
            (self.graph is None or self.graph in (run.name, run.node))
            and (self.states is None or run.state in self.states)
            and (self.since is None or run.started_at >= self.since)
            and (self.until is None or run.started_at < self.until)
            and (self.usd is None or run.usage.usd >= self.usd)
            and (self.seconds is None or run.seconds >= self.seconds)
        )


def wish_of(options: Namespace, now: Callable[[], float] = time.time) -> Wish:
    """What the options say. Raises `UsageError`."""
    since, until = options.since, options.until
    wish = Wish(
        graph=options.graph,
        states=frozenset(options.states) if options.states else None,
        since=None if since is None else moment_of("--since", since, now()),
        until=None if until is None else moment_of("--until", until, now()),
        usd=None if options.min_usd is None else _usd(options.min_usd),
        seconds=None if options.min_time is None else span_of("--min-time", options.min_time),
    )
    if wish.since is not None and wish.until is not None and wish.since >= wish.until:
        raise UsageError(f"--since {since} is not before --until {until}, so no run can be between them")
    return wish


def runs_that_fit(journal: Journal, wish: Wish, limit: int | None = None) -> list[RunSummary]:
    """The runs that are wanted, newest first, `limit` at most."""
    if wish.all:
        return journal.runs(limit=limit)
    return [run for run in journal.runs() if wish.fits(run)][:limit]


def span_of(option: str, text: str) -> float:
    """The seconds of `90s`, `12h`. Raises `UsageError`."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", text)
    if found is None:
        raise UsageError(f"{option} is a number with a unit, such as 90m, 12h, 30d or 8w, not {text!r}")
    return float(found[1]) * _UNITS[found[2]]


def moment_of(option: str, text: str, now: float) -> float:
    """The moment of `2h` (so long ago) or of a date, in local time where it names no zone. Raises `UsageError`."""
    if re.fullmatch(r"[\d.]+[smhdw]", text):
        return now - span_of(option, text)
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} is a time span such as 2h or 3d, or a date such as 2026-11-22, not {text!r}") from error


def _usd(text: str) -> Decimal:
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or usd < 0:
        raise UsageError(f"--min-usd is an amount such as 0.02, not {text!r}")
    return usd


def limit_of(options: Namespace) -> int | None:
    """`--limit`; `None` for 0, which says all. Raises `UsageError`."""
    limit: int = options.limit
    if limit < 0:
        raise UsageError(f"--limit is a number of runs, or 0 for all, not {limit}")
    return limit or None
