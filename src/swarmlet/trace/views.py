"""What a trace says, for people and programs: tables of texts, and plain data for JSON.

Pure functions; no terminal library is known here. Texts from models, users and exceptions are data: every cell
went through `visible`, so no control character, terminal escape or invisible mark gets to a terminal.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from swarmlet.trace.rows import Fold, tree_rows

if TYPE_CHECKING:
    from swarmlet.trace.events import Asked, Digest, Fault
    from swarmlet.trace.journal.base import RunSummary
    from swarmlet.trace.read import CallRecord, StepRecord, ToolRecord, Trace
    from swarmlet.usage import Usage

Data: TypeAlias = dict[str, object]
"""Something that JSON can say."""

NOTE_LENGTH: Final = 300
"""The most characters of a table's notes cell; `show --path` has the whole text."""


@dataclass(frozen=True, slots=True)
class Table:
    """Texts in columns. The columns in `numbers` are aligned to the right."""

    columns: tuple[str, ...]
    numbers: frozenset[str]
    rows: list[tuple[str, ...]]


_NUMBERS: Final = frozenset({"steps", "time", "requests", "in", "cached", "out", "USD"})


# Tables


def run_table(runs: Iterable[RunSummary]) -> Table:
    """One row for each run. Tokens: in (cached ones included), of these cached, and out."""
    columns = ("run", "name", "state", "started", "time", "steps", "requests", "in", "cached", "out", "USD")
    rows: list[tuple[str, ...]] = [
        (
            line(run.id),
            line(run.name),
            run.state,
            moment(run.started_at),
            duration(run.seconds),
            f"{run.steps:,}",
            f"{run.usage.requests:,}",
            *spent(run.usage),
        )
        for run in runs
    ]
    return Table(columns, _NUMBERS, rows)


def step_table(trace: Trace, *, fold: bool = False) -> Table:
    """The tree of steps, one row each. A group (a graph, a map, a round) shows the sums of what is below it.

    With `fold`, long lists of a large run are told in a row; see `swarmlet.trace.rows`.
    """
    columns = ("step", "state", "time", "in", "cached", "out", "USD", "attempts", "notes")
    rows: list[tuple[str, ...]] = []
    for row in tree_rows(trace.root, fold=fold):
        one = row.of
        if isinstance(one, Fold):
            state = next(iter(one.states)) if len(one.states) == 1 else ""
            rows.append((f"{row.lines}{one}", state, duration(one.seconds), *spent(one.usage), "", ""))
            continue
        said = (attempts(one), notes(one))
        state = trace.state if one is trace.root and not one.started else one.state
        rows.append((row.lines + line(one.name), state, duration(one.seconds), *spent(one.usage), *said))
    return Table(columns, _NUMBERS, rows)


def spent(usage: Usage) -> tuple[str, str, str, str]:
    """Tokens in, cached, out, and USD; nothing at all if there was no request."""
    if not usage.requests:
        return "", "", "", ""
    tokens = (usage.input_tokens, usage.cached_tokens, usage.output_tokens)
    given, cached, written = (f"{count:,}" for count in tokens)
    return given, cached, written, money(usage)


def attempts(step: StepRecord) -> str:
    """How often models and tools were called and how often something was tried again, with all that is below."""
    steps = list(step.walk())
    calls = [call for each in steps for call in each.calls]
    again = sum(call.started.attempt > 1 for call in calls)
    counts = (
        (len(calls) - again, "call", "calls"),
        (again, "retry", "retries"),
        (sum(len(each.tools) for each in steps), "tool call", "tool calls"),
        (sum(len(each.retries) for each in steps), "step retry", "step retries"),
    )
    return ", ".join(f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count)


def notes(step: StepRecord) -> str:
    """What went wrong in the step, what it was tried again after, what it chose, and what the user should know."""
    told: list[str] = []
    if step.ended and step.ended.error:
        told.append(fault_text(step.ended.error))
    failures = [retry.error.type for retry in step.retries]
    failures += [call.ended.error.type for call in step.calls if call.ended and call.ended.error]
    failures += [f"{t.started.tool}: {t.ended.error.type}" for t in step.tools if t.ended and t.ended.error]
    told += [f"{name} (x{count})" if count > 1 else name for name, count in Counter(failures).items()]
    told += [f"{choice.chosen.removeprefix(step.path).lstrip('/')}: {choice.reason}" for choice in step.decisions]
    told += [note.message for note in step.notes]
    text = line("; ".join(dict.fromkeys(told)))
    return text if len(text) <= NOTE_LENGTH else f"{text[: NOTE_LENGTH - 1]}…"


