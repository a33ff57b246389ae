"""`swarmlet plan TARGET`: what a run may take at most, what runs of it took before, and what would make it quicker."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from swarmlet.cli import UsageError, journal_of, message, print_json, print_table
from swarmlet.cli.check import importing, nodes_named
from swarmlet.cli.past import Past, past_of
from swarmlet.cli.worst import at_most, usd_of, worst_case
from swarmlet.errors import JournalError
from swarmlet.graph.bound import ITEMS, Bound
from swarmlet.graph.expr import evaluate, slots
from swarmlet.trace.views import Data, Table, duration, line, visible

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from collections.abc import Iterator, Mapping

    from swarmlet.cli.worst import Worst
    from swarmlet.graph.node import Node
    from swarmlet.graph.shape import AnyNode

_RUNS: Final = 200
_ROWS: Final = 200


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `plan`."""
    parser = subparsers.add_parser(
        "plan",
        help="say what a run may cost at most, what it will likely cost, and what would make it quicker",
        description="Say before a run what it may take at most (calls, tokens, USD: bounds, from the graph alone), what "
        "runs of the same graph took before (medians and 90th percentiles, from the journal), and which change would shorten "
        "it most.",
        epilog='Examples: `swarmlet plan app.flow:solve`, `swarmlet plan app.flow:solve --input \'{"text": "..."}\'`.',
    )
    parser.add_argument("target", metavar="TARGET", help="the graph, `package.module:name`")
    parser.add_argument("--input", metavar="JSON|@FILE", help="its argument, or an object of its arguments by name")
    parser.add_argument("--items", type=int, metavar="N", help="how many items lists have that the input does not tell")
    parser.add_argument("--tool-calls", type=int, metavar="N", help="how often agents call nodes as tools, at most")
    parser.add_argument("--model", default="gpt-4o-mini", help="the model where none is named (default gpt-4o-mini)")
    parser.add_argument(
        "--limit", type=int, default=_RUNS, metavar="N", help=f"look at the newest N runs of it (default {_RUNS}; 0: all)"
    )


def run(options: Namespace) -> int:
    """Print the plan."""
    node = _node(options.target)
    symbols = _symbols(node, options)
    worst = worst_case(node, options.model)
    past = _past(options, node)
    if options.json:
        print_json(_data(options.target, node, worst, symbols, past))
        return 0
    for text in (*_worst_lines(options.target, node, worst, symbols), *_likely_lines(node, past)):
        print(text)
    print()
    print_table(_table(node, past))
    for text in _change_lines(past):
        print(text)
    return 0


def _node(target: str) -> AnyNode:
    sys.path.insert(0, str(Path.cwd()))  # also for what its modules import later
    with importing():
        found = list(nodes_named(target).values()) if ":" in target else []
    if len(found) != 1:
        raise UsageError(f"{target!r} names no node: give package.module:name")
    return cast("AnyNode", found[0])


def _past(options: Namespace, node: AnyNode) -> Past:
    if options.limit < 0:
        raise UsageError(f"--limit is a number of runs, or 0 for all, not {options.limit}")
    try:
        return past_of(journal_of(options), node, options.limit or None)
    except JournalError as error:
        message(f"nothing is known of past runs: {error}")
        return Past()


# The input


def _symbols(node: AnyNode, options: Namespace) -> dict[str, int]:
    """What is known of how many items and tool calls there will be."""
    plan = cast("Node[..., object]", node).plan
    found: dict[str, int] = {}
    for symbol in plan.calls.symbols:
        given: int | None = options.items if symbol.startswith(ITEMS) else options.tool_calls
        if given is not None and given < 0:
            raise UsageError("--items and --tool-calls are numbers of at least 0")
        if given is not None:
            found[symbol] = given
    if options.input is None:
        return found
    values = _arguments(node, options.input)
    known = [values.get(name) for name in plan.inputs]
    for step in plan.steps:
        if step.node.shape.word == "each" and step.args and all(slot < len(known) for slot in slots(step.args[0])):
            items = evaluate(step.args[0], known)
            if isinstance(items, list | tuple):
                found[ITEMS + step.path.rpartition("/")[2]] = len(cast("list[object]", items))
    return found


def _arguments(node: AnyNode, text: str) -> dict[str, object]:
    """The arguments, checked by their types. Raises `UsageError`."""
    from pydantic import TypeAdapter, ValidationError

    try:
        given = cast("object", json.loads(Path(text[1:]).read_text("utf-8") if text.startswith("@") else text))
    except (OSError, ValueError) as error:
        raise UsageError(f"--input is JSON, or @ and the name of a file with JSON: {error}") from error
    parameters = node.signature.parameters_by_name
    named = _object(given)
    if not (named and set(named) <= set(parameters)):
        if len(parameters) != 1:
            raise UsageError(f"--input is an object of {node.name}'s arguments by name: {', '.join(parameters) or 'none'}")
        named = {next(iter(parameters)): given}
    values: dict[str, object] = {}
    for name, value in named.items():
        try:
            values[name] = TypeAdapter[object](parameters[name].annotation).validate_python(value)
        except ValidationError as error:
            raise UsageError(f"--input does not fit {name!r} of {node.name}: {error}") from error
    return values


