"""Ids of runs."""

from __future__ import annotations

import secrets
import time

from swarmlet.trace.events import RunId


def new_run_id() -> RunId:
    """An id that sorts by time and can be typed: the second (UTC) and eight random hex digits."""
    return RunId(f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}")
