"""What `swarmlet ui` answers: the list of runs, a run, what is new of it, one step. Knows nothing of HTTP but its statuses."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, cast, final, get_args

from swarmlet.errors import JournalError
from swarmlet.trace.page import View, title_of
from swarmlet.trace.page.html import escaped, list_document, run_document
from swarmlet.trace.records import StepState
from swarmlet.trace.views import run_data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swarmlet.trace import Journal, RunSummary
    from swarmlet.trace.page.html import Document
    from swarmlet.trace.views import Data

_RUN: Final = re.compile(r"run/([0-9A-Za-z_.-]{1,100})/(data\.json|step\.json|search\.json)?")
_STATES: Final = frozenset(cast("tuple[str, ...]", get_args(StepState)))
_MOST: Final = 5_000
_KEPT: Final = 4
"""So many runs are kept read: each step of a run that is looked at is another question."""


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    kind: str = "application/json"
    policy: str = ""
    """The content security policy of a page."""


@final
class Pages:
    """Answers by path and query. Used by several threads."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._views: OrderedDict[str, tuple[str, View]] = OrderedDict()
        self._lock = Lock()

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """The answer; `path` is below the secret part of the address."""
        try:
            if path == "":
                return _page(list_document("Runs", {"journal": self._journal.name, "runs": "runs.json", "run": "run/"}))
            if path == "runs.json":
                return _json(self._runs(query))
            if found := _RUN.fullmatch(path):
                return self._run(found[1], found[2], query)
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        except (JournalError, KeyError) as error:
            return _json({"error": str(error.args[0])}, 404)
        return _json({"error": "there is no such page"}, 404)

    def _run(self, run: str, part: str | None, query: Mapping[str, str]) -> Answer:
        tag, view = self._view(run)
        if part == "step.json":
            return _json(view.step(query.get("path", "")))
        if part == "search.json":
            return _json({"paths": view.search(query.get("text", ""))})
        if part == "data.json" and query.get("tag") == tag:
            return Answer(204)
        live: Data = {"poll": "data.json", "step": "step.json", "search": "search.json", "runs": "../../", "tag": tag}
        data = view.overview() | {"live": live}
        return _json(data) if part else _page(run_document(title_of(view.trace), data, live=True))

    def _view(self, run: str) -> tuple[str, View]:
        """The run, read again if something has happened in it since."""
        summary = self._find(run)
        tag = f"{summary.state} {summary.seconds!r} {summary.steps} {summary.usage.requests}"
        with self._lock:
            known = self._views.pop(run, None)
            if known is None or known[0] != tag:
                known = tag, View(self._journal.trace(run))
            self._views[run] = known
            while len(self._views) > _KEPT:
                self._views.popitem(last=False)
        return known

    def _find(self, run: str) -> RunSummary:
        found = self._journal.find(run)
        if found.id != run:
            raise KeyError(f"there is no run {run!r}")
        return found

    def _runs(self, query: Mapping[str, str]) -> Data:
        limit = min(int(query.get("limit", "100")), _MOST)
        seconds, usd, since = (float(query.get(name) or 0) for name in ("seconds", "usd", "since"))
        state = query.get("state") or None
        if state is not None and state not in _STATES:
            raise ValueError(f"there is no state {state!r}")
        name = query.get("name", "").lower()
        few = not (seconds or usd or since or name)
        runs = self._journal.runs(limit=limit + 1 if few else None, state=cast("StepState | None", state))
        found = [
            run
            for run in runs
            if run.seconds >= seconds
            and float(run.usage.usd) >= usd
            and run.started_at >= since
            and (name in run.name.lower() or name in run.node.lower())
        ]
        return {"runs": [run_data(run) for run in found[:limit]], "more": len(found) > limit}


def _json(data: Data, status: int = 200) -> Answer:
    return Answer(status, escaped(data).encode())


def _page(document: Document) -> Answer:
    return Answer(200, document.text.encode(), "text/html; charset=utf-8", f"{document.policy}; frame-ancestors 'none'")