# Texts


def fault_text(fault: Fault) -> str:
    """An exception in a line; only its type where content capture was off."""
    return f"{fault.type}: {fault.message}" if fault.message else fault.type


def duration(seconds: float | None) -> str:
    """A duration in the unit that fits; nothing if it has not ended."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def money(usage: Usage) -> str:
    """USD; `?` where no price is known, and `>` before a sum that leaves out calls without a price."""
    if usage.unpriced_requests and usage.unpriced_requests == usage.requests:
        return "?"
    amount = f"{usage.usd:.6f}" if usage.usd else "0"
    return f"> {amount}" if usage.unpriced_requests else amount


def cost(usage: Usage) -> str:
    """What was spent, in words."""
    if not usage.total_tokens:
        return "cost not known" if usage.unpriced_requests else "no tokens"
    return f"{usage.input_tokens:,} tokens in ({usage.cached_tokens:,} cached), {usage.output_tokens:,} out, {money(usage)} USD"


def takes(about: str, answers: object) -> str:
    """What a question takes as its answer, in words: from what it is about and the JSON Schema of its answers."""
    if about != "answer":
        return "yes, no, or why not"
    schema = cast("Mapping[str, object]", answers if isinstance(answers, Mapping) else {})
    if (worded := worded_as(schema)) is not None:
        return ", then ".join(filter(None, (takes(about, worded.choices), line(worded.text))))
    choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(choices, list):
        words = [choice if isinstance(choice, str) else json.dumps(choice) for choice in cast("list[object]", choices)]
        return line(" / ".join(words))
    said = {"boolean": "yes / no", "string": "text", "integer": "a whole number", "number": "a number"}
    title = schema.get("title")
    return said.get(str(schema.get("type")), f"JSON: {line(title)}" if isinstance(title, str) and title else "JSON")


class Worded(NamedTuple):
    """An object that plain words will do for: a field that is a choice, and perhaps one that is a text."""

    word: str
    """The name of the first field."""
    choices: Mapping[str, object]
    """Its schema."""
    text: str
    """The name of the next field; empty if that is no text."""


def worded_as(schema: Mapping[str, object]) -> Worded | None:
    """How an object of this schema is said in plain words; `None` if it needs more than a choice and a text."""
    known = cast("Mapping[str, Mapping[str, object]]", schema.get("$defs") or {})
    fields = cast("Mapping[str, Mapping[str, object]]", schema.get("properties") or {})
    if schema.get("type") != "object" or not fields:
        return None
    word, next_ = (*fields, "")[:2]
    choices = known.get(str(fields[word].get("$ref", "")).rpartition("/")[2], fields[word])
    text = next_ if next_ and fields[next_].get("type") == "string" else ""
    is_choice = choices.get("type") == "boolean" or bool(choices.keys() & {"enum", "const"})
    return Worded(word, choices, text) if is_choice and {word, text}.issuperset(_required(schema)) else None


def _required(schema: Mapping[str, object]) -> Sequence[str]:
    return cast("Sequence[str]", schema.get("required") or ())


def moment(at: float) -> str:
    """A moment in local time."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


_HIDDEN: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, ESC among them; \t and \n may stay
    "\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or turns the direction
    "\ud800-\udfff"  # halves of pairs, which no encoding can say
    "\U000e0000-\U000e007f"  # tags: letters that no one sees
    "]"
)


