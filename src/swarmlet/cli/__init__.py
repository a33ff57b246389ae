"""The `swarmlet` command. `main` reads the command line; one module for each subcommand does the work.

What the subcommands share is here: data goes to standard output, as tables (with rich) or as JSON (without); messages
go to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from swarmlet.trace import Journal
    from swarmlet.trace.journal import Store
    from swarmlet.trace.views import Table

_PIPED_WIDTH: Final = 10_000
"""Where the output is not a terminal, no line is cut: programs read it."""

_WRAPPED: Final = {"attempts": 16, "notes": 24}
"""The columns that are wrapped in a narrow terminal, and the width that they keep. No other text is ever cut."""

_GAP: Final = 3
"""Between two columns."""

_STATE_STYLES: Final = {
    "finished": "green",
    "failed": "bold red",
    "running": "yellow",
    "cancelled": "dim",
    "drained": "magenta",
    "suspended": "cyan",
    "lost": "red",
}


class UsageError(Exception):
    """The command cannot be carried out as it was given; says so in one sentence. Exit status 2."""


def add_common(parser: ArgumentParser, *, suppress: bool) -> None:
    """The options of all subcommands, which may stand before and after the subcommand's name."""
    named: object = argparse.SUPPRESS if suppress else None
    as_json: object = argparse.SUPPRESS if suppress else False
    parser.add_argument(
        "--journal",
        metavar="PATH|URL",
        default=named,
        help="the journal: a file, or postgresql://... (default: SWARMLET_JOURNAL, else one in the user's state folder)",
    )
    parser.add_argument("--json", action="store_true", default=as_json, help="print JSON")


def store_of(options: Namespace) -> Store:
    """Where the journal is that `--journal` names, or `SWARMLET_JOURNAL`, or the user's own."""
    from swarmlet.trace.journal import SqliteJournal, default_path

    named: str = options.journal or os.environ.get("SWARMLET_JOURNAL", "")
    if named.startswith(("postgresql://", "postgres://")):
        from swarmlet.bridges.journals import PostgresJournal

        return PostgresJournal(named)
    if "://" in named:
        raise UsageError(f"--journal is the path of a file, or a URL that begins with postgresql://, not {_shown(named)!r}")
    return SqliteJournal(named or default_path())


def _shown(url: str) -> str:
    """The kind of URL; the rest may hold a password."""
    return f"{url.partition('://')[0]}://..."


def journal_of(options: Namespace) -> Journal:
    """That journal, for reading."""
    from swarmlet.trace.journal import Journal

    return Journal(store_of(options))


def message(text: str) -> None:
    """Tell the user something that is no data."""
    from swarmlet.trace.views import visible

    print(f"swarmlet: {visible(text)}", file=sys.stderr)


def print_json(data: object) -> None:
    """Print `data` as JSON in plain ASCII, in which no terminal finds anything to obey."""
    print(json.dumps(data, indent=2, default=str).replace("\x7f", "\\u007f"))


def print_table(table: Table) -> None:
    """Print `table` with rich, which is imported here and nowhere else. Texts are shown as they are, never as markup."""
    try:
        from rich.box import SIMPLE
        from rich.cells import cell_len
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text
    except ImportError as error:
        raise UsageError("tables need rich: pip install 'swarmlet[cli]', or ask for --json") from error
    printed = RichTable(box=SIMPLE, show_edge=False, pad_edge=False)
    needed = 0
    for column, cells in zip(table.columns, zip(*table.rows, strict=True), strict=True):
        width = max(cell_len(cell) for cell in (column, *cells))
        wraps = _WRAPPED.get(column, width)
        needed += min(width, wraps) + _GAP
        justify: Literal["left", "right"] = "right" if column in table.numbers else "left"
        printed.add_column(column, justify=justify, no_wrap=width <= wraps, overflow="fold")
    for row in table.rows:
        printed.add_row(*(Text(cell, _STATE_STYLES.get(cell, "")) for cell in row))
    console = Console(highlight=False)
    console.width = max(console.width, needed) if sys.stdout.isatty() else _PIPED_WIDTH
    with console.capture() as capture:  # printed by Python, whose error for a closed pipe `main` knows
        console.print(printed)
    for text in capture.get().splitlines():
        print(text.rstrip())
