"""A run that was killed, for every moment at which that can happen: a journal is the prefix of what had happened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from swarmlet.trace.events import Digest
from swarmlet.trace.journal import JournalWriter

if TYPE_CHECKING:
    from swarmlet import Trace


async def write_prefix(path: Path, trace: Trace, count: int) -> None:
    """A journal that has the first `count` events of a run, as a killed process leaves it."""
    writer = JournalWriter(path)
    try:
        for event in trace.events[:count]:
            for digest in _digests(event):
                if (content := trace.content(digest)) is not None:
                    writer.value(digest, content)
            writer.event(trace.run_id, event)
        await writer.flush()
        assert writer.error is None
    finally:
        await anyio.to_thread.run_sync(writer.close)


def _digests(event: object) -> list[Digest]:
    found: list[Digest] = []
    for name in getattr(type(event), "__slots__", ()):
        value = getattr(event, name)
        if name in ("output", "request", "reply", "arguments", "result", "plan", "question", "answers", "answer"):
            found += [Digest(value)] if isinstance(value, str) else []
        elif name == "inputs":
            found += [one for one in value.values() if one is not None]
        elif name == "messages":
            found += [one for one in value if one is not None]
    return found
