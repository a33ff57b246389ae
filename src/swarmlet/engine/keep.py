"""Values and errors into the record, whatever they are.

What a user's node takes, gives or raises may not be writable: an iterator that can be gone through once, an object or an
error that cannot say what it is. That must not cost a run its result; the record then says that the value is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from swarmlet.engine.step import text_of
from swarmlet.trace.events import Fault
from swarmlet.trace.record import to_any_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swarmlet.trace.events import Digest
    from swarmlet.trace.record import Encoder, Recorder


def keep_values(
    recorder: Recorder, values: Mapping[str, object], encoders: Mapping[str, Encoder]
) -> tuple[dict[str, Digest | None], list[str]]:
    """The digests of the named values, and what is to be noted about those that cannot be kept."""
    kept: dict[str, Digest | None] = {}
    problems: list[str] = []
    for name, value in values.items():
        if isinstance(value, Iterator):
            kept[name] = None
            problems.append(f"{name!r} is not in the record, as writing it would use it up; give a list instead of an iterator")
            continue
        try:
            kept[name] = recorder.keep(value, encoders.get(name, to_any_json))
        except Exception as error:  # noqa: BLE001  # a value's own methods take part in writing it
            kept[name] = None
            problems.append(f"{name!r} is not in the record, as it cannot be written: {text_of(error)}")
    return kept, problems


def keep_output(recorder: Recorder, value: object, encode: Encoder) -> tuple[Digest | None, list[str]]:
    """The digest of a result, and what is to be noted if it cannot be kept."""
    kept, problems = keep_values(recorder, {"output": value}, {"output": encode})
    return kept["output"], problems


def fault(recorder: Recorder, error: BaseException) -> Fault:
    """`error` as data; without its text where capture is off, or where the error cannot say it."""
    try:
        return recorder.fault(error)
    except Exception:  # noqa: BLE001  # the error's own method failed, and it is being reported for something else
        return Fault(type(error).__name__, "")
