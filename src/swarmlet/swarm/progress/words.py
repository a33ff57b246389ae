"""What is said of runs that go on: lines of text, which hold nothing that a terminal would obey."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Final

from swarmlet.trace.views import duration, line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swarmlet.swarm.progress.tally import Tally

_GOING: Final = 3
"""Steps under way that are named."""
_SPINNER: Final = "|/-\\"


def lines_of(tallies: Sequence[Tally], now: float, turn: int = 0, *, most: int = 4) -> list[str]:
    """What runs do, a few lines for each of the newest."""
    going = [tally for tally in tallies if tally.state == "running"]
    lines = [text for tally in going[-most:] for text in _lines(tally, now, _SPINNER[turn % len(_SPINNER)])]
    if len(going) > most:
        lines.insert(0, f"and {len(going) - most:,} more runs")
    return lines


def _lines(tally: Tally, now: float, mark: str) -> Iterator[str]:
    yield f"{mark} {sentence(tally, now)}"
    # Copied in one go: the event loop goes on meanwhile.
    started = list(islice(reversed(list(tally.going.items())), 50))
    leaves = [(path, at) for path, at in started if not any(other.startswith(f"{path}/") for other, _ in started)]
    for path, at in leaves[:_GOING]:
        doing = "waits for a person" if path in tally.asked else tally.doing.get(path, "")
        yield f"  {line(path)}  {duration(max(0.0, now - at))}{f', {line(doing)}' if doing else ''}"
    if len(tally.going) > _GOING:
        yield f"  ... {len(tally.going):,} steps under way"


def sentence(tally: Tally, now: float) -> str:
    """How a run goes, in one line."""
    until = now if tally.state == "running" else tally.last
    took = 0.0 if tally.begun is None else until - tally.begun
    state = "" if tally.state == "running" else f" {tally.state},"
    steps = [f"{_counted(tally.done, 'step')} done"]
    steps += [f"{len(tally.going):,} running"] if tally.going and not state else []
    steps += [f"{tally.failed:,} failed"] if tally.failed else []
    return f"{line(tally.name) or 'run'}:{state} {duration(max(0.0, took))}, {', '.join(steps)}{_spent(tally)}"


def _spent(tally: Tally) -> str:
    parts: list[str] = []
    if tally.calls or tally.flying or tally.saved:
        flying = f" + {len(tally.flying):,} under way" if tally.flying else ""
        parts.append(f"{_counted(tally.calls, 'call')}{flying}")
    parts += [f"{tally.retries:,} tried again"] if tally.retries else []
    parts += [f"{_counted(tally.saved, 'call')} saved"] if tally.saved else []
    tokens = tally.input_tokens + tally.output_tokens
    parts += [f"{tokens:,} tokens"] if tokens else []
    if tally.usd or tally.unpriced:
        parts.append(f"{'> ' if tally.unpriced and tally.usd else ''}{_usd(tally.usd) if tally.usd else '?'} USD")
    parts += [f"{_counted(len(tally.asked), 'question')} to people"] if tally.asked else []
    left = ", ".join(_left(tally))
    parts += [f"left: {left}"] if left else []
    return "".join(f" · {part}" for part in parts)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _left(tally: Tally) -> Iterator[str]:
    """What budgets still allow."""
    swarm = tally.account.left if tally.account is not None else None
    used: dict[str, int | Decimal] = {
        "usd": tally.usd,
        "tokens": tally.input_tokens + tally.output_tokens,
        "requests": tally.calls + len(tally.flying),
    }
    for kind, spent in used.items():
        limits = [tally.limits[kind] - spent] if kind in tally.limits else []
        shared: int | Decimal | None = getattr(swarm, kind) if swarm is not None else None
        limits += [shared] if shared is not None else []
        if limits:
            least = max(Decimal(0), Decimal(min(limits)))
            yield f"{_usd(least)} USD" if kind == "usd" else f"{int(least):,} {kind}"


def _usd(amount: Decimal) -> str:
    return f"{amount:.4f}" if amount >= Decimal("0.001") or not amount else f"{amount:.6f}"
