"""Events of a run that neither begin nor end anything, as events of the span in which they happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.trace.events import Answered, Asked, CallFitted, CallQueued, CallSaved, Decided, Noted, StepNotStarted

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from swarmlet.trace.events import Event


def mark(event: Event, *, shown: bool) -> tuple[str, dict[str, AttributeValue]] | None:
    """Its name and attributes; `None` for what is no such event. Texts that may quote prompts only if content is `shown`."""
    told = _told(event, shown=shown)
    if told is None:
        return None
    return f"swarmlet.{event.kind}", {f"swarmlet.{name}": value for name, value in told.items() if value is not None}


def _told(event: Event, *, shown: bool) -> dict[str, AttributeValue | None] | None:
    match event:
        case Decided():
            return {"by": event.by, "chosen": event.chosen, "reason": event.reason if shown and event.reason else None}
        case CallSaved():
            saved = {"input_tokens": event.input_tokens, "output_tokens": event.output_tokens}
            return {"source": event.source, "model": event.model, **saved, "usd": event.usd}
        case CallQueued():
            return {"turn": event.turn, "attempt": event.attempt, "scope": event.scope}
        case CallFitted():
            return {"turn": event.turn, "cut": len(event.cuts)}
        case StepNotStarted():
            return {"not_started": event.path}
        case Asked():
            return {"about": event.about, "tool": event.tool or None, "until": event.until}
        case Answered():
            return {"by": event.by or None}
        case Noted():
            return {"message": event.message if shown else None}
        case _:
            return None
