"""What a run sent to models more than once: tokens fresh, re-fed, and read from the provider's cache.

Agents send the whole conversation again with every turn, and parallel agents send the same instructions side by side. What
was sent before in the run is found by the digests of messages: the longest beginning that a call shares with an earlier one,
of the same model with the same tools. Servers count whole prompts only, so:

- where the shared beginning is all that an earlier call sent (the turns of an agent, a retry), its tokens are that call's;
- elsewhere they are estimated: tokens between two known counts are split by the length of what was sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from swarmlet.trace.events import CallEnded, CallStarted
from swarmlet.trace.record import price_of

if TYPE_CHECKING:
    from swarmlet.trace.events import Digest, Event
    from swarmlet.trace.read import Trace

Weigh: TypeAlias = "Callable[[Digest], int]"
"""How long a recorded value is, in any unit: bytes, or tokens by a tokenizer."""

_SMALLEST: Final = Decimal("1E-12")


@dataclass(frozen=True, slots=True)
class Feed:
    """Where the prompt tokens of some calls come from: fresh, re-fed and unknown ones are all. Feeds add up with `+`."""

    input_tokens: int = 0
    """All tokens of the prompts."""
    fresh: int = 0
    """Sent for the first time in the run."""
    refed: int = 0
    """Sent before in the same run."""
    unknown: int = 0
    """Of calls whose messages are not in the record, because content capture was off."""
    cached: int = 0
    """Of all: read from the provider's cache, at its price."""
    refed_cached: int = 0
    """Of the re-fed ones: read from the provider's cache. What it had from elsewhere is `cached - refed_cached`."""
    estimated: int = 0
    """Of the re-fed ones: estimated by length."""
    refed_usd: Decimal = Decimal(0)
    """What the re-fed ones cost, in USD, as far as prices are known."""
    refed_saved: Decimal = Decimal(0)
    """What the provider's cache saved of that: so much more they would have cost without it."""
    unpriced: int = 0
    """Of the re-fed ones: the record does not say what they cost."""

    @property
    def refed_paid(self) -> int:
        """Tokens that were sent before and paid in full again."""
        return self.refed - self.refed_cached

    def __add__(self, other: Feed) -> Feed:
        return Feed(
            self.input_tokens + other.input_tokens,
            self.fresh + other.fresh,
            self.refed + other.refed,
            self.unknown + other.unknown,
            self.cached + other.cached,
            self.refed_cached + other.refed_cached,
            self.estimated + other.estimated,
            self.refed_usd + other.refed_usd,
            self.refed_saved + other.refed_saved,
            self.unpriced + other.unpriced,
        )

    @staticmethod
    def total(feeds: Iterable[Feed]) -> Feed:
        """The sum of many."""
        return sum(feeds, start=Feed())


@dataclass(frozen=True, slots=True)
class CallFeed:
    """One call with usage, and where its prompt tokens come from."""

    started: CallStarted
    ended: CallEnded
    feed: Feed


def refed(events: Iterable[Event], weigh: Weigh) -> Feed:
    """Where the prompt tokens of a run, or of a part of one, come from."""
    return Feed.total(call.feed for call in feeds(events, weigh))


def feed_of(trace: Trace) -> Feed:
    """Where the prompt tokens of a run come from: fresh, or sent before in it; and what the provider's cache had of them."""
    return refed(trace.events, weigh_by_bytes(trace))


def feeds(events: Iterable[Event], weigh: Weigh) -> list[CallFeed]:
    """The calls of a run for which the server told the tokens, in the order in which they were sent; it fed on no others."""
    roots: dict[tuple[str, Digest | None], _Seen] = {}
    found: list[CallFeed] = []
    pairs = _pairs(events)
    rates = _rates(ended for _, ended in pairs if ended is not None and ended.input_tokens)
    for started, ended in pairs:
        if ended is None or not ended.input_tokens:
            continue
        if None in started.messages or not started.messages:
            found.append(CallFeed(started, ended, _unknown(ended)))
            continue
        root = roots.setdefault((started.model, started.request), _Seen())
        sent = root.send(cast("tuple[Digest, ...]", started.messages), ended.input_tokens)
        found.append(CallFeed(started, ended, _split(started, ended, sent, weigh, rates)))
    return found


def weigh_by_bytes(trace: Trace) -> Weigh:
    """How many bytes of JSON the recorded values of a trace take; of a request, its tools and its schema alone."""
    known: dict[Digest, int] = {}

    def weigh(digest: Digest) -> int:
        if digest not in known:
            known[digest] = _length(trace.value(digest))
        return known[digest]

    return weigh


