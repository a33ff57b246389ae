"""`swarmlet show RUN`: the steps of a run as a tree, or with `--path` all that is recorded of one step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from swarmlet.cli import journal_of, print_json, print_table
from swarmlet.errors import SwarmletError
from swarmlet.trace.read import ToolRecord
from swarmlet.trace.views import (
    Data,
    duration,
    fault_text,
    line,
    moment,
    money,
    step_data,
    step_table,
    trace_data,
    visible,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]

    from pydantic import JsonValue

    from swarmlet.trace import CallRecord, RunStarted, StepRecord, StepStarted, Trace
    from swarmlet.trace.events import Digest
    from swarmlet.usage import Usage


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `show`."""
    parser = subparsers.add_parser("show", help="show the steps of a run, or one step with its prompts and replies")
    parser.add_argument("run_id", metavar="RUN", help="a run's id, the beginning of it, or `last`")
    parser.add_argument("--path", metavar="STEP", help="show this step with all that is recorded of it")


def run(options: Namespace) -> int:
    """Print the run, or the step."""
    trace = journal_of(options).trace(options.run_id)
    if options.path is not None:
        _show_step(trace, _step(trace, options.path), as_json=options.json)
    elif options.json:
        print_json(trace_data(trace))
    else:
        table = step_table(trace)
        for text in _heading(trace):
            print(text)
        print_table(table)
    return 0


def _step(trace: Trace, path: str) -> StepRecord:
    try:
        return trace.step(path)
    except KeyError as error:
        raise SwarmletError(error.args[0]) from error


def _heading(trace: Trace) -> Iterator[str]:
    yield f"run {line(trace.run_id)}: {line(trace.started.name)} ({line(trace.started.node)})"
    yield f"{trace.state}, started {moment(trace.started.at)}, took {duration(trace.seconds)}, {_cost(trace.usage)}"
    if trace.ended and trace.ended.error:
        yield from _section("error", fault_text(trace.ended.error))
    yield ""


def _cost(usage: Usage) -> str:
    if not usage.total_tokens:
        return "cost not known" if usage.unpriced_requests else "no tokens"
    return f"{usage.input_tokens:,} tokens in ({usage.cached_tokens:,} cached), {usage.output_tokens:,} out, {money(usage)} USD"


# One step


def _show_step(trace: Trace, step: StepRecord, *, as_json: bool) -> None:
    if as_json:
        print_json(step_data(step, trace) | _run_contents(trace, step))
        return
    for text in _step_lines(trace, step):
        print(text)


def _run_contents(trace: Trace, step: StepRecord) -> Data:
    """A group at the root has no events of its own: its inputs, output and error are the run's."""
    if step is not trace.root or step.started:
        return {}
    whole = trace_data(trace)
    return {"inputs": whole["inputs"], "output": whole["output"], "error": whole["error"]}


def _step_lines(trace: Trace, step: StepRecord) -> Iterator[str]:
    node = f" ({line(step.started.node)})" if step.started else ""
    waited = f", after waiting {duration(step.started.waited)}" if step.started and step.started.waited else ""
    yield f"step {line(step.path)}{node}"
    yield f"{step.state}, {duration(step.seconds) or 'not ended'}{waited}, {_cost(step.usage)}"
    contents = cast("dict[str, JsonValue]", step_data(step, trace) | _run_contents(trace, step))
    yield from _section("inputs", _captured(contents["inputs"], step.started or trace.started))
    for retry in step.retries:
        yield f"attempt {retry.attempt} failed, next in {duration(retry.wait)}: {line(fault_text(retry.error))}"
    yield from _work(trace, step)
    for note in step.notes:
        yield from _section("note", note.message)
    if step.ended and step.ended.error:
        yield from _section("error", fault_text(step.ended.error))
    yield from _section("output", contents["output"])
    if step.children:
        yield from _section("steps below", [child.path for child in step.children])


