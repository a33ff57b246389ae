"""The `swarmlet` command. `main` reads the command line; one module for each subcommand does the work.

What the subcommands share is here: data goes to standard output, as tables or as JSON; messages go to standard error.
Tables are drawn with rich where that is installed, and plainly where it is not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    from swarmlet.trace import Journal
    from swarmlet.trace.journal import Store
    from swarmlet.trace.views import Table

Piece: TypeAlias = tuple[str, str]
"""A text and how it is shown: a style of rich, or nothing."""

_WIDTH: Final = 100
"""Of what is drawn to fit, where nothing says how wide that is."""

_PIPED_WIDTH: Final = 10_000
"""Where the output is not a terminal, no line is cut: programs read it."""

_WRAPPED: Final = {"attempts": 16, "notes": 24}
"""The columns that are wrapped in a narrow terminal, and the width that they keep. No other text is ever cut."""

_DRAWN: Final = 1000
"""Rows of a table that rich draws: it takes most of a millisecond for each."""

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


# Terminals


def is_coloured(stream: TextIO | None = None) -> bool:
    """Whether colours are wanted: in a terminal, or where FORCE_COLOR says so, and never where NO_COLOR is set."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return _is_terminal(stream or sys.stdout) and os.environ.get("TERM") != "dumb"


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def text_width() -> int:
    """Characters of a line that is drawn to fit: the terminal's, else COLUMNS, else 100."""
    import shutil

    if sys.stdout.isatty():
        return max(40, shutil.get_terminal_size((_WIDTH, 24)).columns)
    named = os.environ.get("COLUMNS", "")
    return max(40, min(int(named), 1000)) if named.isdecimal() and int(named) else _WIDTH


def print_styled(lines: Iterable[Sequence[Piece]]) -> None:
    """Print lines of (text, style), in colours where these are wanted and rich is there. Texts are shown as they are."""
    coloured = is_coloured() and has_rich()
    for pieces in lines:
        print(_coloured(pieces) if coloured else "".join(text for text, _ in pieces).rstrip())


def _coloured(pieces: Sequence[Piece]) -> str:
    from rich.color import ColorSystem
    from rich.style import Style

    colours = ColorSystem.STANDARD
    return "".join(Style.parse(style).render(text, color_system=colours) if style else text for text, style in pieces)


def has_rich() -> bool:
    """Whether the extra `cli` is installed."""
    if "rich" in sys.modules:
        return sys.modules["rich"] is not None  # type: ignore[redundant-expr,unused-ignore]  # None: its import is forbidden
    from importlib.util import find_spec

    return find_spec("rich") is not None


def print_table(table: Table) -> None:
    """Print `table`, with rich where it is there. Texts are shown as they are, never as markup."""
    drawn = has_rich() and len(table.rows) <= _DRAWN
    for text in _rich_lines(table) if drawn else _plain_lines(table):
        print(text.rstrip())


def _plain_lines(table: Table) -> Iterator[str]:
    """Aligned columns, no colours, no line cut."""
    rows = [table.columns, *table.rows]
    widths = [max(cell_width(row[index]) for row in rows) for index in range(len(table.columns))]
    rule = tuple("-" * width for width in widths)
    for row in [table.columns, rule, *table.rows]:
        cells = zip(row, widths, table.columns, strict=True)
        yield "  ".join(_padded(cell, width, right=column in table.numbers) for cell, width, column in cells)


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_width(cell))
    return space + cell if right else cell + space


def cell_width(text: str) -> int:
    """The columns that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _rich_lines(table: Table) -> list[str]:
    from rich.box import SIMPLE
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

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
    return capture.get().splitlines()


def hint(text: str) -> None:
    """What the user may want to do next. Only for people: programs that read what is printed are told nothing."""
    if sys.stdout.isatty() or sys.stderr.isatty():
        from swarmlet.trace.views import visible

        print(visible(text), file=sys.stderr)
