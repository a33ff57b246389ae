"""Steps that are written together: most events of most runs are beginnings and ends of steps, and a row each is dear.

A row of kind `steps` holds those that follow one another in a run, as a list of JSON. An item is `[at, path, node, waited,
place_waited, [name, ...], [value, ...]]` for a step that began and `[at, path, value]` for one that has finished, both with
the values themselves, where these are scalars (`null` and `[at, path]` where capture was off). Any other event of a step is an
object, as in a row of its own. Readers get events and values, and do not see the difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from swarmlet.errors import JournalError
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.events import (
    Digest,
    Event,
    RunEnded,
    RunResumed,
    RunStarted,
    StepEnded,
    StepStarted,
    Unknown,
    event_adapter,
    unknown_event,
)
from swarmlet.trace.journal.base import Row
from swarmlet.trace.journal.tally import at_of, clean, decoded, encoded
from swarmlet.trace.record import digest_of

if TYPE_CHECKING:
    from swarmlet.trace.events import RunId
    from swarmlet.trace.journal.base import Told
    from swarmlet.trace.record import Draft

    Item = Draft | StepStarted | StepEnded
STEPS: Final = "steps"
"""The kind of such rows."""


def packed(told: Iterable[Told]) -> list[tuple[RunId, Row]]:
    """What happened, as rows; those of each run are in order."""
    found: list[tuple[RunId, Event | list[Item]]] = []
    going: dict[RunId, list[Item]] = {}
    for run, event in told:
        if not isinstance(event, list | StepStarted | StepEnded):
            going.pop(run, None)
            found.append((run, event))
            continue
        if (pack := going.get(run)) is None:
            pack = going[run] = []
            found.append((run, pack))
        pack += event if isinstance(event, list) else [event]
    return [(run, _of_steps(one) if isinstance(one, list) else _row(one)) for run, one in found]


def read_row(row: Row, run: str, store: str, values: dict[Digest, bytes]) -> list[Event]:
    """The events of a row; values that stand in it are added to `values`. Raises `JournalError`."""
    if row.kind != STEPS:
        return [decoded(row.event, run, store)]
    try:
        items = from_json(row.event)
        if not isinstance(items, list):
            raise TypeError(items)  # noqa: TRY301  # told below with all else that such a row may be
        return [_event_of(item, values) for item in cast("list[object]", items)]
    except (ValueError, TypeError, ValidationError) as error:
        raise JournalError(f"run {run!r} in the journal {store} has steps that cannot be read: it is damaged") from error


def repeats(row: Row, events: list[Event]) -> bool:
    """Whether the columns of a row say the same as its events."""
    first = events[0] if events else None
    if isinstance(first, Unknown):
        return row.kind == first.named
    if row.kind == STEPS:
        return bool(events) and (row.at, row.path) == (events[0].at, None)
    return (row.kind, row.at, row.path) == (events[0].kind, events[0].at, _path(events[0]))


def _of_steps(items: list[Item]) -> Row:
    at = at_of(items[0])
    try:
        return Row(STEPS, at, None, to_json(items).decode())
    except PydanticSerializationError:  # half a surrogate pair in an error's text or a path
        plain = [event_adapter().dump_python(item) if isinstance(item, StepStarted | StepEnded) else item for item in items]
        return Row(STEPS, at, None, clean(json.dumps(plain, ensure_ascii=False)))


def _event_of(item: object, values: dict[Digest, bytes]) -> Event:
    if isinstance(item, dict):
        try:
            return event_adapter().validate_python(item)
        except ValidationError:
            if (unknown := unknown_event(json.dumps(item))) is not None:
                return unknown
            raise
    parts = cast("list[Any]", item)  # Any: checked by what is made of it, below
    if len(parts) == 2:
        return StepEnded(at=float(parts[0]), path=_text(parts[1]), state="finished")
    if len(parts) == 3:
        at, path, value = parts
        return StepEnded(at=float(at), path=_text(path), state="finished", output=_kept(value, values))
    at, path, node, waited, held, names, given = parts
    inputs: dict[str, Digest | None] = {_text(name): None for name in names}
    for name, one in zip(names, given or (), strict=given is not None):
        inputs[name] = _kept(one, values)
    return StepStarted(
        at=float(at), path=_text(path), node=_text(node), inputs=inputs, waited=float(waited), place_waited=float(held)
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _kept(value: object, values: dict[Digest, bytes]) -> Digest:
    content = to_any_json(value)
    digest = digest_of(content)
    values[digest] = content
    return digest


def _row(event: Event) -> Row:
    return Row(event.kind, event.at, _path(event), encoded(event))


def _path(event: Event) -> str | None:
    return None if isinstance(event, RunStarted | RunResumed | RunEnded) else clean(event.path)
