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

from typing import TYPE_CHECKING, final

from swarmlet.trace.analysis.insight import Insight
from swarmlet.trace.events import RunResumed
from swarmlet.trace.page.details import chosen, details, digests
from swarmlet.trace.page.graph import graph
from swarmlet.trace.page.html import run_document
from swarmlet.trace.page.notebook import html as notebook_html
from swarmlet.trace.page.rows import rows
from swarmlet.trace.page.summary import summary
from swarmlet.trace.page.values import Texts

if TYPE_CHECKING:
    from swarmlet.trace.events import Digest
    from swarmlet.trace.read import Trace
    from swarmlet.trace.views import Data

__all__ = ["View", "notebook_html", "page", "page_data", "title_of"]


def page(trace: Trace, *, full: bool = False) -> str:
    """The run as one HTML file, which loads nothing and can be opened from disk.

    Recorded values of more than 20,000 characters are cut, and of a run of more than 20,000 steps only those that matter most
    have their details; `full` keeps everything.
    """
    return run_document(title_of(trace), page_data(trace, full=full)).text


def title_of(trace: Trace) -> str:
    """What a window with the run is called."""
    return f"{trace.started.name} · {trace.run_id}"


def page_data(trace: Trace, *, full: bool = False) -> Data:
    """What the page shows, as plain data: `View.overview`, and `details` and `values` of its steps."""
    view = View(trace)
    data = view.overview()
    steps = list(trace.root.walk())
    index = {step.path: number for number, step in enumerate(steps)}
    texts = Texts(trace, full=full)
    kept = steps if full else chosen(view.insight)  # the values of what matters most are kept first
    told = {str(index[step.path]): details(view.insight, step, texts) for step in kept}
    return data | {"details": told, "values": texts.kept, "partial": len(kept) if len(kept) < len(steps) else 0}


@final
class View:
    """A run for a page that asks for its parts."""

    def __init__(self, trace: Trace) -> None:
        self.trace: Trace = trace
        self.insight: Insight = Insight(trace)

    def overview(self) -> Data:
        """The run without what its steps were given and gave: `run`, `summary`, `timeline`, `graph`."""
        told, places = rows(self.insight)
        return {
            "run": _run(self.insight),
            "summary": summary(self.insight),
            "timeline": told,
            "graph": graph(self.insight, places),
        }

    def search(self, text: str) -> list[str]:
        """The paths of the steps in whose prompts, replies, inputs, outputs, tools or questions the text stands."""
        wanted, texts = text.lower(), Texts(self.trace)
        known: dict[Digest, bool] = {}

        def has(digest: Digest) -> bool:
            if digest not in known:
                known[digest] = texts.has(digest, wanted)
            return known[digest]

        return [step.path for step in self.trace.root.walk() if any(has(digest) for digest in digests(step))]

    def step(self, path: str) -> Data:
        """The `details` of one step, and the `values` that they name. Raises `KeyError` if there is no such step."""
        texts = Texts(self.trace, full=True)
        return {"details": details(self.insight, self.trace.step(path), texts), "values": texts.kept}


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
