"""What the list of runs says of a run: counted from its events as they are written, and again when a journal is verified."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Final, cast

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from swarmlet.errors import JournalError
from swarmlet.trace.events import (
    Answered,
    CallEnded,
    Digest,
    Event,
    PartsKept,
    RunEnded,
    StepStarted,
    Unknown,
    event_adapter,
    unknown_event,
)
from swarmlet.trace.record import call_usage, is_begun
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swarmlet.trace.read import StepState
    from swarmlet.trace.record import Draft

LIKE_A_DIGEST: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
"""What may be the name of a recorded value: more than events name, and never less."""


@dataclass(slots=True)
class Tally:
    """How a run goes."""

    started: float
    last: float
    state: str
    steps: int = 0
    usage: Usage = field(default_factory=Usage)

    def add(self, event: Event | list[Draft]) -> None:
        """Count an event, or some."""
        if isinstance(event, list):
            self.last, self.state = event[-1][0], "running"
            self.steps += sum(map(is_begun, event))
            return
        self.last = event.at
        if isinstance(event, Answered | PartsKept):  # which may come after a suspended run has ended, and ends nothing itself
            return
        self.state = event.state if isinstance(event, RunEnded) else "running"
        if isinstance(event, StepStarted):
            self.steps += 1
        elif isinstance(event, CallEnded):
            self.usage += call_usage(event)


def at_of(event: Event | Draft | list[Draft]) -> float:
    """When it happened; of several, the first."""
    if isinstance(event, list):
        return event[0][0]
    return event[0] if isinstance(event, tuple) else event.at


def as_shown(state: str, *, goes_on: bool) -> StepState:
    """A run without an end, whose process is gone, is lost."""
    return "lost" if state == "running" and not goes_on else cast("StepState", state)


def encoded(event: Event) -> str:
    """An event as JSON."""
    if isinstance(event, Unknown):
        return event.data
    try:
        return event_adapter().dump_json(event).decode()
    except PydanticSerializationError:  # half a surrogate pair in a text, which some servers do send
        return clean(json.dumps(event_adapter().dump_python(event), ensure_ascii=False))


def decoded(text: str, run: str, store: str) -> Event:
    """The event that a row holds. Raises `JournalError`."""
    try:
        return event_adapter().validate_json(text)
    except (ValidationError, TypeError) as error:
        if (unknown := unknown_event(text)) is not None:
            return unknown
        raise JournalError(
            f"run {run!r} in the journal {store} has an event that this swarmlet cannot read: "
            "a newer swarmlet may have written it, or it is damaged"
        ) from error


def clean(text: str) -> str:
    """`text` without what no database takes: halves of surrogate pairs, and NUL."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def digests_of(event: Event) -> Iterator[Digest]:
    """The recorded values that an event names; of an unknown event, what may be some."""
    if isinstance(event, Unknown):
        yield from map(Digest, LIKE_A_DIGEST.findall(event.data))
        return
    kind: type = type(event)
    for name in _fields_with_digests(kind):
        value: object = getattr(event, name)
        if isinstance(value, str):
            yield Digest(value)
        elif isinstance(value, dict):
            yield from (item for item in cast("Mapping[str, Digest | None]", value).values() if item is not None)
        elif isinstance(value, tuple):
            yield from (item for item in cast("tuple[Digest | None, ...]", value) if item is not None)


@cache
def _fields_with_digests(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind) if "Digest" in str(each.type))
