"""The recorder: what a run appends its events to, and where each recorded value is kept once.

The engine and the agents call it; it knows neither. Events go to the run's own list and to every sink (the journal's
writer, the logger, the listener of a stream) in the order in which they happen.

The beginning and the end of a step whose values can never change may be recorded as *drafts*: tuples, which are written out
as events when somebody reads them. Most steps that cost next to nothing are of this kind, and their record should, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast, final, runtime_checkable

from swarmlet.trace.encode import Encoder, Losses, encoder, text_of
from swarmlet.trace.events import CallEnded, Digest, Fault, PartsKept, StepEnded, StepStarted
from swarmlet.trace.parts import put_together, taken_apart
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from swarmlet.trace.events import Event, RunId

Draft: TypeAlias = (
    tuple[float, str, str, float, float, Sequence[str], Sequence[object] | None]
    | tuple[float, str]
    | tuple[float, str, object]
    | tuple[float, str, object, Encoder]
)
"""Of a `StepStarted`: at, path, node, waited, place_waited, the names of its arguments, and their values. Of the `StepEnded`
of a step that has finished: at, path and its result, with what writes that, if it is no scalar of its declared type. Without
values where capture is off."""


_SCALARS = frozenset((str, int, bool, type(None)))
_SHORT = 200
_MOST = 4096


def steady_clock() -> Callable[[], float]:
    """Tells seconds since 1970, set by the wall clock now: it never goes back, so no duration is ever negative."""
    began = time.time() - time.perf_counter()
    return lambda: began + time.perf_counter()


class Sink(Protocol):
    """Takes what a run records, as it happens. Called on the event loop: it must be quick and must not raise.

    An event is told in the context in which the work is done that it tells of: of a beginning before, of an end after it.
    """

    def event(self, run: RunId, event: Event) -> None:
        """Take one event."""
        ...

    def value(self, digest: Digest, content: bytes) -> None:
        """Take a recorded value, before the first event that names it."""
        ...


@runtime_checkable
class DraftSink(Sink, Protocol):
    """A sink that need not be told events as they are."""

    def draft(self, run: RunId, draft: Draft) -> None:
        """Take a draft."""
        ...


class Listener(Sink, Protocol):
    """A sink that may want replies piece by piece."""

    def wants_text(self, run: RunId) -> bool:
        """Whether the replies of this run are to be streamed."""
        ...


@dataclass(slots=True)
class Recorder:
    """The record of one run while it is being written.

    `capture=False` keeps prompts, inputs, outputs and error texts out of the record; the rest stays.
    """

    run: RunId
    sinks: tuple[Sink, ...] = ()
    capture: bool = True
    now: Callable[[], float] = field(default_factory=steady_clock)
    log: list[Event | Draft] = field(default_factory=list["Event | Draft"])
    """What happened, as it was recorded; `events` reads it."""
    values: dict[Digest, bytes] = field(default_factory=dict[Digest, bytes])
    resumable: bool = False
    """Whether another process may go on from the record, so that it must say what values can be read back."""
    wants_text: bool = False
    """Whether a sink wants replies piece by piece, so that models should stream."""
    _scalars: dict[tuple[Encoder, type, object], Digest | None] = field(
        default_factory=dict["tuple[Encoder, type, object]", "Digest | None"]
    )
    """The digests of short values that were just kept: what one step returns, others take."""
    earlier: Callable[[Digest], bytes | None] | None = None
    """Where values are that an earlier process has recorded."""
    plan: Callable[[], bytes] | None = None
    """Tells the graph that runs, as JSON, for readers of a record that does not hold it."""
    _of_drafts: dict[Digest, bytes] = field(default_factory=dict[Digest, bytes])
    """Values that stand in drafts: sinks have these with the drafts."""
    _written: int = 0
    """How far the log holds events only."""
    _parts: list[Digest] = field(default_factory=list["Digest"])
    """Pictures that no event names yet."""

    @property
    def events(self) -> list[Event]:
        """What happened up to now."""
        log, written, length = self.log, self._written, len(self.log)
        if written < length:  # what another thread appends meanwhile stays as it is
            log[written:length] = [self._event_of(one) if isinstance(one, tuple) else one for one in log[written:length]]
            self._written = length
        return cast("list[Event]", log)

    @property
    def takes_drafts(self) -> bool:
        """Whether drafts will do for everybody who is told what happens."""
        return all(isinstance(sink, DraftSink) for sink in self.sinks)

    @property
    def extent(self) -> Extent:
        """The record as far as it goes now."""
        return Extent(self, len(self.log))

    def emit(self, event: Event) -> None:
        """Append `event` and tell the sinks."""
        if self._parts and self.log:
            self._name_parts(event)
        self.log.append(event)
        if self.sinks:
            self.tell(event)
        if self._parts:  # of the event with which a run begins
            self._name_parts(event)

    def _name_parts(self, event: Event) -> None:
        """Before the values of `event` are named, what these consist of."""
        parts, self._parts = tuple(self._parts), []
        self.emit(PartsKept(at=event.at, parts=parts, path=getattr(event, "path", "")))

    def draft(self, draft: Draft) -> None:
        """Append a draft and tell the sinks, which all take drafts."""
        self.log.append(draft)
        for sink in self.sinks:
            cast("DraftSink", sink).draft(self.run, draft)

    def tell(self, event: Event) -> None:
        """Tell the sinks of an event that is not kept."""
        for sink in self.sinks:
            sink.event(self.run, event)

    def keep(self, value: object, encode: Encoder) -> Digest | None:
        """Keep `value`, once, and give the digest by which events name it; `None` where capture is off."""
        if not self.capture:
            return None
        kind = type(value)
        if kind not in _SCALARS or (kind is str and len(cast("str", value)) > _SHORT):
            return self.keep_json(encode(value))
        key = encode, kind, value
        digest = self._scalars.get(key)
        if digest is None:
            before = Losses.count
            digest = self.keep_json(encode(value))
            if len(self._scalars) > _MOST:
                self._scalars.clear()
            if Losses.count == before:
                self._scalars[key] = digest
        return digest

    def keep_json(self, content: bytes) -> Digest | None:
        """As `keep`, of a value that is written already. Pictures in it are kept by themselves."""
        if not self.capture:
            return None
        content, parts = taken_apart(content, digest_of)
        for digest, part in parts.items():
            if digest not in self.values:
                self.keep_known(digest, part)
                self._parts.append(digest)
        return self.keep_known(digest_of(content), content)

    def keep_known(self, digest: Digest, content: bytes) -> Digest | None:
        """As `keep_json`, of a value whose digest is known."""
        if not self.capture:
            return None
        if digest not in self.values:
            self.values[digest] = content
            for sink in self.sinks:
                sink.value(digest, content)
        return digest

    def keep_again(self, digest: Digest | None) -> None:
        """Keep a value that another run has recorded in this one, too: their records may end up in different places."""
        content = None if digest is None else self.content(digest)
        if content is not None:
            self.keep_json(content)

    def _event_of(self, draft: Draft) -> StepStarted | StepEnded:
        """The event that a draft stands for. Sinks that were told of the draft have its values."""
        if len(draft) == 7:
            at, path, node, waited, held, names, values = draft
            inputs: dict[str, Digest | None] = dict.fromkeys(names)
            for name, value in zip(names, values or (), strict=values is not None):
                inputs[name] = self._keep_here(value, encoder(type(value)))
            return StepStarted(at=at, path=path, node=node, inputs=inputs, waited=waited, place_waited=held)
        if len(draft) == 2:
            return StepEnded(at=draft[0], path=draft[1], state="finished")
        at, path, value = draft[:3]
        output = self._keep_here(value, draft[3] if len(draft) == 4 else encoder(type(value)))
        return StepEnded(at=at, path=path, state="finished", output=output)

    def _keep_here(self, value: object, encode: Encoder) -> Digest:
        content = encode(value)
        digest = digest_of(content)
        self._of_drafts.setdefault(digest, content)
        return digest

    def content(self, digest: Digest) -> bytes | None:
        """A recorded value, as JSON."""
        content = self._recorded(digest)
        return None if content is None else put_together(content, self._recorded)

    def _recorded(self, digest: Digest) -> bytes | None:
        content = self.values.get(digest) or self._of_drafts.get(digest)
        return self.earlier(digest) if content is None and self.earlier is not None else content

    def fault(self, error: BaseException) -> Fault:
        """`error` as data, without its text where capture is off, or where the error cannot say it."""
        text = text_of(error) if self.capture else ""
        return Fault(type(error).__name__, text.encode("utf-8", "replace").decode())  # half a surrogate pair cannot be stored


@final
@dataclass(frozen=True, slots=True)
class Extent:
    """A record up to a place in it."""

    recorder: Recorder
    length: int

    def __iter__(self) -> Iterator[Event]:
        """What happened up to there."""
        return islice(self.recorder.events, self.length)

    def but_drafts(self) -> Iterator[Event]:
        """The same without those events of steps that are drafts still, which are not written out for this."""
        return (one for one in islice(self.recorder.log, self.length) if not isinstance(one, tuple))


def is_begun(draft: Draft) -> bool:
    """Whether it is of a step's beginning, and not of its end."""
    return len(draft) > 4


def digest_of(content: bytes) -> Digest:
    """The name of a recorded value."""
    return Digest(blake2b(content, digest_size=16).hexdigest())


_NOT_SENT: Final = "NoApiKey"
"""The failure of a call of which no server has heard."""


def call_usage(event: CallEnded) -> Usage:
    """What one attempt of a model call cost, as far as the server told."""
    told = event.state == "finished" or event.input_tokens or event.output_tokens
    usd = price_of(event.usd)
    return Usage(
        requests=0 if event.error is not None and event.error.type == _NOT_SENT else 1,
        input_tokens=event.input_tokens,
        cached_tokens=event.cached_tokens,
        output_tokens=event.output_tokens,
        usd=usd or Decimal(0),
        unpriced_requests=1 if event.unknown_cost or (told and usd is None) else 0,
    )


def price_of(text: str | None) -> Decimal | None:
    """An amount of USD in an event; `None` where there is none, or no amount that makes sense."""
    try:
        price = None if text is None else Decimal(text)
    except InvalidOperation:  # a journal that somebody else has written
        return None
    return price if price is None or price.is_finite() else None
