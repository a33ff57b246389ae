"""A run as plain data, and as tables for pandas and polars, of which neither is part of swarmlet.

Columns of `steps`, a row for each executed step: `run, path, node, state, begin, seconds`; `attempts, calls, tools`;
`requests, input_tokens, cached_tokens, output_tokens, usd` of its own calls, so that columns add up; `slack`, and `critical`
for the seconds that it has on the critical path; and `in_model, in_first_token, in_tool, ...`, the seconds of each kind of
`Split`.

Columns of `calls`, a row for each attempt of a model call: `run, path, node, turn, attempt, model, state, begin, seconds,
first_token, limit_waited, budget_waited, retry_in, input_tokens, cached_tokens, output_tokens, estimated, usd, saved_usd,
finish_reason, error`.

Times are seconds since 1970 (UTC), durations are seconds, amounts are floats; what is not known is `None`.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from swarmlet.trace.analysis.kinds import KINDS, Split
from swarmlet.trace.record import price_of
from swarmlet.trace.views import step_data, trace_data
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from swarmlet.trace.analysis.critical import CriticalPath
    from swarmlet.trace.read import Trace
    from swarmlet.trace.refed import Feed

Row: TypeAlias = dict[str, object]


def to_dict(trace: Trace, *, contents: bool = False) -> dict[str, object]:
    """A run as plain data.

    What `swarmlet show --json` gives: `id, name, node, version, state, started_at, seconds, usage, error, inputs, output` and
    `steps`, all of the tree, parents first, each with `path, node` (`null` for a group), `state, started_at, seconds, waited,
    usage, attempts, retries, calls, tools, notes, error`. Beyond it `split` (seconds of all steps by kind), `critical_path`
    (`seconds` and `legs`: `path, node, begin, end, seconds, share, why, split`), `slack` (seconds by path), `waits` (seconds by
    path and kind) and `refed` (tokens; `refed_usd` and `refed_saved` as decimal texts).

    Without `contents` prompts, replies, inputs and outputs of steps are left out; the run's own are in it.
    """
    data = trace_data(trace)
    if contents:
        data["steps"] = [step_data(step, trace) for step in trace.root.walk()]
    data["split"] = trace.split().as_dict()
    data["critical_path"] = _path_data(trace.critical_path())
    data["slack"] = trace.slacks()
    data["waits"] = {path: dict(split.items()) for path, split in trace.waits().steps.items()}
    data["refed"] = _feed_data(trace.refed())
    return data


def _path_data(path: CriticalPath) -> Row:
    legs: list[Row] = [
        {
            "path": leg.path,
            "node": leg.node,
            "begin": leg.begin,
            "end": leg.end,
            "seconds": leg.seconds,
            "share": leg.share,
            "why": leg.why,
            "split": dict(leg.split.items()),
        }
        for leg in path.legs
    ]
    return {"seconds": path.seconds, "legs": legs}


def _feed_data(feed: Feed) -> Row:
    data: Row = asdict(feed)
    return data | {"refed_usd": str(feed.refed_usd), "refed_saved": str(feed.refed_saved)}


def step_rows(trace: Trace) -> list[Row]:
    """The table of steps, as rows."""
    critical: dict[str, float] = {}
    for leg in trace.critical_path().legs:
        critical[leg.path] = critical.get(leg.path, 0.0) + leg.seconds
    rows: list[Row] = []
    for step in trace.steps():
        own = Usage.total(call.usage for call in step.calls)
        split: Split = trace.split(step)
        row: Row = {
            "run": trace.run_id,
            "path": step.path,
            "node": step.node,
            "state": step.state,
            "begin": step.begin,
            "seconds": step.seconds,
            "attempts": step.attempts,
            "calls": len(step.calls),
            "tools": len(step.tools),
            "requests": own.requests,
            "input_tokens": own.input_tokens,
            "cached_tokens": own.cached_tokens,
            "output_tokens": own.output_tokens,
            "usd": float(own.usd),
            "slack": trace.slack(step),
            "critical": critical.get(step.path, 0.0),
        }
        rows.append(row | {f"in_{kind}": getattr(split, kind) for kind in KINDS})
    return rows


def call_rows(trace: Trace) -> list[Row]:
    """The table of model calls, as rows."""
    return [
        {
            "run": trace.run_id,
            "path": step.path,
            "node": step.node,
            "turn": call.started.turn,
            "attempt": call.started.attempt,
            "model": (call.ended and call.ended.model) or call.started.model,
            "state": call.state,
            "begin": call.started.at,
            "seconds": call.seconds,
            "first_token": call.ended.first_token if call.ended else None,
            "limit_waited": call.started.waited,
            "budget_waited": call.started.budget_waited,
            "retry_in": call.ended.retry_in if call.ended else None,
            "input_tokens": call.usage.input_tokens,
            "cached_tokens": call.usage.cached_tokens,
            "output_tokens": call.usage.output_tokens,
            "estimated": call.started.estimated,
            "usd": _amount(call.ended.usd if call.ended else None),
            "saved_usd": _amount(call.ended.saved_usd if call.ended else None),
            "finish_reason": call.ended.finish_reason if call.ended else None,
            "error": call.ended.error.type if call.ended and call.ended.error else None,
        }
        for step in trace.root.walk()
        for call in step.calls
    ]


def _amount(text: str | None) -> float | None:
    price = price_of(text)
    return None if price is None else float(price)


def to_pandas(trace: Trace, rows: Literal["steps", "calls"]) -> Any:  # Any: pandas may not be there, nor its types
    """See `Trace.to_pandas`."""
    return _module("pandas").DataFrame(_columns(trace, rows))


def to_polars(trace: Trace, rows: Literal["steps", "calls"]) -> Any:  # Any: as above
    """See `Trace.to_polars`."""
    return _module("polars").DataFrame(_columns(trace, rows), strict=False)


def _columns(trace: Trace, rows: Literal["steps", "calls"]) -> dict[str, list[object]]:
    """By column, so that the columns are there also without rows."""
    if rows not in ("steps", "calls"):
        raise ValueError(f"rows is 'steps' or 'calls', not {rows!r}")
    table = step_rows(trace) if rows == "steps" else call_rows(trace)
    names = STEP_COLUMNS if rows == "steps" else CALL_COLUMNS
    return {name: [row[name] for row in table] for name in names}


def _module(name: str) -> Any:  # Any: a module that may not be there
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"this needs {name}, which is not part of swarmlet: pip install {name}") from error


STEP_COLUMNS: tuple[str, ...] = (
    *("run", "path", "node", "state", "begin", "seconds", "attempts", "calls", "tools"),
    *("requests", "input_tokens", "cached_tokens", "output_tokens", "usd", "slack", "critical"),
    *(f"in_{kind}" for kind in KINDS),
)
CALL_COLUMNS: tuple[str, ...] = (
    *("run", "path", "node", "turn", "attempt", "model", "state", "begin", "seconds", "first_token"),
    *("limit_waited", "budget_waited", "retry_in", "input_tokens", "cached_tokens", "output_tokens", "estimated"),
    *("usd", "saved_usd", "finish_reason", "error"),
)
