"""Ids of runs."""

from __future__ import annotations

import secrets
import time

from swarmlet.trace.events import RunId


def new_run_id() -> RunId:
    """An id that sorts by time and can be typed: the millisecond (UTC) and eight random hex digits."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(seconds))
    return RunId(f"{stamp}-{milliseconds:03}-{secrets.token_hex(4)}")
