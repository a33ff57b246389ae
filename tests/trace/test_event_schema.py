"""The published schema of events, and events that a later swarmlet writes."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest

from swarmlet.errors import JournalError
from swarmlet.trace import Trace, event_schema, read_export
from swarmlet.trace.events import Fault, RunEnded, Unknown, event_adapter
from swarmlet.trace.journal.tally import decoded, digests_of, encoded
from swarmlet.trace.schema import event_page, field_docs, kept_types
from tests.trace.example import RUNS, trace_of

DOCS = Path(__file__).parents[2] / "docs"
HEADER = '{"format": 2, "journal": "swarmlet", "run": "r"}'
BEGIN = '{"event": {"kind": "run_started", "at": 1, "run": "r", "name": "all", "node": "app:all"}}'
DIGEST = "0123456789abcdef0123456789abcdef"
LATER = {"kind": "step_dreamt", "at": 2.5, "path": "all/a", "of": ["sheep"], "dream": DIGEST}
END = '{"event": {"kind": "run_ended", "at": 4, "state": "finished", "mood": "glad", "extra": {"deep": [1]}}}'


def lines(*events: object) -> list[str]:
    return [HEADER, BEGIN, *(json.dumps({"event": event}) for event in events), END]


def test_the_committed_page_and_schema_are_current() -> None:
    assert (DOCS / "events.md").read_text(encoding="utf-8") == event_page(), "run scripts/event_docs.py"
    assert json.loads((DOCS / "events.schema.json").read_text(encoding="utf-8")) == event_schema(), "run scripts/event_docs.py"


@pytest.mark.parametrize("kind", [*kept_types(), Fault], ids=lambda kind: str(kind.__name__))
def test_every_field_of_every_event_has_its_line(kind: type) -> None:
    told = field_docs(kind)
    names = [each.name for each in fields(cast("Any", kind)) if each.name != "kind"]
    assert kind.__doc__
    assert all(told[name].strip() for name in names) or kind is Fault, [name for name in names if not told[name]]


@pytest.mark.parametrize("run", RUNS)
def test_recorded_events_have_what_the_schema_requires_and_nothing_that_it_does_not_name(run: str) -> None:
    definitions = cast("dict[str, dict[str, Any]]", event_schema()["$defs"])
    by_kind = {one["properties"]["kind"]["const"]: one for one in definitions.values() if "kind" in one["properties"]}
    for event in trace_of(run).events:
        data = json.loads(event_adapter().dump_json(event))
        schema = by_kind[data["kind"]]
        assert set(schema["required"]) <= set(data) <= set(schema["properties"])


def test_an_event_of_a_kind_that_is_not_known_leaves_the_run_readable() -> None:
    trace = read_export(lines(LATER))
    unknown = trace.events[1]
    assert isinstance(unknown, Unknown)
    assert (unknown.at, unknown.named, unknown.path) == (2.5, "step_dreamt", "all/a")
    assert json.loads(unknown.data) == LATER
    assert (trace.state, trace.seconds, trace.steps()) == ("finished", 3, [])
    assert trace.critical_path().seconds == 3
    assert list(digests_of(unknown)) == [DIGEST]


def test_an_unknown_event_is_written_as_it_was_read() -> None:
    text = json.dumps(LATER)
    assert encoded(decoded(text, "r", "journal")) == text


def test_an_unknown_event_after_the_end_does_not_make_the_run_go_on() -> None:
    read = read_export([*lines(), json.dumps({"event": LATER | {"at": 9}})])
    assert read.state == "finished"


def test_fields_that_are_not_known_are_left_out() -> None:
    assert isinstance(read_export(lines()).events[-1], RunEnded)


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "step_ended", "at": 1, "path": "a", "state": "levitated"},
        {"kind": "step_ended", "path": "a", "state": "finished"},
        {"kind": "step_dreamt"},
        {"kind": "step_dreamt", "at": "noon"},
        {"kind": 7, "at": 1},
        {},
    ],
)
def test_an_event_that_is_damaged_is_still_refused(event: dict[str, object]) -> None:
    with pytest.raises(JournalError, match="cannot read"):
        read_export(lines(event))


def test_the_schema_says_that_an_event_has_its_kind() -> None:
    definitions = cast("dict[str, dict[str, Any]]", event_schema()["$defs"])
    assert all("kind" in one["required"] for name, one in definitions.items() if name not in ("Fault", "CutMessage"))
    assert "Unknown" not in definitions
    assert "TextDelta" not in definitions


def test_a_trace_without_events_says_what_is_wrong_with_it() -> None:
    with pytest.raises(JournalError, match="run_started"):
        _ = Trace([], {}).root
