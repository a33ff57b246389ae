"""Values into the record, whatever they are.

What a user's node takes or gives may not be writable: an iterator that can be gone through once, an object that cannot say
what it is. That must not cost a run its result; the record then says that the value is not in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from swarmlet.engine.restore import LOSSY, note_of
from swarmlet.trace.encode import Losses, text_of, to_any_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from swarmlet.graph.shape import AnyNode
    from swarmlet.trace.encode import Encoder
    from swarmlet.trace.events import Digest
    from swarmlet.trace.record import Recorder

_PLAIN = frozenset((str, int, float, bool, bytes, type(None)))


def keep_values(
    recorder: Recorder, values: Mapping[str, object], encoders: Mapping[str, Encoder]
) -> tuple[dict[str, Digest | None], Sequence[str]]:
    """The digests of the named values, and what is to be noted about those that cannot be kept."""
    kept: dict[str, Digest | None] = {}
    problems: Sequence[str] = ()
    for name, value in values.items():
        kept[name], problem = _keep(recorder, name, value, encoders.get(name, to_any_json))
        if problem:
            problems = (*problems, *problem)
    return kept, problems


def keep_output(recorder: Recorder, value: object, encode: Encoder) -> tuple[Digest | None, Sequence[str]]:
    """The digest of a result, and what is to be noted if it cannot be kept."""
    return _keep(recorder, "output", value, encode)


def keep_result(recorder: Recorder, value: object, node: AnyNode) -> tuple[Digest | None, str, Sequence[str]]:
    """As `keep_output`, with what the record must say of the value's class, so that it can be restored."""
    before = Losses.count
    digest, problems = keep_output(recorder, value, node.encode_output)
    if digest is None or not recorder.resumable:
        return digest, "", problems
    if Losses.count != before:
        return digest, LOSSY, problems
    content = recorder.content(digest) or b""
    return digest, note_of(value, content, node.signature.returns, node.encode_output), problems


def keep_arguments(
    recorder: Recorder, values: Mapping[str, object], node: AnyNode
) -> tuple[dict[str, Digest | None], dict[str, str], Sequence[str]]:
    """As `keep_values`, with what the record must say of their classes, so that they can be restored."""
    kept: dict[str, Digest | None] = {}
    notes: dict[str, str] = {}
    problems: list[str] = []
    for name, value in values.items():
        before, encode = Losses.count, node.encode_inputs.get(name, to_any_json)
        kept[name], problem = _keep(recorder, name, value, encode)
        problems += problem
        if recorder.resumable and (digest := kept[name]) is not None:
            content = recorder.content(digest) or b""
            note = LOSSY if Losses.count != before else note_of(value, content, declared_of(node, name), encode)
            notes |= {name: note} if note else {}
    return kept, notes, problems


def declared_of(node: AnyNode, name: str) -> object:
    """The type of an argument that the record has under this name."""
    plain = name.removeprefix("**").partition("[")[0]
    return next((one.annotation for one in node.signature.parameters if one.name == plain), object)


def _keep(recorder: Recorder, name: str, value: object, encode: Encoder) -> tuple[Digest | None, Sequence[str]]:
    if not recorder.capture:
        return None, ()
    try:
        if type(value) in _PLAIN or not _holds_iterator(value):
            return recorder.keep(value, encode), ()
        reason = "writing it would use it up; give a list instead of an iterator"
    except Exception as error:  # noqa: BLE001  # a value's own methods take part in writing it
        reason = f"it cannot be written: {text_of(error)}"
    return None, (f"{name!r} is not in the record, as {reason}",)


def _holds_iterator(value: object) -> bool:
    """Whether something in `value` can be gone through only once, which is the step's to do."""
    seen: set[int] = set()
    left: list[object] = [value]
    while left:
        one = left.pop()
        parts_of = _parts_of(type(one))  # type: ignore[arg-type]  # mypy takes a class for unhashable
        if parts_of is iter:
            return True
        if parts_of and id(one) not in seen:
            seen.add(id(one))
            parts = parts_of(one)
            if not _PLAIN.issuperset(map(type, parts)):
                left += [part for part in parts if type(part) not in _PLAIN]
    return False


@lru_cache(maxsize=1024)
def _parts_of(kind: Any) -> Callable[[Any], Iterable[object]] | None:  # Any: a class, and a value of it
    """What gives all that is written along with a value: `iter` for an iterator, nothing where there are no parts."""
    if issubclass(kind, Iterator):
        return iter
    if issubclass(kind, dict):
        return dict[object, object].values
    if issubclass(kind, BaseModel):
        return _of_model
    if is_dataclass(kind):
        names = [one.name for one in fields(kind)]
        return lambda value: [getattr(value, name, None) for name in names]
    return _itself if issubclass(kind, list | tuple | set | frozenset | deque) else None


def _of_model(model: BaseModel) -> Iterable[object]:
    extra = model.__pydantic_extra__
    return [*vars(model).values(), *extra.values()] if extra else vars(model).values()


def _itself(value: Iterable[object]) -> Iterable[object]:
    return value
