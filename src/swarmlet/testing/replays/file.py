"""Recordings: the model calls of runs, as a file that can be read, reviewed and committed beside the tests.

As a file it has JSON lines: one that says what the file is, then one for each call, in the order of the steps' paths, so
that the same run gives the same bytes whatever was ready first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, cast
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from swarmlet.errors import JournalError
from swarmlet.models.base import ChatReply, ChatRequest
from swarmlet.models.hub import DEFAULT_MODEL
from swarmlet.models.profiles import Profile
from swarmlet.testing.replays.call import (
    Form,
    RecordedCall,
    clean_reply,
    finite,
    form_of,
    reply_adapter,
    reply_form,
    request_adapter,
    to_line,
)
from swarmlet.testing.replays.scrub import Scrub, scrubber
from swarmlet.trace.events import Fault

if TYPE_CHECKING:
    from os import PathLike

T = TypeVar("T")

_FORMAT: Final = "swarmlet-recording"
_VERSION: Final = 1
_LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; more than any model reads."""
_MOST = 10**12
"""Tokens; more is a broken file, and would be no figure to reckon with."""

_Count = Annotated[int, Field(ge=0, le=_MOST)]


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["swarmlet-recording"]
    version: Literal[1]
    calls: _Count
    default: str
    profiles: dict[str, JsonValue] = {}


class _Tokens(BaseModel):
    """What of a reply is reckoned with."""

    model_config = ConfigDict(strict=True)

    input_tokens: _Count = 0
    cached_tokens: _Count = 0
    output_tokens: _Count = 0


class _Call(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    step: str
    turn: Annotated[int, Field(ge=1, le=_MOST)]
    request: dict[str, JsonValue]
    reply: dict[str, JsonValue] | None = None
    error: Annotated[dict[Literal["type", "message"], str], Field(min_length=2)] | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """The model calls of one run or of several, without times, ids of runs and requests, and secrets."""

    calls: tuple[RecordedCall, ...] = ()
    default: str = DEFAULT_MODEL
    """The model of agents that name none."""
    profiles: Mapping[str, Profile] = field(default_factory=dict[str, Profile])
    """Windows and prices of models whose names do not tell them."""

    @staticmethod
    def read(path: str | PathLike[str]) -> Recording:
        """Read a file. Raises `JournalError` that names the line, if it is no recording."""
        return read(Path(path))

    def save(self, path: str | PathLike[str]) -> None:
        """Write it, all or nothing, with the folders that lead there. Raises `JournalError` if that cannot be done."""
        write(self, Path(path))


def in_order(calls: Iterable[RecordedCall]) -> tuple[RecordedCall, ...]:
    """Calls by path, as people count (`[2]` before `[10]`), then turn, then what was asked: nothing of it tells time."""
    return tuple(sorted(calls, key=lambda call: (_natural(call.step), call.turn, call.key)))


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", path)]


# Writing


def write(recording: Recording, path: Path) -> None:
    """Put a recording in the place of what is at `path`, all or nothing."""
    content = "".join(f"{line}\n" for line in _lines(recording)).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content)
    except OSError as error:
        raise JournalError(f"the recording {str(path)!r} cannot be written: {error.strerror or error}") from error


def _replace(path: Path, content: bytes) -> None:
    other = path.with_name(f".{path.name[:100]}.{uuid4().hex}")
    try:
        with other.open("xb") as file:
            file.write(content)
        other.replace(path)
    except BaseException:
        with suppress(OSError):
            other.unlink()
        raise


def _lines(recording: Recording) -> Iterator[str]:
    calls = in_order(recording.calls)
    header: dict[str, object] = {
        "format": _FORMAT,
        "version": _VERSION,
        "calls": len(calls),
        "default": recording.default,
    }
    if recording.profiles:
        header["profiles"] = {
            name: _profile_adapter().dump_python(profile, mode="json", exclude_defaults=True)
            for name, profile in recording.profiles.items()
        }
    yield to_line(header)
    for call in calls:
        yield to_line(_plain(call))


def _plain(call: RecordedCall) -> dict[str, object]:
    line: dict[str, object] = {"step": call.step, "turn": call.turn, "request": call.request}
    if call.error is not None:
        return {**line, "error": {"type": call.error.type, "message": call.error.message}}
    return {**line, "reply": None if call.reply is None else reply_form(call.reply)}


@cache
def _profile_adapter() -> TypeAdapter[Any]:  # Any: of Profile, which mypy would have written as a type argument at run time
    return TypeAdapter(Profile)


# Reading


class _Wrong(Exception):  # never leaves this file
    """What is wrong with a line, in a sentence."""

    line = 0


def read(path: Path, scrub: Scrub | None = None) -> Recording:
    """The recording at `path`. Raises `JournalError` with the file and the line."""
    try:
        return _recording(_numbered(path), scrub or scrubber())
    except _Wrong as wrong:
        where = f"line {wrong.line} of " if wrong.line else ""
        raise JournalError(f"{where}{str(path)!r} is not as in a recording: {wrong}") from wrong.__cause__
    except OSError as error:
        raise JournalError(f"the recording {str(path)!r} cannot be read: {error.strerror or error}") from error