def _captured(values: JsonValue, started: StepStarted | RunStarted) -> JsonValue:
    """The values of inputs; without capture there are names only, and `null` would look like a value."""
    names = cast("dict[str, JsonValue]", values)
    return {name: "(not captured)" if started.inputs.get(name) is None else item for name, item in names.items()}


def _work(trace: Trace, step: StepRecord) -> Iterator[str]:
    """Model and tool calls in the order in which they began; of a request only what the one before did not say."""
    before: JsonValue = None
    work: list[CallRecord | ToolRecord] = [*step.calls, *step.tools]
    for record in sorted(work, key=lambda record: record.started.at):
        if isinstance(record, ToolRecord):
            yield from _tool_lines(trace, record)
        else:
            request = _without_nothing(cast("JsonValue", trace.request(record)))
            yield from _call_lines(trace, record, _beyond(before, request))
            before = request


def _call_lines(trace: Trace, call: CallRecord, request: JsonValue) -> Iterator[str]:
    started, ended = call.started, call.ended
    attempt = f", attempt {started.attempt}" if started.attempt > 1 else ""
    waited = f", after waiting {duration(started.waited)}" if started.waited else ""
    yield (
        f"call of turn {started.turn}{attempt}: {line((ended and ended.model) or started.model)}, {call.state}, "
        f"{duration(call.seconds) or 'not ended'}{waited}, {_cost(call.usage)}"
    )
    yield from _section("request", "as before" if request == {} else request, "  ")
    if ended is None:
        return
    yield from _section("reply", _without_nothing(_value(trace, ended.reply)), "  ")
    if ended.error:
        again = "" if ended.retry_in is None else f"; tried again after {duration(ended.retry_in)}"
        yield from _section("error", f"{fault_text(ended.error)}{again}", "  ")


def _tool_lines(trace: Trace, tool: ToolRecord) -> Iterator[str]:
    yield (f"tool {line(tool.started.tool)} of turn {tool.started.turn}: {tool.state}, {duration(tool.seconds) or 'not ended'}")
    yield from _section("arguments", _value(trace, tool.started.arguments), "  ")
    if tool.ended:
        yield from _section("result", _value(trace, tool.ended.result), "  ")
        if tool.ended.error:
            yield from _section("error", fault_text(tool.ended.error), "  ")


# Values


def _value(trace: Trace, digest: Digest | None) -> JsonValue:
    return cast("JsonValue", trace.value(digest))


def _section(title: str, value: JsonValue, margin: str = "") -> Iterator[str]:
    if value not in (None, {}):
        yield from _entry(f"{margin}{title}:", margin, value)


def _entry(label: str, margin: str, value: JsonValue) -> Iterator[str]:
    """`value` beside its label if it is one line, else as a block below it."""
    block = list(outline(value))
    if len(block) == 1 and not (isinstance(value, dict | list) and value):
        yield f"{label} {block[0]}"
        return
    yield label
    for text in block:
        yield f"{margin}  {text}"


def outline(value: JsonValue) -> Iterator[str]:
    """JSON as indented lines to read; a text of several lines is a block of them."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _entry(f"{line(str(key))}:", "", item)
    elif isinstance(value, list) and value:
        for item in value:
            first, *rest = outline(item)
            yield f"- {first}"
            yield from (f"  {text}" for text in rest)
    elif isinstance(value, str):
        yield from visible(value).split("\n")
    else:
        yield json.dumps(value)


def _without_nothing(value: JsonValue) -> JsonValue:
    """`value` without entries that say nothing, of which requests have many."""
    if isinstance(value, dict):
        kept = {key: _without_nothing(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", [], {})}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value


def _beyond(before: JsonValue, now: JsonValue) -> JsonValue:
    """What `now` says beyond `before`: changed entries, and what a list that goes on has more."""
    if isinstance(before, dict) and isinstance(now, dict):
        return {key: _beyond(before.get(key), item) for key, item in now.items() if before.get(key) != item}
    if isinstance(before, list) and isinstance(now, list) and now[: len(before)] == before:
        return [f"(the {len(before)} before)", *now[len(before) :]]
    return now
