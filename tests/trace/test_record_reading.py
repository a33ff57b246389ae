"""Reading a record by path."""

from __future__ import annotations

import pytest

from swarmlet.trace.events import Digest, Event, RunEnded, RunId, RunStarted, StepEnded, StepStarted
from swarmlet.trace.read import Trace

RUN = RunId("r")


def trace_of(*events: Event) -> Trace:
    return Trace([RunStarted(at=0, run=RUN, name="all", node="app:all"), *events], {Digest("d"): b"[1]"})


def test_a_path_that_starts_again_is_running_again() -> None:
    begun = StepStarted(at=1, path="all/a", node="app:a"), StepEnded(at=2, path="all/a", state="failed")
    trace = trace_of(*begun, StepStarted(at=5, path="all/a", node="app:a"))
    assert (trace.step("all/a").state, trace.step("all/a").seconds) == ("running", None)
    ended = trace_of(*trace.events[1:], StepEnded(at=7, path="all/a", state="finished"))
    assert (ended.step("all/a").state, ended.step("all/a").seconds) == ("finished", 2)


def test_the_root_ended_as_the_run_did() -> None:
    failed = StepStarted(at=1, path="all/a", node="app:a"), StepEnded(at=2, path="all/a", state="failed")
    assert trace_of(*failed).root.state == "failed"
    trace = trace_of(*failed, RunEnded(at=3, state="finished", output=Digest("d")))
    assert trace.root.state == "finished"
    assert trace.output("all") == [1]


def test_groups_and_steps_are_found_by_path_and_others_are_named() -> None:
    trace = trace_of(StepStarted(at=1, path="all/a[0]", node="app:a"), StepEnded(at=2, path="all/a[0]", state="finished"))
    assert trace.step("all/a").children == [trace.step("all/a[0]")]
    with pytest.raises(KeyError, match=r"no step 'all/b' in run r; there are: all, all/a, all/a\[0\]"):
        trace.step("all/b")