def _recording(lines: Iterator[tuple[int, bytes]], scrub: Scrub) -> Recording:
    first = next(lines, None)
    if first is None:
        raise _Wrong("the file is empty")
    header, profiles = _at(first, _head)
    calls = [_at(line, partial(_call, scrub=scrub)) for line in lines]
    if len(calls) != header.calls:
        raise _Wrong(f"its first line says that there are {header.calls} calls, and there are {len(calls)}")
    return Recording(in_order(calls), header.default, profiles)


def _at(numbered: tuple[int, bytes], parse: Callable[[bytes], T]) -> T:
    number, line = numbered
    try:
        return parse(line)
    except _Wrong as wrong:
        wrong.line = number
        raise


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that hold something, with their numbers."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                yield number, b""
            if line.strip():
                yield number, line


def _object(line: bytes) -> Form:
    if not line:
        raise _Wrong(f"it is longer than {_LONGEST_LINE:,} bytes")
    try:
        text = line.decode()
        value: object = from_json(text, allow_inf_nan=False)
    except UnicodeDecodeError as error:
        raise _Wrong("it is not UTF-8") from error
    except ValueError as error:
        raise _Wrong(f"it is not JSON ({_short(str(error))}); is it cut off, or left by a merge?") from error
    if not isinstance(value, dict):
        raise _Wrong("it is not a JSON object")
    form = cast("Form", value)
    if not finite(form):
        raise _Wrong("it has a number that is none")
    return form


def _head(line: bytes) -> tuple[_Header, dict[str, Profile]]:
    header = _header(line)
    return header, {name: _profile(profile) for name, profile in header.profiles.items()}


def _header(line: bytes) -> _Header:
    value = _object(line)
    if value.get("format") != _FORMAT:
        raise _Wrong(f"a recording begins with a line that has the format {_FORMAT!r}")
    version = value.get("version")
    if version != _VERSION or isinstance(version, bool):
        raise _Wrong(f"its version is {_short(repr(version))}, and this swarmlet reads version {_VERSION}")
    try:
        return _Header.model_validate(value)
    except ValidationError as error:
        raise _Wrong(_what(error)) from error


def _profile(value: JsonValue) -> Profile:
    try:
        profile: Profile = _strictly(_profile_adapter(), value)
    except ValidationError as error:
        raise _Wrong(f"profiles: {_what(error)}") from error
    return profile


def _call(line: bytes, scrub: Scrub) -> RecordedCall:
    value = _object(line)
    try:
        call = _Call.model_validate(value)
        request: ChatRequest = _strictly(request_adapter(), call.request)
        form = form_of(request, scrub)
        reply: ChatReply | None = None
        if call.reply is not None:
            _Tokens.model_validate({name: call.reply[name] for name in _Tokens.model_fields if name in call.reply})
            reply = clean_reply(_strictly(reply_adapter(), call.reply), form, scrub)
    except ValidationError as error:
        raise _Wrong(_what(error)) from error
    _known(call.request, request_adapter(), request, "request")
    if call.reply is not None:
        _known(call.reply, reply_adapter(), reply, "reply")
    if ("error" in value) == ("reply" in value):
        raise _Wrong("a call has either a reply, which may be null, or an error")
    fault = Fault(call.error["type"], call.error["message"]) if call.error is not None else None
    return RecordedCall(step=call.step, turn=call.turn, request=form, reply=reply, error=fault)


def _strictly(adapter: TypeAdapter[Any], value: JsonValue) -> Any:  # Any: what the adapter is of
    """A value of the adapter's type; numbers in quotes are none."""
    return adapter.validate_json(to_json(value), strict=True)


def _known(given: JsonValue, adapter: TypeAdapter[Any], value: object, where: str) -> None:  # Any: see request_adapter
    """Refuse names that mean nothing: one that is mistyped would otherwise go unnoticed."""
    stray = _stray(given, adapter.dump_python(value, mode="json", warnings=False))
    if stray is not None:
        raise _Wrong(f"{where} has {_short(repr(stray))}, which means nothing there")


def _stray(given: JsonValue, known: JsonValue) -> str | None:
    if isinstance(given, dict) and isinstance(known, dict):
        for name, one in given.items():
            stray = _stray(one, known[name]) if name in known else name
            if stray is not None:
                return stray
    if isinstance(given, list) and isinstance(known, list):
        strays = (_stray(one, other) for one, other in zip(given, known, strict=False))
        return next((one for one in strays if one is not None), None)
    return None


def _what(error: ValidationError) -> str:
    first, *more = error.errors(include_url=False, include_input=False, include_context=False)
    where = ".".join(str(part) for part in first["loc"])
    others = f" (and {len(more)} more)" if more else ""
    return _short(f"{where}: {first['msg']}" if where else first["msg"]) + others


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."