def _length(value: object) -> int:
    if isinstance(value, dict) and "tools" in value:
        request = cast("dict[str, object]", value)
        parts = [request["tools"], request.get("format")]
        return sum(len(json.dumps(part, ensure_ascii=False).encode(errors="replace")) for part in parts if part)
    return len(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def _pairs(events: Iterable[Event]) -> list[tuple[CallStarted, CallEnded | None]]:
    open_: dict[tuple[str, int, int], int] = {}
    pairs: list[tuple[CallStarted, CallEnded | None]] = []
    for event in events:
        if isinstance(event, CallStarted):
            open_[event.path, event.turn, event.attempt] = len(pairs)
            pairs.append((event, None))
        elif isinstance(event, CallEnded) and (index := open_.pop((event.path, event.turn, event.attempt), None)) is not None:
            pairs[index] = (pairs[index][0], event)
    return pairs


@dataclass(slots=True)
class _Seen:
    """What was sent after the same beginning: a tree of messages. `tokens` is known where a call ended here."""

    tokens: int = 0
    next: dict[Digest, _Seen] = field(default_factory=dict["Digest", "_Seen"])

    def send(self, messages: tuple[Digest, ...], tokens: int) -> _Shared:
        """Add a call, and say how much of it was sent before."""
        here, depth, known_depth, known_tokens = self, 0, 0, 0
        for digest in messages:
            if digest not in here.next:
                break
            here, depth = here.next[digest], depth + 1
            if here.tokens:
                known_depth, known_tokens = depth, here.tokens
        for digest in messages[depth:]:
            here.next[digest] = _Seen()
            here = here.next[digest]
        here.tokens = tokens
        return _Shared(depth, known_depth, known_tokens)


@dataclass(frozen=True, slots=True)
class _Shared:
    depth: int
    """So many messages were sent before."""
    known_depth: int
    known_tokens: int
    """What the first of them are, by an earlier call's count."""


def _unknown(ended: CallEnded) -> Feed:
    return Feed(input_tokens=ended.input_tokens, unknown=ended.input_tokens, cached=ended.cached_tokens)


def _split(started: CallStarted, ended: CallEnded, sent: _Shared, weigh: Weigh, rates: Mapping[str, Decimal]) -> Feed:
    whole = ended.input_tokens
    messages = cast("tuple[Digest, ...]", started.messages)
    again, estimated = min(sent.known_tokens, whole), 0
    if sent.depth == len(messages):
        again, estimated = whole, 0  # the same request, and this is its count
    elif sent.depth > sent.known_depth:
        front = weigh(started.request) if started.request is not None and not sent.known_depth else 0
        weights = [weigh(digest) for digest in messages[sent.known_depth :]]
        share = front + sum(weights[: sent.depth - sent.known_depth])
        all_ = front + sum(weights)
        estimated = round((whole - again) * share / all_) if all_ else 0
        again += estimated
    cached = min(again, ended.cached_tokens)
    price = _price(ended, rates)
    return Feed(
        input_tokens=whole,
        fresh=whole - again,
        refed=again,
        cached=ended.cached_tokens,
        refed_cached=cached,
        estimated=estimated,
        refed_usd=_amount(price.full, again) - _amount(price.saved, cached) if price is not None else Decimal(0),
        refed_saved=_amount(price.saved, cached) if price is not None else Decimal(0),
        unpriced=again if price is None else 0,
    )


@dataclass(frozen=True, slots=True)
class _Price:
    """What tokens of a prompt cost."""

    full: Decimal
    """Of one that is not cached."""
    saved: Decimal
    """What is saved of it for one that is."""


def _amount(price: Decimal, tokens: int) -> Decimal:
    """What tokens cost, to the trillionth of a dollar: prices that were found by division do not end."""
    return (price * tokens).quantize(_SMALLEST).normalize() if price and tokens else Decimal(0)


def _price(ended: CallEnded, rates: Mapping[str, Decimal]) -> _Price | None:
    """What a token of the prompt cost."""
    saved = price_of(ended.saved_usd) or Decimal(0)
    each = saved / ended.cached_tokens if saved and ended.cached_tokens else Decimal(0)
    prompt = price_of(ended.prompt_usd)
    full = (prompt + saved) / ended.input_tokens if prompt is not None else rates.get(ended.model)
    return None if full is None else _Price(full, each)


def _rates(calls: Iterable[CallEnded]) -> dict[str, Decimal]:
    """What a token of a prompt costs, by model, where it follows from what whole calls cost: two of them tell the prices of
    prompts and replies, and all others have to fit. Needed where calls have no `prompt_usd`."""
    bills: dict[str, list[tuple[int, int, Decimal]]] = {}
    for call in calls:
        paid = price_of(call.usd)
        if paid is not None:
            whole = paid + (price_of(call.saved_usd) or Decimal(0))
            bills.setdefault(call.model, []).append((call.input_tokens, call.output_tokens, whole))
    found = {model: _rate(told) for model, told in bills.items()}
    return {model: rate for model, rate in found.items() if rate is not None}


def _rate(bills: list[tuple[int, int, Decimal]]) -> Decimal | None:
    given, made, whole = bills[0]
    given_2, made_2, whole_2 = max(bills, key=lambda bill: abs(given * bill[1] - bill[0] * made))
    known = given * made_2 - given_2 * made
    if not known:
        return None
    rate = (whole * made_2 - whole_2 * made) / known
    reply = (given * whole_2 - given_2 * whole) / known
    fits = all(abs(rate * bill[0] + reply * bill[1] - bill[2]) < _SMALLEST for bill in bills)
    return rate if fits and rate >= 0 and reply >= 0 else None
