"""Ids of runs."""

from __future__ import annotations

import secrets
import time

from swarmlet.errors import SwarmletError
from swarmlet.trace.events import RunId

_LONGEST = 200


def new_run_id() -> RunId:
    """An id that sorts by time and can be typed: the millisecond (UTC) and eight random hex digits."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(seconds))
    return RunId(f"{stamp}-{milliseconds:03}-{secrets.token_hex(4)}")


def check_id(run_id: str) -> None:
    """Raise `SwarmletError` for an id that cannot be typed, or that commands take for something else."""
    if not 0 < len(run_id) <= _LONGEST or not run_id.isprintable() or any(map(str.isspace, run_id)) or run_id == "last":
        raise SwarmletError(f"a run cannot have the id {run_id!r}: it is up to {_LONGEST} printable characters without spaces")
