"""`swarmlet diff A B`: what a later run did otherwise than an earlier one, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swarmlet.cli import journal_of, message, print_json, print_styled, print_table
from swarmlet.trace.views import Data, Table, duration, line, usage_data

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from collections.abc import Iterator

    from swarmlet.trace import Trace
    from swarmlet.trace.analysis.diff import StepDiff, TraceDiff

_SHOWN: Final = 50
_PLAIN: Final = frozenset({"node", "inputs", "output"})
"""What differs without an amount."""


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `diff`."""
    parser = subparsers.add_parser(
        "diff",
        help="compare two runs, step by step",
        description="Compare two runs, step by step: what only one of them executed, and what took other time, tokens or USD, "
        "had other inputs or gave another output. Times that differ by less than a fifth are alike.",
        epilog="Exit status: 0 also where they differ; with --exit-code 1 then, as of `diff`.",
    )
    parser.add_argument("before", metavar="A", help="the earlier run: its id, the beginning of it, or `last`")
    parser.add_argument("after", metavar="B", help="the later run")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if they differ")
    parser.add_argument(
        "--all", action="store_true", help=f"show every step that differs (default: {_SHOWN}, the largest first)"
    )


def run(options: Namespace) -> int:
    """Print what differs."""
    journal = journal_of(options)
    before, after = journal.trace(options.before), journal.trace(options.after)
    found = before.diff(after)
    if options.json:
        print_json(_data(before, after, found))
    else:
        _print(before, after, found, None if options.all else _SHOWN)
    return 1 if found and options.exit_code else 0


def _print(before: Trace, after: Trace, found: TraceDiff, most: int | None) -> None:
    print_styled([[(text, "")] for text in _heading(before, after, found)])
    ordered = sorted(found.changed, key=lambda step: (-abs(step.seconds), -abs(step.usd)))[:most]
    rows: list[tuple[str, ...]] = [("-", line(path), "only in A", "", "", "") for path in found.only_before[:most]]
    rows += [("+", line(path), "only in B", "", "", "") for path in found.only_after[:most]]
    rows += [("~", *_row(step)) for step in ordered]
    if rows:
        columns = ("", "step", "what", "time", "tokens", "USD")
        print_table(Table(columns, frozenset(columns[3:]), rows))
    left = len(found.only_before) + len(found.only_after) + len(found.changed) - len(rows)
    if left:
        message(f"{left:,} more steps differ: --all shows them")


def _heading(before: Trace, after: Trace, found: TraceDiff) -> Iterator[str]:
    yield f"A {line(before.run_id)}: {line(before.started.name)} ({line(before.started.node)})"
    yield f"B {line(after.run_id)}: {line(after.started.name)} ({line(after.started.node)})"
    (took, takes), (spent, spends), (state, now) = found.seconds, found.usage, found.state
    yield f"state   {state}" + (f" -> {now}" if now != state else "")
    yield f"time    {duration(took)} -> {duration(takes)}{_change(takes - took, took)}"
    tokens = (spent.total_tokens, spends.total_tokens)
    yield f"tokens  {tokens[0]:,} -> {tokens[1]:,}{_change(tokens[1] - tokens[0], tokens[0])}"
    yield f"USD     {spent.usd:.6f} -> {spends.usd:.6f}{_change(float(spends.usd - spent.usd), float(spent.usd))}"
    gone, new = len(found.only_before), len(found.only_after)
    yield f"steps   {found.same:,} alike, {len(found.changed):,} changed, {gone:,} gone, {new:,} new"
    yield ""


def _change(by: float, before: float) -> str:
    return f" ({by / before:+.0%})" if before and by else ""


def _row(step: StepDiff) -> tuple[str, ...]:
    said = [f"{step.before.state} -> {step.after.state}" if one == "state" else f"other {one}" for one in step.what]
    told = [text for one, text in zip(step.what, said, strict=True) if one == "state" or one in _PLAIN]
    seconds = f"{'+' if step.seconds > 0 else '-'}{duration(abs(step.seconds))}" if "seconds" in step.what else ""
    tokens = f"{step.tokens:+,}" if step.tokens else ""
    return line(step.path), ", ".join(told), seconds, tokens, f"{step.usd:+.6f}" if step.usd else ""


def _data(before: Trace, after: Trace, found: TraceDiff) -> Data:
    return {
        "before": before.run_id,
        "after": after.run_id,
        "differ": bool(found),
        "state": list(found.state),
        "seconds": list(found.seconds),
        "usage": [usage_data(usage) for usage in found.usage],
        "only_before": list(found.only_before),
        "only_after": list(found.only_after),
        "same": found.same,
        "changed": [
            {
                "path": step.path,
                "what": list(step.what),
                "state": [step.before.state, step.after.state],
                "seconds": step.seconds,
                "tokens": step.tokens,
                "usd": str(step.usd),
            }
            for step in found.changed
        ],
    }
