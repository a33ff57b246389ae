"""The events of runs as log lines, for applications that have configured structlog or listen to the logger `swarmlet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from swarmlet.log import get_logger
from swarmlet.trace.events import CallEnded, Noted, RunEnded, RunStarted, StepEnded, StepRetried, StepStarted, ToolEnded

if TYPE_CHECKING:
    from swarmlet.trace.events import Digest, Event, RunId


@final
class LogSink:
    """Writes a line for what has ended, with its path; contents of prompts and replies are never logged."""

    def event(self, run: RunId, event: Event) -> None:
        """Log one event."""
        log = get_logger().bind(run=run)
        match event:
            case RunStarted():
                log.info("run started", node=event.name)
            case RunEnded(state="failed"):
                log.error("run failed", error=event.error.type if event.error else None)
            case RunEnded():
                log.info("run ended", state=event.state)
            case StepStarted():
                log.debug("step started", path=event.path, node=event.node)
            case StepEnded(state="failed"):
                log.warning("step failed", path=event.path, error=event.error.type if event.error else None)
            case StepEnded():
                log.debug("step ended", path=event.path, state=event.state)
            case StepRetried():
                log.info("step retried", path=event.path, attempt=event.attempt, wait=event.wait)
            case CallEnded():
                log.debug("model call ended", **_call_fields(event))
            case ToolEnded():
                log.debug("tool ended", path=event.path, tool=event.tool, state=event.state)
            case Noted():
                log.warning(event.message, path=event.path)
            case _:
                pass

    def value(self, digest: Digest, content: bytes) -> None:
        """Contents are not logged."""


def _call_fields(event: CallEnded) -> dict[str, object]:
    return {
        "path": event.path,
        "state": event.state,
        "model": event.model,
        "input_tokens": event.input_tokens,
        "cached_tokens": event.cached_tokens,
        "output_tokens": event.output_tokens,
        "usd": event.usd,
        "attempt": event.attempt,
        "error": event.error.type if event.error else None,
        "retry_in": event.retry_in,
    }
