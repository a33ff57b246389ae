"""What the tests of the examples ask of a trace."""

from __future__ import annotations

from swarmlet import Trace


def paths(trace: Trace) -> set[str]:
    """The paths of all steps that ran."""
    return {step.path for step in trace.steps()}