def _object(given: object) -> dict[str, object]:
    return cast("dict[str, object]", given) if isinstance(given, dict) else {}


# At most


def _bounds(node: AnyNode, worst: Worst) -> Iterator[tuple[str, Bound | None, str]]:
    plan = cast("Node[..., object]", node).plan
    yield "calls", plan.calls, ""
    yield "requests", worst.requests, "with all retries"
    yield "output_tokens", worst.written, "max_tokens of each"
    yield "input_tokens", worst.read, "the model's window"


def _worst_lines(target: str, node: AnyNode, worst: Worst, symbols: Mapping[str, int]) -> Iterator[str]:
    def said(bound: Bound | None) -> str:
        number = None if bound is None else at_most(bound, symbols)
        return "?" if bound is None else visible(str(bound)) if number is None else f"{number:,}"

    plan = cast("Node[..., object]", node).plan
    yield f"{line(target)}: what a run takes"
    yield f"at most  {said(plan.calls)} calls; with all retries {said(worst.requests)} requests"
    yield f"         {said(worst.written)} tokens written (max_tokens=), {said(worst.read)} read (the window of the model)"
    nano = None if worst.nano_usd is None else at_most(worst.nano_usd, symbols)
    models = ", ".join(sorted(map(line, worst.models))) or "no model"
    if nano is not None:
        yield f"         {usd_of(nano):.4f} USD, at the dearest prices of {models}"
    elif worst.nano_usd is None:
        yield f"         USD not known: there is no price for {models}"
    else:
        yield "         USD not known without the numbers above: --input, --items N, --tool-calls N"
    budget = node.options.budget
    if budget is not None:
        limits = [f"{kind.replace('_', ' ')} {limit:,}" for kind, limit in budget.limits.items()]
        limits += [f"{budget.seconds:g} seconds"] if budget.seconds is not None else []
        yield f"budget   {', '.join(limits)}: no call starts that does not fit"


# Likely


def _likely_lines(node: AnyNode, past: Past) -> Iterator[str]:
    if not past.runs:
        yield f"likely   not known: no run of {line(node.name)} in the journal has finished; run it once, and ask again"
        return
    seconds, tokens, usd, calls = (past.spread(name) for name in ("seconds", "tokens", "usd", "calls"))
    took = f"{duration(seconds[0])} (p90 {duration(seconds[1])}), {calls[0]:,.0f} calls (p90 {calls[1]:,.0f})"
    spent = f"{tokens[0]:,.0f} tokens (p90 {tokens[1]:,.0f}), {usd[0]:.6f} USD (p90 {usd[1]:.6f})"
    yield f"likely   {took}, {spent}"
    yield f"         medians of {past.runs:,} finished {'run' if past.runs == 1 else 'runs'}" + (
        f"; {past.changed:,} of the newest {past.looked:,} ran another version of the graph" if past.changed else ""
    )


def _table(node: AnyNode, past: Past) -> Table:
    columns: tuple[str, ...] = ("step", "what", "bound", "calls at most")
    rows = cast("Node[..., object]", node).plan.outline.rows[:_ROWS]
    cells = [[line("  " * row.depth + row.label), row.what, line(row.limits), line(str(row.calls))] for row in rows]
    if past.runs:
        columns += ("steps a run", "time p50", "time p90", "tokens p50", "tokens p90", "USD p50", "on the path")
        for row, cell in zip(rows, cells, strict=True):
            cell.extend(past.cells(row.path))
    return Table(columns, frozenset(columns[3:]), [tuple(cell) for cell in cells])


def _change_lines(past: Past) -> Iterator[str]:
    if not past.runs:
        return
    yield ""
    if not past.changes:
        yield "no single change would have shortened those runs: what runs beside the longest steps takes as long"
        return
    yield f"what would shorten it, by the {past.looked:,} newest of those runs (medians):"
    for number, change in enumerate(past.changes[:4], 1):
        yield f"{number}. {change}"


def _data(target: str, node: AnyNode, worst: Worst, symbols: Mapping[str, int], past: Past) -> Data:
    nano = None if worst.nano_usd is None else at_most(worst.nano_usd, symbols)
    budget = node.options.budget
    bounds = {
        name: None if bound is None else {"text": str(bound), "at_most": at_most(bound, symbols)}
        for name, bound, _ in _bounds(node, worst)
    }
    return {
        "target": target,
        "node": node.origin,
        "at_most": bounds | {"usd": None if nano is None else str(usd_of(nano))},
        "symbols": dict(symbols),
        "models": sorted(worst.models),
        "budget": None if budget is None else {kind: _plain(limit) for kind, limit in budget.limits.items()},
        "likely": past.data() if past.runs else None,
        "rows": [
            {"path": row.path, "what": row.what, "calls": str(row.calls), "past": past.row(row.path)}
            for row in cast("Node[..., object]", node).plan.outline.rows[:_ROWS]
        ],
        "changes": [change.data() for change in past.changes],
    }


def _plain(limit: int | Decimal) -> int | str:
    return str(limit) if isinstance(limit, Decimal) else limit
