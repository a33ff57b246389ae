"""A run as lines of JSON, to be kept or sent elsewhere, and such lines read back as a `Trace`.

The first line says what follows: `{"format": 2, "journal": "swarmlet", "run": ID}`. Then, in the order in which they happened,
one line for each event, `{"event": {...}}`, and before the first event that names it one for each recorded value,
`{"content": TEXT, "digest": DIGEST}`: the value's JSON as a text, as it was written, because its digest is that of its bytes.
Keys are sorted, and lines are ASCII. The same run gives the same lines from any store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, cast

from swarmlet.errors import JournalError
from swarmlet.trace.events import Digest, Event, RunStarted
from swarmlet.trace.journal.tally import decoded, digests_of, encoded
from swarmlet.trace.read import Trace
from swarmlet.trace.record import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarmlet.trace.events import RunId

_KIND: Final = "swarmlet"
FORMAT: Final = 2
"""Of the lines."""


def exported(
    run: RunId, events: Iterable[tuple[str | None, Event]], content: Callable[[Digest], bytes | None]
) -> Iterator[str]:
    """The lines of a run, from its events (with their JSON, where they were written one by one) and what knows its values."""
    yield _line({"journal": _KIND, "format": FORMAT, "run": run})
    told: set[Digest] = set()
    for text, event in events:
        for digest in digests_of(event):
            if digest in told:
                continue
            told.add(digest)
            value = content(digest)
            if value is not None:
                yield _line({"digest": digest, "content": value.decode("utf-8", "surrogateescape")})
        yield _line({"event": json.loads(encoded(event) if text is None else text)})


def _line(data: dict[str, object]) -> str:
    return json.dumps(data, sort_keys=True)


def read_export(lines: Iterable[str]) -> Trace:
    """The trace that `Journal.export` has written. Raises `JournalError` if a line is not of that kind, or was changed."""
    events: list[Event] = []
    values: dict[Digest, bytes] = {}
    run: str | None = None
    for number, line in enumerate(lines, 1):
        data = _object(line, number)
        match data:
            case {"journal": str(kind), "format": int(found), "run": str(run_id)} if number == 1 and kind == _KIND:
                run = _checked(run_id, found)
            case {"event": dict()} if run is not None:
                events.append(decoded(json.dumps(data["event"]), run, "export"))
            case {"digest": str(digest), "content": str(content)} if run is not None:
                values[Digest(digest)] = _content(digest, content, number)
            case _:
                raise JournalError(f"line {number} is not of a run that `swarmlet journal export` has written")
    if not events or not isinstance(events[0], RunStarted):
        raise JournalError("this is no run that `swarmlet journal export` has written: it does not begin with run_started")
    return Trace(events, values)


def _object(line: str, number: int) -> dict[str, object]:
    try:
        data: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JournalError(f"line {number} of the export is not JSON: it is cut off or damaged") from error
    return cast("dict[str, object]", data) if isinstance(data, dict) else {}


def _checked(run: str, found: int) -> str:
    if found > FORMAT:
        raise JournalError(f"the export has format {found}, and this swarmlet knows formats up to {FORMAT}: upgrade swarmlet")
    return run


def _content(digest: str, text: str, number: int) -> bytes:
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        content = b""
    if digest_of(content) != digest:
        raise JournalError(f"line {number} of the export was changed: the value is not the one that {digest!r} names")
    return content
