"""The recorder: what a run appends its events to, and where each recorded value is kept once.

The engine and the agents call it; it knows neither. Events go to the run's own list and to every sink (the journal's
writer, the logger, the listener of a stream) in the order in which they happen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import PydanticSerializationError, to_json

from swarmlet.trace.events import CallEnded, Digest, Fault
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from swarmlet.trace.events import Event, RunId

Encoder: TypeAlias = Callable[[object], bytes]
"""Writes a value of one type as JSON."""


class Sink(Protocol):
    """Takes what a run records, as it happens. Called on the event loop: it must be quick and must not raise."""

    def event(self, run: RunId, event: Event) -> None:
        """Take one event."""
        ...

    def value(self, digest: Digest, content: bytes) -> None:
        """Take a recorded value, before the first event that names it."""
        ...


@dataclass(slots=True)
class Recorder:
    """The record of one run while it is being written.

    `capture=False` keeps prompts, inputs, outputs and error texts out of the record; the rest stays.
    """

    run: RunId
    sinks: tuple[Sink, ...] = ()
    capture: bool = True
    now: Callable[[], float] = time.time
    events: list[Event] = field(default_factory=list["Event"])
    values: dict[Digest, bytes] = field(default_factory=dict[Digest, bytes])
    usage: Usage = field(default_factory=Usage)
    wants_text: bool = False
    """Whether a sink wants replies piece by piece, so that models should stream."""

    def emit(self, event: Event) -> None:
        """Append `event` and tell the sinks."""
        self.events.append(event)
        if isinstance(event, CallEnded):
            self.usage += call_usage(event)
        self.tell(event)

    def tell(self, event: Event) -> None:
        """Tell the sinks of an event that is not kept."""
        for sink in self.sinks:
            sink.event(self.run, event)

    def keep(self, value: object, encode: Encoder) -> Digest | None:
        """Keep `value`, once, and give the digest by which events name it; `None` where capture is off."""
        if not self.capture:
            return None
        content = encode(value)
        digest = Digest(blake2b(content, digest_size=16).hexdigest())
        if digest not in self.values:
            self.values[digest] = content
            for sink in self.sinks:
                sink.value(digest, content)
        return digest

    def keep_all(self, values: Mapping[str, object], encoders: Mapping[str, Encoder]) -> dict[str, Digest | None]:
        """Keep each of the named values."""
        return {name: self.keep(value, encoders.get(name, to_any_json)) for name, value in values.items()}

    def fault(self, error: BaseException) -> Fault:
        """`error` as data, without its text where capture is off."""
        text = str(error).encode("utf-8", "replace").decode()  # half a surrogate pair cannot be stored
        return Fault(type(error).__name__, text if self.capture else "")


def call_usage(event: CallEnded) -> Usage:
    """What one attempt of a model call cost, as far as the server told."""
    if event.state != "finished" and not event.input_tokens and not event.output_tokens:
        return Usage()
    usd = _price(event.usd)
    return Usage(
        requests=1,
        input_tokens=event.input_tokens,
        cached_tokens=event.cached_tokens,
        output_tokens=event.output_tokens,
        usd=usd or Decimal(0),
        unpriced_requests=1 if usd is None else 0,
    )


def _price(text: str | None) -> Decimal | None:
    try:
        price = None if text is None else Decimal(text)
    except InvalidOperation:  # a journal that somebody else has written
        return None
    return price if price is None or price.is_finite() else None


def to_any_json(value: object) -> bytes:
    """`value` as JSON by its own type; what JSON cannot say is written as its `repr`."""
    try:
        return to_json(value, fallback=repr, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError):  # half a surrogate pair, a circle
        return to_json(ascii(value))


@lru_cache(maxsize=4096)
def _adapter(type_: Any) -> TypeAdapter[Any] | None:  # Any: the type is known at run time only
    try:
        return TypeAdapter(type_)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        return None


def encoder(type_: object) -> Encoder:
    """The encoder of values that are declared as `type_`. Nothing is built before the first value comes."""

    def encode(value: object) -> bytes:
        adapter = _adapter(type_)
        if adapter is None:
            return to_any_json(value)
        try:
            return adapter.dump_json(value, warnings="none")
        except PydanticSerializationError:
            return to_any_json(value)

    return encode
