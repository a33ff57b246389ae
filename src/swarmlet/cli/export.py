"""`swarmlet export RUN`: a run for other tools: lines of JSON, Chrome's trace events (Perfetto), or OpenTelemetry spans."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from swarmlet.cli import UsageError, journal_of, message
from swarmlet.errors import SwarmletError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from collections.abc import Iterator

    from swarmlet.trace.journal import Journal


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `export`."""
    parser = subparsers.add_parser(
        "export",
        help="write a run for other tools: JSON lines, Chrome trace (Perfetto), OTLP",
        description="Write a run for other tools. jsonl: everything, prompts and replies too, as `read_export` reads it. "
        "chrome: open it in https://ui.perfetto.dev or chrome://tracing. otlp: OpenTelemetry spans as OTLP/JSON, which "
        "collectors take at /v1/traces (needs the extra otel).",
        epilog="Examples: `swarmlet export last --format chrome -o run.json`, "
        "`swarmlet export last --format otlp | curl --json @- http://localhost:4318/v1/traces`.",
    )
    parser.add_argument("run_id", metavar="RUN", help="a run's id, the beginning of it, or `last`")
    parser.add_argument("--format", choices=("jsonl", "chrome", "otlp"), default="jsonl", help="what to write (default jsonl)")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to (default: standard output)")
    parser.add_argument("--content", action="store_true", help="otlp: put prompts and replies into the spans, too")


def run(options: Namespace) -> int:
    """Write the run. A file is there whole or not at all."""
    if options.content and options.format != "otlp":
        raise UsageError("--content is for --format otlp: jsonl has all contents, and chrome none")
    pieces = _PIECES[options.format](journal_of(options), options)
    if options.output is None:
        for piece in pieces:
            sys.stdout.write(piece)
        return 0
    target = Path(options.output)
    beside = target.with_name(f".{target.name}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
        beside.replace(target)
    except OSError as error:
        raise SwarmletError(f"cannot write {options.output!r}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    message(f"wrote {options.output}")
    return 0


def _jsonl(journal: Journal, options: Namespace) -> Iterator[str]:
    for text in journal.export(options.run_id):
        yield f"{text}\n"


def _chrome(journal: Journal, options: Namespace) -> Iterator[str]:
    from swarmlet.cli.chrome import chrome_events

    trace = journal.trace(options.run_id)
    about = {"run": trace.run_id, "node": trace.started.node, "state": trace.state}
    yield '{"displayTimeUnit":"ms","otherData":' + json.dumps(about) + ',"traceEvents":[\n'
    for number, event in enumerate(chrome_events(trace)):
        yield (",\n" if number else "") + json.dumps(event, separators=(",", ":"))
    yield "\n]}\n"


def _otlp(journal: Journal, options: Namespace) -> Iterator[str]:
    try:
        from swarmlet.bridges.otel import otlp_json
    except ImportError as error:
        raise UsageError(str(error)) from error
    yield otlp_json(journal.trace(options.run_id), content=options.content).decode()
    yield "\n"


_PIECES = {"jsonl": _jsonl, "chrome": _chrome, "otlp": _otlp}
