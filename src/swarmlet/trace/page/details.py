"""All that is recorded of one step, for the page's panel."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from swarmlet.trace.records import ToolRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swarmlet.trace.analysis.insight import Insight
    from swarmlet.trace.events import CallSaved, Digest, Fault
    from swarmlet.trace.page.values import Texts
    from swarmlet.trace.records import CallRecord, StepRecord
    from swarmlet.trace.views import Data

MOST: Final = 20_000
"""Of a larger run a page has the details of so many steps; see `chosen`."""


def chosen(insight: Insight) -> list[StepRecord]:
    """The steps whose details a page has: all, or of a very large run those that matter most. These come first: the critical
    path, what failed, then what was dearest, then what took longest."""
    critical = set(insight.critical_path.paths)

    def weight(step: StepRecord) -> tuple[bool, bool, float, float]:
        own = sum(float(call.usage.usd) for call in step.calls)
        return step.path in critical, step.state not in ("finished", "running"), own, step.seconds or 0.0

    return sorted(insight.trace.root.walk(), key=weight, reverse=True)[:MOST]


def details(insight: Insight, step: StepRecord, texts: Texts) -> Data:
    """What is recorded of `step`. Values are keys of `texts`; what is empty is left out."""
    trace, origin = insight.trace, insight.trace.started.at
    started = step.started or (trace.started if step is trace.root else None)
    ended = step.ended
    told: Data = {
        "inputs": _named(started.inputs, texts) if started else {},
        "output": texts.value(ended.output) if ended else None,
        "error": _fault(ended.error if ended else None),
        "reused": step.started.reused if step.started else None,
        "earlier": len(step.earlier),
        "retries": [{"attempt": each.attempt, "error": _fault(each.error), "wait": each.wait} for each in step.retries],
        "work": _work(step, texts, origin),
        "saved": [_saved(each, texts) for each in step.saved],
        "cuts": [{"turn": each.turn, "cuts": [asdict(cut) for cut in each.cuts]} for each in step.fitted],
        "queued": [{"turn": each.turn, "scope": each.scope} for each in step.queued],
        "notes": [each.message for each in step.notes],
        "decisions": [{"by": each.by, "chosen": each.chosen, "reason": each.reason} for each in step.decisions],
        "questions": [*_questions(step, texts, origin)],
        "split": dict(insight.split(step.path).items()) if step.started else {},
        "captured": started is None or not started.inputs or any(started.inputs.values()),
    }
    return {name: value for name, value in told.items() if value not in (None, [], {}, 0)}


def digests(step: StepRecord) -> Iterator[Digest]:
    """The recorded values that the details of a step show."""
    told: list[Digest | None] = []
    if step.started:
        told += step.started.inputs.values()
    if step.ended:
        told.append(step.ended.output)
    for call in step.calls:
        told += (*call.started.messages, call.started.request, call.ended.reply if call.ended else None)
    for saved in step.saved:
        told += (*saved.messages, saved.reply)
    for tool in step.tools:
        told += (tool.started.arguments, tool.ended.result if tool.ended else None)
    told += (digest for asked in step.asked for digest in (asked.question, asked.arguments))
    told += (answered.answer for answered in step.answered)
    return (digest for digest in told if digest is not None)


def _named(inputs: dict[str, Digest | None], texts: Texts) -> Data:
    return {name: texts.value(digest) for name, digest in inputs.items()}


def _fault(fault: Fault | None) -> Data | None:
    return asdict(fault) if fault else None


def _work(step: StepRecord, texts: Texts, origin: float) -> list[Data]:
    """Model and tool calls in the order in which they began. Of a request only what the one before did not have."""
    found: list[Data] = []
    before: Sequence[Digest | None] = ()
    work: list[CallRecord | ToolRecord] = [*step.calls, *step.tools]
    for record in sorted(work, key=lambda record: record.started.at):
        if isinstance(record, ToolRecord):
            found.append(_tool(record, texts, origin))
        else:
            found.append(_call(record, before, texts, origin))
            before = record.started.messages
    return found


def _call(call: CallRecord, before: Sequence[Digest | None], texts: Texts, origin: float) -> Data:
    started, ended, usage = call.started, call.ended, call.usage
    messages = started.messages
    shared = len(before) if before and messages[: len(before)] == tuple(before) else 0
    told: Data = {
        "what": "call",
        "turn": started.turn,
        "attempt": started.attempt,
        "model": (ended and ended.model) or started.model,
        "state": call.state,
        "at": started.at - origin,
        "seconds": call.seconds,
        "limit": started.waited,
        "budget": started.budget_waited,
        "first": ended.first_token if ended else None,
        "input": usage.input_tokens,
        "cached": usage.cached_tokens,
        "output": usage.output_tokens,
        "usd": None if ended is None or ended.usd is None else float(usage.usd),
        "finish": ended.finish_reason if ended else None,
        "id": ended.request_id if ended else None,
        "error": _fault(ended.error if ended else None),
        "retry": ended.retry_in if ended else None,
        "request": texts.value(started.request),
        "shared": shared,
        "messages": [texts.message(digest) for digest in messages[shared:]],
        "reply": texts.message(ended.reply) if ended else None,
    }
    return {name: value for name, value in told.items() if value not in (None, 0)}


def _tool(tool: ToolRecord, texts: Texts, origin: float) -> Data:
    started, ended = tool.started, tool.ended
    told: Data = {
        "what": "tool",
        "turn": started.turn,
        "name": started.tool,
        "state": tool.state,
        "at": started.at - origin,
        "seconds": tool.seconds,
        "arguments": texts.value(started.arguments),
        "result": texts.value(ended.result) if ended else None,
        "error": _fault(ended.error if ended else None),
        "effects": started.effects,
    }
    return {name: value for name, value in told.items() if value is not None}


def _saved(saved: CallSaved, texts: Texts) -> Data:
    return {
        "turn": saved.turn,
        "source": saved.source,
        "model": saved.model,
        "input": saved.input_tokens,
        "output": saved.output_tokens,
        "usd": saved.usd,
        "messages": [texts.message(digest) for digest in saved.messages],
        "reply": texts.message(saved.reply),
    }


def _questions(step: StepRecord, texts: Texts, origin: float) -> list[Data]:
    asked: list[Data] = [
        {
            "at": each.at - origin,
            "about": each.about,
            "question": texts.value(each.question),
            "tool": each.tool,
            "arguments": texts.value(each.arguments),
        }
        for each in step.asked
    ]
    said: list[Data] = [{"at": each.at - origin, "answer": texts.value(each.answer), "by": each.by} for each in step.answered]
    return [*asked, *said]
