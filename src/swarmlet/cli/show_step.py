"""All that is recorded of one step, as text: what `swarmlet show RUN --path STEP` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from swarmlet.cli import print_json
from swarmlet.trace.parts import without_letters
from swarmlet.trace.read import ToolRecord
from swarmlet.trace.views import Data, cost, duration, fault_text, line, step_data, takes, trace_data, visible

if TYPE_CHECKING:
    from pydantic import JsonValue

    from swarmlet.trace import CallRecord, RunStarted, StepRecord, StepStarted, Trace
    from swarmlet.trace.events import Digest


def show_step(trace: Trace, step: StepRecord, *, as_json: bool) -> None:
    """Print a step."""
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
    yield f"{step.state}, {duration(step.seconds) or 'not ended'}{waited}, {cost(step.usage)}"
    contents = cast("dict[str, JsonValue]", step_data(step, trace) | _run_contents(trace, step))
    yield from _section("inputs", _captured(contents["inputs"], step.started or trace.started))
    for retry in step.retries:
        yield f"attempt {retry.attempt} failed, next in {duration(retry.wait)}: {line(fault_text(retry.error))}"
    yield from _work(trace, step)
    yield from _questions(trace, step)
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
        f"{duration(call.seconds) or 'not ended'}{waited}, {cost(call.usage)}"
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


def _questions(trace: Trace, step: StepRecord) -> Iterator[str]:
    """What people were asked, what kind of answer that takes, and what they said."""
    answers = sorted(step.answered, key=lambda answer: answer.at)
    for asked in step.asked:
        answer = next((one for one in answers if one.at >= asked.at), None)
        waited = "not answered" if answer is None else f"answered after {duration(answer.at - asked.at)}"
        yield f"question, about {_ABOUT[asked.about]}, {waited}"
        yield from _section("asks", _value(trace, asked.question) or "(not captured)", "  ")
        if asked.tool:
            yield from _section("tool", asked.tool, "  ")
            yield from _section("arguments", _value(trace, asked.arguments), "  ")
        yield from _section("takes", takes(asked.about, trace.value(asked.answers)), "  ")
        if answer is not None:
            by = f" (by {line(answer.by)})" if answer.by else ""
            yield from _section(f"answer{by}", _value(trace, answer.answer), "  ")


_ABOUT = {"answer": "an answer", "approval": "whether a tool may run", "lost": "a tool that was running when its process died"}


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
        yield from visible(without_letters(value)).split("\n")
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
