"""What the tests of the examples against a real model share."""

from __future__ import annotations

import os

import pytest

from swarmlet import Run
from swarmlet.trace import StepRecord

URL = os.environ.get("SWARMLET_TEST_BASE_URL")

REAL_MODEL = [
    pytest.mark.anyio,
    pytest.mark.real_model,
    pytest.mark.usefixtures("real_model"),
    pytest.mark.parametrize("anyio_backend", ["trio"]),  # a real model takes its time; the scripted tests run on all loops
    pytest.mark.skipif(not URL, reason="SWARMLET_TEST_BASE_URL is not set: it names a server with a real model"),
]
"""The marks of a module of such tests: `pytestmark = REAL_MODEL`. They assert structure: a small model is not clever."""


def check(result: Run[object]) -> dict[str, StepRecord]:
    """Every step finished, and every call was counted; the steps by their paths."""
    steps = {step.path: step for step in result.trace.steps()}
    assert {step.state for step in steps.values()} == {"finished"}
    assert result.usage.requests == sum(len(step.calls) for step in steps.values())
    assert result.usage.input_tokens > 0
    assert result.usage.output_tokens > 0
    return steps


def overlap(one: StepRecord, other: StepRecord) -> bool:
    """Whether both were at work at some moment."""
    assert one.begin is not None
    assert one.end is not None
    assert other.begin is not None
    assert other.end is not None
    return one.begin < other.end and other.begin < one.end
