"""A run in words: how long it took and what it cost, which step to change, what that would save, and what was wasted.

Sentences are lists: of plain texts, and of lists of one text, which is stressed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from swarmlet.trace.analysis.kinds import Kind, Split
from swarmlet.trace.analysis.what_if import WhatIf, levers
from swarmlet.trace.refed import Feed
from swarmlet.trace.views import duration
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swarmlet.trace.analysis.insight import Insight
    from swarmlet.trace.records import CallRecord, StepRecord
    from swarmlet.trace.views import Data

Words: TypeAlias = "list[str | list[str]]"

NAMES: Final[dict[Kind, str]] = {
    "model": "model",
    "first_token": "first token",
    "tool": "tools",
    "own": "own code",
    "person": "a person",
    "retry": "retry waits",
    "limit": "rate limits",
    "budget": "budget waits",
    "concurrency": "places under concurrency=",
    "queue": "event loop",
    "swarmlet": "swarmlet",
    "lost": "work lost",
    "away": "no process",
}
"""The kinds of time as a reader knows them."""

ADVICE: Final[dict[Kind, str]] = {
    "model": "A smaller model, a shorter reply (max_tokens), or splitting it into steps that run beside one another helps.",
    "first_token": "A shorter prompt, one that the provider has cached, or a smaller model helps.",
    "tool": "The tool itself is slow: make it faster, or cache what it gives.",
    "own": "It is the step's own Python code: make it faster, or move it off the path.",
    "person": "It waits for a person.",
    "retry": "It waits to try again: see the errors, and Retry.",
    "limit": "It waits for the limits of requests or tokens per minute: see Limits, or ask for less.",
    "budget": "It waits for room in a budget: a larger budget, or a lower max_tokens, helps.",
    "concurrency": "It waits for a place: a higher concurrency= helps.",
    "queue": "The event loop was held by other code: see the notes of steps.",
}
_ROWS: Final = 40
"""The most nodes that the table lists."""
_LITTLE: Final = 0.01
"""A share below which a saving is not worth a sentence."""


def summary(insight: Insight) -> Data:
    """The top of the page."""
    trace = insight.trace
    seconds, usage = insight.timeline.end, trace.usage
    table = _Nodes(insight)
    advised = _advice(insight, table)
    return {
        "seconds": seconds,
        "usd": float(usage.usd),
        "unpriced": usage.unpriced_requests,
        "requests": usage.requests,
        "input": usage.input_tokens,
        "cached": usage.cached_tokens,
        "output": usage.output_tokens,
        "steps": len(trace.steps()),
        "advice": [{"title": title, "words": words, "node": node} for title, words, node in advised],
        "nodes": table.listed(),
        "path": _path(insight),
        "split": dict(insight.critical_path.split.items()),
        "work": dict(insight.split(None).items()),
        "waits": dict(insight.waits.total.items()),
        "waste": _waste(insight),
    }


def advice(insight: Insight) -> list[tuple[str, Words, str]]:
    """Which step to change, and what that would save: a title, a sentence, and the node, if it is about one."""
    return [*_advice(insight, _Nodes(insight))]


def text_of(words: Words) -> str:
    """A sentence as plain text."""
    return "".join(word if isinstance(word, str) else word[0] for word in words)


def short(node: str, steps: Sequence[StepRecord]) -> str:
    """The name of a node as it stands in the paths of its steps; where they differ, that of its definition."""
    names = {step.name.partition("[")[0] for step in steps}
    return names.pop() if len(names) == 1 else node.partition(":")[2] or node


def usd(amount: Decimal) -> str:
    """An amount for a sentence: three digits that count."""
    if not amount:
        return "$0"
    digits = max(2, 2 - amount.adjusted())
    return f"${amount:,.{min(digits, 9)}f}"


def percent(part: float | Decimal, whole: float | Decimal) -> str:
    """A share."""
    share = 100 * float(part) / float(whole) if whole else 0.0
    return f"{share:.0f} %" if share >= 1 or not share else "less than 1 %"


# Nodes


class _Nodes:
    """What each node took and cost."""

    def __init__(self, insight: Insight) -> None:
        self.insight = insight
        self.steps = insight.by_node
        self.critical = insight.critical_path.by_node()
        self.usage = {node: _own_usage(steps) for node, steps in self.steps.items()}
        self.levers: dict[str, WhatIf] = {one.node: one for one in levers(insight) if not self.around(one.node)}
        self.feeds = {node: self._feed(steps) for node, steps in self.steps.items() if self.usage[node].requests}

    def name(self, node: str) -> str:
        """How a reader knows it."""
        return short(node, self.steps[node])

    def around(self, node: str) -> bool:
        """Whether the node only has other steps run."""
        return all(step.children and not step.calls for step in self.steps[node])

    def _feed(self, steps: Sequence[StepRecord]) -> Feed:
        return Feed.total(self.insight.refed(step.path) for step in steps if step.calls and not step.children)

    def listed(self) -> list[Data]:
        """The table: what would save most time first, then what took most, then what cost most."""

        def weight(node: str) -> tuple[float, float, Decimal]:
            lever = self.levers.get(node)
            return lever.seconds_saved if lever else 0.0, self.critical.get(node, 0.0), self.usage[node].usd

        nodes = sorted((node for node in self.steps if not self.around(node)), key=weight, reverse=True)
        return [self._row(node) for node in nodes[:_ROWS]]

    def _row(self, node: str) -> Data:
        lever, usage, feed = self.levers.get(node), self.usage[node], self.feeds.get(node, Feed())
        return {
            "node": node,
            "name": self.name(node),
            "steps": len(self.steps[node]),
            "critical": self.critical.get(node, 0.0),
            "after": lever.seconds_after if lever else None,
            "saved": lever.seconds_saved if lever else 0.0,
            "usd": float(usage.usd),
            "unpriced": usage.unpriced_requests,
            "requests": usage.requests,
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "refed": feed.refed,
        }


def _own_usage(steps: Iterable[StepRecord]) -> Usage:
    return Usage.total(call.usage for step in steps for call in step.calls)


# Which step to change


def _advice(insight: Insight, table: _Nodes) -> Iterable[tuple[str, Words, str]]:
    whole = insight.timeline.end
    best = max(table.levers.values(), key=lambda one: one.seconds_saved, default=None)
    if best is not None and whole > 0 and best.seconds_saved >= _LITTLE * whole:
        yield "To make it faster", _faster(insight, table, best), best.node
    total = insight.trace.usage.usd
    dearest = max(table.usage, key=lambda node: table.usage[node].usd, default="")
    if total > 0:
        yield "To make it cheaper", _cheaper(table, dearest, total), dearest
    if words := _wasted(insight):
        yield "Wasted and waited", words, ""
    elsewhere = insight.critical_path.split.only(("away", "lost", "person"))
    if whole > 0 and elsewhere.total > 0.2 * whole:
        yield "Not at work", _elsewhere(elsewhere, whole), ""


def _faster(insight: Insight, table: _Nodes, best: WhatIf) -> Words:
    whole, steps = best.seconds_before, len(table.steps[best.node])
    words: Words = ["Change ", [table.name(best.node)], f" ({_times(steps, 'step')}). Without its time the run would take "]
    words += [[duration(best.seconds_after)], " instead of ", [duration(whole)]]
    words += [f", {percent(best.seconds_saved, whole)} less."]
    legs = [leg for leg in insight.critical_path.legs if leg.node == best.node]
    split = Split.total_of(leg.split for leg in legs)
    placed = any(leg.why == "place" and insight.split(leg.path).concurrency > 0 for leg in legs)
    if placed and split.limit + split.budget < split.total / 4:
        words.append(" Its steps waited for one another's places: a higher concurrency= lets more of them run at once.")
    if split.total > 0:
        words.append(f" Of its {duration(split.total)} on the critical path: {_kinds(split)}.")
        words.append(f" {ADVICE.get(split.items()[0][0], '')}".rstrip())
    return words


def _cheaper(table: _Nodes, node: str, total: Decimal) -> Words:
    usage, feed = table.usage[node], table.feeds.get(node, Feed())
    words: Words = ["Change ", [table.name(node)], ": it cost ", [usd(usage.usd)], " of ", [usd(total)]]
    words.append(f" ({percent(usage.usd, total)}), in {_times(usage.requests, 'call')} with {usage.input_tokens:,} tokens in")
    words.append(f" and {usage.output_tokens:,} out.")
    if feed.refed >= 0.1 * max(feed.input_tokens, 1):
        words.append(f" {percent(feed.refed, feed.input_tokens)} of what it sent had been sent before in this run.")
    return words


def _wasted(insight: Insight) -> Words:
    """In one sentence each: what was sent again, what failed, what was stopped, and what steps waited for."""
    feed, waits = insight.refed(None), insight.waits.total
    words: Words = []
    if feed.refed:
        words += [[percent(feed.refed, feed.input_tokens)], " of the prompt tokens had been sent before in this run"]
        words += [" and cost ", [usd(feed.refed_usd)], ". "] if feed.refed_usd else [". "]
    if failed := _failed(insight):
        words += [[_times(len(failed), "call")], " failed" + (f" and cost {usd(cost)}. " if (cost := _cost(failed)) else ". ")]
    if stopped := _stopped(insight):
        cost = _own_usage(stopped).usd
        words += [[_times(len(stopped), "step")], f" stopped before the end{f' and cost {usd(cost)}' if cost else ''}. "]
    if waits.total > _LITTLE * insight.timeline.end:
        words += ["Steps waited ", [duration(waits.total)], f" in all: {_kinds(waits)}."]
    return words


def _failed(insight: Insight) -> list[CallRecord]:
    return [call for step in insight.trace.steps() for call in step.calls if call.state == "failed"]


def _cost(calls: Iterable[CallRecord]) -> Decimal:
    return Usage.total(call.usage for call in calls).usd


def _stopped(insight: Insight) -> list[StepRecord]:
    """Only where the run went on without them: in a cancelled run all are stopped."""
    if insight.trace.state == "cancelled":
        return []
    return [step for step in insight.trace.steps() if step.state == "cancelled" and not step.children]


def _elsewhere(split: Split, whole: float) -> Words:
    told: dict[Kind, str] = {
        "person": "it waited for a person",
        "away": "no process had it",
        "lost": "it did again what a lost process had done",
    }
    parts = [f"for {duration(seconds)} {told.get(kind, kind)}" for kind, seconds in split.items()]
    return [f"Of {duration(whole)} the run was not at work for ", [duration(split.total)], f": {', '.join(parts)}."]


def _times(count: int, what: str, many: str = "") -> str:
    return f"{count:,} {what if count == 1 else many or f'{what}s'}"


def _kinds(split: Split) -> str:
    most = split.items()
    return ", ".join(f"{NAMES[kind]} {duration(seconds)}" for kind, seconds in most if seconds >= _LITTLE * split.total)


# The critical path, and waste


def _path(insight: Insight) -> list[Data]:
    """The legs of the critical path, the longest first; in order they stand in the timeline."""
    legs = sorted(insight.critical_path.legs, key=lambda leg: -leg.seconds)
    return [
        {
            "path": leg.path,
            "begin": leg.begin,
            "seconds": leg.seconds,
            "share": leg.share,
            "split": dict(leg.split.items()),
            "why": leg.why,
        }
        for leg in legs[:12]
    ]


def _waste(insight: Insight) -> list[Data]:
    """What could be saved without changing what the run does. `seconds` are those of steps, which may lie side by side."""
    return [one for one in (_refed(insight), _retried(insight), _losers(insight), _again(insight)) if one is not None]


def _refed(insight: Insight) -> Data | None:
    feed = insight.refed(None)
    if not feed.refed:
        return None
    words: Words = [[f"{feed.refed:,}"], f" of {feed.input_tokens:,} prompt tokens had been sent before in this run"]
    words.append(f" ({percent(feed.refed, feed.input_tokens)}), ")
    words += [f"{feed.refed_cached:,} of them came from the provider's cache"]
    words += [". They cost ", [usd(feed.refed_usd)]]
    words.append(f"; the cache saved {usd(feed.refed_saved)}." if feed.refed_saved else ".")
    return {"title": "Re-fed tokens", "words": words, "tokens": feed.refed, "usd": float(feed.refed_usd)}


def _retried(insight: Insight) -> Data | None:
    failed = _failed(insight)
    again = sum(len(step.retries) for step in insight.trace.steps())
    if not failed and not again:
        return None
    cost = _cost(failed)
    seconds = sum(call.seconds or 0.0 for call in failed)
    waited = insight.waits.total.retry
    counts = (_times(len(failed), "model call"), _times(again, "attempt of a whole step", "attempts of whole steps"))
    words: Words = [[" and ".join(told for told, count in zip(counts, (failed, again), strict=True) if count)], " failed"]
    words.append(f" after {duration(seconds)}" if seconds else "")
    words += ["; the waits before the next attempts took ", [duration(waited)]]
    words.append(f". They cost {usd(cost)}." if cost else ".")
    return {"title": "Retries", "words": words, "seconds": seconds + waited, "usd": float(cost)}


def _losers(insight: Insight) -> Data | None:
    steps = _stopped(insight)
    if not steps:
        return None
    usage = _own_usage(steps)
    seconds = sum(step.seconds or 0.0 for step in steps)
    words: Words = [
        [_times(len(steps), "step")],
        f" stopped before the end, after {duration(seconds)}: losers of races, or what",
    ]
    words += [" stood beside a failure. They cost ", [usd(usage.usd)]]
    words.append(", and more may have been charged for calls in flight." if usage.requests else ".")
    return {"title": "Stopped", "words": words, "seconds": seconds, "usd": float(usage.usd)}


def _again(insight: Insight) -> Data | None:
    steps = [step for step in insight.trace.steps() if step.earlier]
    if not steps:
        return None
    count = sum(len(step.earlier) for step in steps)
    words: Words = [
        [_times(len(steps), "step")],
        f" ran again, {_times(count, 'time')} in all: a step around it was tried again,",
    ]
    words.append(" or a process was lost.")
    return {"title": "Done again", "words": words, "seconds": insight.critical_path.split.lost, "usd": 0.0}
