"""What happened: the record of runs.

events      the closed union of small frozen events; one file to read first
record      the recorder that a run appends to, and the content-addressed values
journal     where runs are kept: files of SQLite, memory, or another store; one writer thread, read-only readers
read        `Trace`: the events of a run as a tree of steps
records     the steps of that tree
refed       how many prompt tokens of a run had been sent before in it
analysis    what explains a run: critical path, slack, waits, what-if, differences, tables
schema      the events as JSON Schema
result      `Run` and `PartialRun`: what a caller gets back
rows, views the rows that terminals print
page        a run as one page for a browser

Knows nothing of graphs or models. Events are data; what an agent or a scheduler means by them is not asked here.
"""

from typing import TYPE_CHECKING

from swarmlet.later import imported_later

if TYPE_CHECKING:
    from swarmlet.trace.analysis.critical import CriticalPath as CriticalPath
    from swarmlet.trace.analysis.critical import Leg as Leg
    from swarmlet.trace.analysis.diff import StepDiff as StepDiff
    from swarmlet.trace.analysis.diff import TraceDiff as TraceDiff
    from swarmlet.trace.analysis.kinds import Kind as Kind
    from swarmlet.trace.analysis.kinds import Split as Split
    from swarmlet.trace.analysis.waits import Waits as Waits
    from swarmlet.trace.analysis.what_if import WhatIf as WhatIf
    from swarmlet.trace.events import Answered as Answered
    from swarmlet.trace.events import Asked as Asked
    from swarmlet.trace.events import CallEnded as CallEnded
    from swarmlet.trace.events import CallFitted as CallFitted
    from swarmlet.trace.events import CallQueued as CallQueued
    from swarmlet.trace.events import CallSaved as CallSaved
    from swarmlet.trace.events import CallStarted as CallStarted
    from swarmlet.trace.events import Decided as Decided
    from swarmlet.trace.events import Event as Event
    from swarmlet.trace.events import Fault as Fault
    from swarmlet.trace.events import Noted as Noted
    from swarmlet.trace.events import PartsKept as PartsKept
    from swarmlet.trace.events import RunEnded as RunEnded
    from swarmlet.trace.events import RunId as RunId
    from swarmlet.trace.events import RunResumed as RunResumed
    from swarmlet.trace.events import RunStarted as RunStarted
    from swarmlet.trace.events import StepEnded as StepEnded
    from swarmlet.trace.events import StepNotStarted as StepNotStarted
    from swarmlet.trace.events import StepRetried as StepRetried
    from swarmlet.trace.events import StepStarted as StepStarted
    from swarmlet.trace.events import TextDelta as TextDelta
    from swarmlet.trace.events import ToolEnded as ToolEnded
    from swarmlet.trace.events import ToolStarted as ToolStarted
    from swarmlet.trace.events import Unknown as Unknown
    from swarmlet.trace.journal import Journal as Journal
    from swarmlet.trace.journal import MemoryJournal as MemoryJournal
    from swarmlet.trace.journal import Question as Question
    from swarmlet.trace.journal import RunSummary as RunSummary
    from swarmlet.trace.journal import SqliteJournal as SqliteJournal
    from swarmlet.trace.journal import read_export as read_export
    from swarmlet.trace.read import Trace as Trace
    from swarmlet.trace.records import CallRecord as CallRecord
    from swarmlet.trace.records import StepRecord as StepRecord
    from swarmlet.trace.records import ToolRecord as ToolRecord
    from swarmlet.trace.refed import Feed as Feed
    from swarmlet.trace.refed import feed_of as feed_of
    from swarmlet.trace.result import PartialRun as PartialRun
    from swarmlet.trace.result import Run as Run
    from swarmlet.trace.schema import event_schema as event_schema
    from swarmlet.trace.views import visible as visible

__all__ = [
    "Answered",
    "Asked",
    "CallEnded",
    "CallFitted",
    "CallQueued",
    "CallRecord",
    "CallSaved",
    "CallStarted",
    "CriticalPath",
    "Decided",
    "Event",
    "Fault",
    "Feed",
    "Journal",
    "Kind",
    "Leg",
    "MemoryJournal",
    "Noted",
    "PartialRun",
    "PartsKept",
    "Question",
    "Run",
    "RunEnded",
    "RunId",
    "RunResumed",
    "RunStarted",
    "RunSummary",
    "Split",
    "SqliteJournal",
    "StepDiff",
    "StepEnded",
    "StepNotStarted",
    "StepRecord",
    "StepRetried",
    "StepStarted",
    "TextDelta",
    "ToolEnded",
    "ToolRecord",
    "ToolStarted",
    "Trace",
    "TraceDiff",
    "Unknown",
    "Waits",
    "WhatIf",
    "event_schema",
    "feed_of",
    "read_export",
    "visible",
]

_HOMES = {
    "Answered": "swarmlet.trace.events",
    "Asked": "swarmlet.trace.events",
    "CallEnded": "swarmlet.trace.events",
    "CallFitted": "swarmlet.trace.events",
    "CallQueued": "swarmlet.trace.events",
    "CallRecord": "swarmlet.trace.records",
    "CallSaved": "swarmlet.trace.events",
    "CallStarted": "swarmlet.trace.events",
    "CriticalPath": "swarmlet.trace.analysis.critical",
    "Decided": "swarmlet.trace.events",
    "Event": "swarmlet.trace.events",
    "Fault": "swarmlet.trace.events",
    "Feed": "swarmlet.trace.refed",
    "Journal": "swarmlet.trace.journal",
    "Kind": "swarmlet.trace.analysis.kinds",
    "Leg": "swarmlet.trace.analysis.critical",
    "MemoryJournal": "swarmlet.trace.journal",
    "Noted": "swarmlet.trace.events",
    "PartsKept": "swarmlet.trace.events",
    "PartialRun": "swarmlet.trace.result",
    "Question": "swarmlet.trace.journal",
    "Run": "swarmlet.trace.result",
    "RunEnded": "swarmlet.trace.events",
    "RunId": "swarmlet.trace.events",
    "RunResumed": "swarmlet.trace.events",
    "RunStarted": "swarmlet.trace.events",
    "RunSummary": "swarmlet.trace.journal",
    "Split": "swarmlet.trace.analysis.kinds",
    "SqliteJournal": "swarmlet.trace.journal",
    "StepDiff": "swarmlet.trace.analysis.diff",
    "StepEnded": "swarmlet.trace.events",
    "StepNotStarted": "swarmlet.trace.events",
    "StepRecord": "swarmlet.trace.records",
    "StepRetried": "swarmlet.trace.events",
    "StepStarted": "swarmlet.trace.events",
    "TextDelta": "swarmlet.trace.events",
    "ToolEnded": "swarmlet.trace.events",
    "ToolRecord": "swarmlet.trace.records",
    "ToolStarted": "swarmlet.trace.events",
    "Trace": "swarmlet.trace.read",
    "TraceDiff": "swarmlet.trace.analysis.diff",
    "Unknown": "swarmlet.trace.events",
    "Waits": "swarmlet.trace.analysis.waits",
    "WhatIf": "swarmlet.trace.analysis.what_if",
    "event_schema": "swarmlet.trace.schema",
    "feed_of": "swarmlet.trace.refed",
    "read_export": "swarmlet.trace.journal",
    "visible": "swarmlet.trace.views",
}
"""Imported when they are first asked for: what graphs are made of needs none of them."""

if not TYPE_CHECKING:
    __getattr__ = imported_later(__name__, _HOMES)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
