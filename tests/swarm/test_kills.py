"""Processes are killed with SIGKILL in the middle of a run, and others finish it: `tests/bench/kills.py`, in short."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "pidfd_open") or not hasattr(signal, "SIGKILL"), reason="needs Linux"),
    pytest.mark.skipif("coverage" in sys.modules, reason="the processes are forked, and killed"),
]


def test_a_run_whose_processes_are_killed_ends_as_it_should_and_nothing_is_paid_for_or_done_twice(tmp_path: Path) -> None:
    from tests.bench.kills import rounds

    tally = rounds(6, tmp_path, parts=2, seed=1)
    assert tally.problems == []
    assert tally.rounds == 6