def visible(text: str) -> str:
    """`text` with every character that a terminal would obey, or a reader not see, written as its escape."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def line(text: str) -> str:
    """`text` as one visible line."""
    return visible(text).replace("\n", "\\n").replace("\t", " ")


# Data for JSON


def run_data(run: RunSummary) -> Data:
    """A run in a list: `id, name, node, state, started_at, seconds, steps, usage`."""
    data: Data = asdict(run)
    data["usage"] = usage_data(run.usage)
    return data


def usage_data(usage: Usage) -> Data:
    """`requests, input_tokens, cached_tokens, output_tokens, usd, unpriced_requests`; `usd` is a decimal text."""
    data: Data = asdict(usage)
    data["usd"] = str(usage.usd)
    return data


def trace_data(trace: Trace) -> Data:
    """A whole run.

    `id, name, node, version, state, started_at, seconds, usage, error, inputs, output` and `steps`: all of the
    tree, parents first, as `step_data` without contents.
    """
    started, ended = trace.started, trace.ended
    return {
        "id": trace.run_id,
        "name": started.name,
        "node": started.node,
        "version": started.version,
        "state": trace.state,
        "started_at": started.at,
        "seconds": trace.seconds,
        "usage": usage_data(trace.usage),
        "error": _fault_data(ended.error if ended else None),
        "inputs": _values(trace, started.inputs),
        "output": trace.value(ended.output) if ended else None,
        "steps": [step_data(step) for step in trace.root.walk()],
    }


def step_data(step: StepRecord, contents: Trace | None = None) -> Data:
    """A step or group.

    `path, node` (`null` for a group), `state, started_at, seconds, waited, usage, attempts, retries, calls, tools,
    notes, error`. With `contents`, the trace whose step it is, also `inputs` and `output`, each call's `request` and
    `reply`, each tool's `arguments` and `result`, and `questions` to people with their `answers`. `usage` counts what is
    below; the lists are the step's own.
    """
    started, ended = step.started, step.ended
    data: Data = {
        "path": step.path,
        "node": started.node if started else None,
        "state": step.state,
        "started_at": step.begin,
        "seconds": step.seconds,
        "waited": started.waited if started else None,
        "usage": usage_data(step.usage),
        "attempts": step.attempts,
        "retries": [asdict(retry) for retry in step.retries],
        "calls": [_call_data(call, contents) for call in step.calls],
        "tools": [_tool_data(tool, contents) for tool in step.tools],
        "notes": [note.message for note in step.notes],
        "error": _fault_data(ended.error if ended else None),
    }
    if contents:
        data["inputs"] = _values(contents, started.inputs if started else {})
        data["output"] = contents.value(ended.output) if ended else None
        data["questions"] = [_question_data(asked, contents) for asked in step.asked]
        data["answers"] = [{"at": told.at, "by": told.by, "answer": contents.value(told.answer)} for told in step.answered]
    return data


def _question_data(asked: Asked, contents: Trace) -> Data:
    schema = contents.value(asked.answers)
    return {
        "asked_at": asked.at,
        "about": asked.about,
        "question": contents.value(asked.question),
        "takes": takes(asked.about, schema),
        "schema": schema,
        "tool": asked.tool or None,
        "arguments": contents.value(asked.arguments),
        "until": asked.until,
    }


def _call_data(call: CallRecord, contents: Trace | None) -> Data:
    started, ended = call.started, call.ended
    data: Data = {
        "turn": started.turn,
        "attempt": started.attempt,
        "model": (ended and ended.model) or started.model,
        "state": call.state,
        "started_at": started.at,
        "seconds": call.seconds,
        "waited": started.waited,
        "first_token": ended.first_token if ended else None,
        "usage": usage_data(call.usage),
        "finish_reason": ended.finish_reason if ended else None,
        "request_id": ended.request_id if ended else None,
        "error": _fault_data(ended.error if ended else None),
        "retry_in": ended.retry_in if ended else None,
    }
    if contents:
        data |= {"request": contents.request(call), "reply": contents.value(ended.reply) if ended else None}
    return data


def _tool_data(tool: ToolRecord, contents: Trace | None) -> Data:
    started, ended = tool.started, tool.ended
    data: Data = {
        "turn": started.turn,
        "id": started.id,
        "tool": started.tool,
        "state": tool.state,
        "started_at": started.at,
        "seconds": tool.seconds,
        "error": _fault_data(ended.error if ended else None),
    }
    if contents:
        read = contents.value
        data |= {"arguments": read(started.arguments), "result": read(ended.result) if ended else None}
    return data


def _fault_data(fault: Fault | None) -> Data | None:
    return asdict(fault) if fault else None


def _values(trace: Trace, digests: dict[str, Digest | None]) -> Data:
    return {name: trace.value(digest) for name, digest in digests.items()}
