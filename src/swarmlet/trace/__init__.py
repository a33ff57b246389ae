"""What happened: the record of runs.

events      the closed union of small frozen events; one file to read first
record      the recorder that a run appends to, and the content-addressed values
journal     the SQLite store: one writer thread, read-only readers
refed       how many prompt tokens of a run had been sent before in it
read        `Trace`: the events of a run as a tree of steps
result      `Run` and `PartialRun`: what a caller gets back
views       the rows that terminals print

Knows nothing of graphs or models. Events are data; what an agent or a scheduler means by them is not asked here.
"""

from swarmlet.trace.events import CallEnded as CallEnded
from swarmlet.trace.events import CallStarted as CallStarted
from swarmlet.trace.events import Event as Event
from swarmlet.trace.events import Fault as Fault
from swarmlet.trace.events import Noted as Noted
from swarmlet.trace.events import RunEnded as RunEnded
from swarmlet.trace.events import RunId as RunId
from swarmlet.trace.events import RunStarted as RunStarted
from swarmlet.trace.events import StepEnded as StepEnded
from swarmlet.trace.events import StepRetried as StepRetried
from swarmlet.trace.events import StepStarted as StepStarted
from swarmlet.trace.events import TextDelta as TextDelta
from swarmlet.trace.events import ToolEnded as ToolEnded
from swarmlet.trace.events import ToolStarted as ToolStarted
from swarmlet.trace.journal import Journal as Journal
from swarmlet.trace.journal import RunSummary as RunSummary
from swarmlet.trace.read import CallRecord as CallRecord
from swarmlet.trace.read import StepRecord as StepRecord
from swarmlet.trace.read import ToolRecord as ToolRecord
from swarmlet.trace.read import Trace as Trace
from swarmlet.trace.refed import Feed as Feed
from swarmlet.trace.refed import feed_of as feed_of
from swarmlet.trace.result import PartialRun as PartialRun
from swarmlet.trace.result import Run as Run

__all__ = [
    "CallEnded",
    "CallRecord",
    "CallStarted",
    "Event",
    "Fault",
    "Feed",
    "Journal",
    "Noted",
    "PartialRun",
    "Run",
    "RunEnded",
    "RunId",
    "RunStarted",
    "RunSummary",
    "StepEnded",
    "StepRecord",
    "StepRetried",
    "StepStarted",
    "TextDelta",
    "ToolEnded",
    "ToolRecord",
    "ToolStarted",
    "Trace",
    "feed_of",
]
