"""A run as a small piece of HTML for notebooks: what the report says at its top, without a script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from swarmlet.trace.analysis.insight import Insight
from swarmlet.trace.page.summary import NAMES, Words, advice, usd
from swarmlet.trace.views import duration, line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swarmlet.trace.read import Trace

_ROWS: Final = 12
_CELL: Final = "padding:2px 12px 2px 0;text-align:left"
_BAR: Final = "display:inline-block;height:9px;background:#c2185b;vertical-align:middle"


def html(trace: Trace) -> str:
    """The run's heading, the advice, and the longest legs of its critical path. Recorded text is escaped."""
    insight = Insight(trace)
    return f'<div style="max-width:900px;line-height:1.45">{"".join(_parts(insight))}</div>'


def _parts(insight: Insight) -> Iterator[str]:
    trace, usage = insight.trace, insight.trace.usage
    tokens = f"{usage.total_tokens:,} tokens in {usage.requests:,} calls" if usage.requests else "no model calls"
    cost = f", {usd(usage.usd)}" if usage.usd else ""
    took = duration(insight.timeline.end)
    yield f"<p><b>{_text(trace.started.name)}</b> {trace.state} · {took} · {tokens}{cost} · "
    yield f"<code>{_text(trace.run_id)}</code></p>"
    for title, words, _ in advice(insight):
        yield f"<p><b>{title}</b>: {_sentence(words)}</p>"
    yield "<table><thead><tr>"
    yield "".join(f'<th style="{_CELL}">{head}</th>' for head in ("critical path", "seconds", "", "of that"))
    yield "</tr></thead><tbody>"
    yield from (_leg(insight, number) for number in _longest(insight))
    yield "</tbody></table>"


def _longest(insight: Insight) -> list[int]:
    """The legs to show, in order of time."""
    legs = insight.critical_path.legs
    return sorted(sorted(range(len(legs)), key=lambda number: -legs[number].seconds)[:_ROWS])


def _leg(insight: Insight, number: int) -> str:
    leg = insight.critical_path.legs[number]
    kinds = ", ".join(f"{NAMES[kind]} {duration(seconds)}" for kind, seconds in leg.split.items()[:2])
    cells = (
        f"<code>{_text(leg.path or '(the run)')}</code>",
        duration(leg.seconds),
        f'<span style="{_BAR};width:{120 * leg.share:.0f}px"></span> {leg.share:.0%}',
        kinds,
    )
    told = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
    return f"<tr>{told}</tr>"


def _sentence(words: Words) -> str:
    return "".join(_text(word) if isinstance(word, str) else f"<b>{_text(word[0])}</b>" for word in words)


def _text(text: str) -> str:
    return escape(line(text))
