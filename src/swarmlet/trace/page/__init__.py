"""A run as a page for a browser, in one file.

html      the document: style, script, data, and the policy that lets nothing else run
summary   the run in words: which step to change, what that would save, what was wasted
graph     the drawing of the graph; `layout` says where its boxes stand
rows      the timeline: the tree of steps, and what each did from when to when
details   all that is recorded of one step; `values` shows recorded values as texts
notebook  the small version that notebooks show

Pure functions of a `Trace`. The files that browsers get are in `assets`: a few small scripts without a framework, which are
put together as they are. `swarmlet report` writes the page, `swarmlet ui` serves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.trace.analysis.insight import Insight
from swarmlet.trace.events import RunResumed
from swarmlet.trace.page.details import chosen, details
from swarmlet.trace.page.graph import graph
from swarmlet.trace.page.html import run_document
from swarmlet.trace.page.rows import rows
from swarmlet.trace.page.summary import summary
from swarmlet.trace.page.values import Texts

if TYPE_CHECKING:
    from swarmlet.trace.read import Trace
    from swarmlet.trace.views import Data

__all__ = ["overview", "page", "page_data", "step_details"]


def page(trace: Trace, *, full: bool = False) -> str:
    """The run as one HTML file, which loads nothing and can be opened from disk.

    Recorded values of more than 20,000 characters are cut, and of a run of more than 20,000 steps only those that matter most
    have their details; `full` keeps everything.
    """
    return run_document(f"{trace.started.name} · {trace.run_id}", page_data(trace, full=full))


def page_data(trace: Trace, *, full: bool = False) -> Data:
    """What the page shows, as plain data: `overview`, and `details` and `values` of its steps."""
    insight = Insight(trace)
    data = _overview(insight)
    told, texts = _details(insight, full=full)
    return data | {"details": told, "values": texts.kept}


def overview(trace: Trace) -> Data:
    """The run without what its steps were given and gave: `run`, `summary`, `timeline`, `graph`."""
    return _overview(Insight(trace))


def step_details(trace: Trace, path: str) -> Data:
    """`details` of one step, and the `values` that they name. Raises `KeyError` if there is no such step."""
    insight, texts = Insight(trace), Texts(trace, full=True)
    return {"details": details(insight, trace.step(path), texts), "values": texts.kept}


def _overview(insight: Insight) -> Data:
    told, places = rows(insight)
    return {
        "run": _run(insight),
        "summary": summary(insight),
        "timeline": told,
        "graph": graph(insight, places),
    }


def _details(insight: Insight, *, full: bool) -> tuple[Data, Texts]:
    """By the number of a step's row. The values of what matters most are kept first."""
    texts = Texts(insight.trace, full=full)
    index = {step.path: number for number, step in enumerate(insight.trace.root.walk())}
    steps = list(insight.trace.root.walk()) if full else chosen(insight)
    return {str(index[step.path]): details(insight, step, texts) for step in steps}, texts


def _run(insight: Insight) -> Data:
    trace = insight.trace
    started, ended = trace.started, trace.ended
    inputs = started.inputs
    return {
        "id": trace.run_id,
        "name": started.name,
        "node": started.node,
        "state": trace.state,
        "version": started.version,
        "started": started.at,
        "events": len(trace.events),
        "resumed": sum(isinstance(event, RunResumed) for event in trace.events),
        "forked": started.forked_from,
        "error": {"type": ended.error.type, "message": ended.error.message} if ended and ended.error else None,
        "captured": not inputs or any(digest is not None for digest in inputs.values()),
    }
