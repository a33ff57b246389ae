"""What the tests of the examples share."""

from __future__ import annotations

from swarmlet import Agent, Trace
from swarmlet.testing import Request
from swarmlet.testing.script import Matcher


def asked(agent: Agent[..., object], text: str = "") -> Matcher:
    """Whether a request is this agent's, with `text` in its prompt."""

    def matches(request: Request) -> bool:
        return request.system == agent.settings.instructions and text in request.last

    return matches


def paths(trace: Trace) -> set[str]:
    """The paths of all steps that ran."""
    return {step.path for step in trace.steps()}
