"""Tables in Markdown, and figures in JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Cell = str | float | None
BEGIN, END = "<!-- tests.bench: begin -->", "<!-- tests.bench: end -->"
PACKAGES = ("swarmlet", "anyio", "pydantic", "openai", "trio", "uvloop")


@dataclass
class Table:
    """A table; cells that are numbers keep all their digits in the JSON."""

    title: str
    head: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list[Sequence[Cell]])
    notes: list[str] = field(default_factory=list[str])

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", _line(self.head), _line(["---"] * len(self.head))]
        lines += [_line([shown(cell) for cell in row]) for row in self.rows]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes), ""])


def shown(cell: Cell) -> str:
    """Three digits that count; thousands with commas."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if abs(cell) >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.3g}" if abs(cell) < 0.1 else f"{cell:.2f}" if abs(cell) < 10 else f"{cell:.1f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def packages() -> dict[str, str]:
    """The versions of what matters, as far as it is installed."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def surroundings(backend: str) -> dict[str, str]:
    """When, where and on what this was measured."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "load": ", ".join(f"{one:.1f}" for one in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "event loop": backend,
        "packages": ", ".join(f"{name} {number}" for name, number in packages().items()),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def described(facts: dict[str, str], tables: Sequence[Table]) -> str:
    """A run, for a page."""
    about = "; ".join(facts[name] for name in ("date", "machine", "python", "packages"))
    return "\n".join([f"{about}; load {facts['load']}.", "", *(table.markdown() for table in tables)])


def replace_between_marks(page: Path, text: str) -> None:
    """Put `text` between the marks in a page of the documentation."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise SystemExit(f"{page} has no {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def write_json(path: Path, facts: dict[str, str], tables: Sequence[Table], figures: dict[str, float]) -> None:
    """All of a run, for machines."""
    record = {
        "about": facts,
        "tables": [{"title": one.title, "head": list(one.head), "rows": [list(row) for row in one.rows]} for one in tables],
        "figures": figures,
        "argv": sys.argv[1:],
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
