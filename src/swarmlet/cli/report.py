"""`swarmlet report RUN`: the run as one HTML file, to look at in a browser without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from swarmlet.cli import UsageError, journal_of, message, print_json
from swarmlet.trace.views import usage_data

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]

    from swarmlet.trace import Trace


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `report`."""
    parser = subparsers.add_parser("report", help="write a run as one HTML file for the browser")
    parser.add_argument("run_id", metavar="RUN", help="a run's id, the beginning of it, or `last`")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to (default: RUN.html in this folder; `-`: standard output)"
    )
    parser.add_argument("--full", action="store_true", help="keep every text whole, and the details of every step")
    parser.add_argument("--open", action="store_true", help="open it in the browser")


def run(options: Namespace) -> int:
    """Write the file, and print its path."""
    from swarmlet.trace.page import page

    to_output = options.output == "-"
    if to_output and (options.json or options.open):
        raise UsageError("-o - prints the page itself, so it goes without --json and --open")
    trace = journal_of(options).trace(options.run_id)
    text = page(trace, full=options.full)
    if to_output:
        sys.stdout.write(text)
        return 0
    file = _written(Path(options.output or f"{trace.run_id}.html"), text)
    if options.json:
        print_json(_told(trace, file))
    else:
        print(file)
    if options.open:
        _open(file)
    return 0


def _written(file: Path, text: str) -> Path:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {str(file)!r}: {error.strerror}") from error
    return file


def _told(trace: Trace, file: Path) -> dict[str, object]:
    from swarmlet.trace.analysis.insight import Insight
    from swarmlet.trace.page.summary import advice, text_of

    return {
        "run": trace.run_id,
        "file": str(file),
        "bytes": file.stat().st_size,
        "state": trace.state,
        "seconds": trace.seconds,
        "usage": usage_data(trace.usage),
        "advice": [
            {"title": title, "text": text_of(words), "node": node or None} for title, words, node in advice(Insight(trace))
        ],
    }


def _open(file: Path) -> None:
    import webbrowser

    if not webbrowser.open(file.resolve().as_uri()):
        message(f"found no browser; the report is in {file}")
