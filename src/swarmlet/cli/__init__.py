"""The `swarmlet` command. `main` reads the command line; one module for each subcommand does the work.

What the subcommands share is here: data goes to standard output, as tables (with rich) or as JSON (without); messages
go to standard error.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from argparse import Namespace

    from swarmlet.trace import Journal
    from swarmlet.trace.views import Table

_PIPED_WIDTH: Final = 10_000
"""Where the output is not a terminal, no line is cut: programs read it."""

_STATE_STYLES: Final = {"finished": "green", "failed": "bold red", "running": "yellow", "cancelled": "dim"}


class UsageError(Exception):
    """The command cannot be carried out as it was given; says so in one sentence. Exit status 2."""


def journal(options: Namespace) -> Journal:
    """The journal that `--journal` names, or the user's own."""
    from swarmlet.trace.journal import Journal, default_path

    return Journal(options.journal or default_path())


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
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text
    except ImportError as error:
        raise UsageError("tables need rich: pip install 'swarmlet[cli]', or ask for --json") from error
    printed = RichTable(box=SIMPLE, show_edge=False, pad_edge=False)
    for name in table.columns:
        wraps = name in ("step", "notes")
        printed.add_column(name, justify="right" if name in table.numbers else "left", no_wrap=not wraps, overflow="fold")
    for row in table.rows:
        printed.add_row(*(Text(cell, _STATE_STYLES.get(cell, "")) for cell in row))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    with console.capture() as capture:  # printed by Python, whose error for a closed pipe `main` knows
        console.print(printed)
    for text in capture.get().splitlines():
        print(text.rstrip())
