"""Two runs, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from swarmlet.trace.events import Digest
    from swarmlet.trace.read import Trace
    from swarmlet.trace.records import StepRecord
    from swarmlet.usage import Usage

What: TypeAlias = Literal["node", "state", "inputs", "output", "tokens", "usd", "seconds"]

_NOTICED: Final = 0.01
"""A difference of fewer seconds is none."""
_SHARE: Final = 0.2
"""Nor is one of less than this part of what the step took before: no two runs take the same time."""


@final
@dataclass(frozen=True, slots=True)
class StepDiff:
    """A step that both runs executed, and not alike."""

    path: str
    """Where it is in both."""
    what: tuple[What, ...]
    """What differs. `seconds` only where it was more than 10 ms and a fifth of what it took before; what is seen of inputs and
    output are their recorded values, so nothing where content capture was off."""
    before: StepRecord
    """The step in the first run."""
    after: StepRecord
    """The step in the second run."""

    @property
    def seconds(self) -> float:
        """By how much it took longer."""
        return (self.after.seconds or 0.0) - (self.before.seconds or 0.0)

    @property
    def tokens(self) -> int:
        """How many tokens more it needed."""
        return self.after.usage.total_tokens - self.before.usage.total_tokens

    @property
    def usd(self) -> Decimal:
        """By how much it was dearer."""
        return self.after.usd - self.before.usd

    def __str__(self) -> str:
        parts: list[str] = []
        for one in self.what:
            match one:
                case "state":
                    parts.append(f"{self.before.state} -> {self.after.state}")
                case "seconds":
                    parts.append(f"{self.seconds:+.3f} s")
                case "tokens":
                    parts.append(f"{self.tokens:+,} tokens")
                case "usd":
                    parts.append(f"USD {self.usd:+f}")
                case _:
                    parts.append(f"other {one}")
        return f"{self.path}: {', '.join(parts)}"


@final
@dataclass(frozen=True, slots=True)
class TraceDiff:
    """What a run did differently from an earlier one. False where they did the same, as far as the record says."""

    only_before: tuple[str, ...]
    """Paths of steps that only the first run executed."""
    only_after: tuple[str, ...]
    """Paths of steps that only the second run executed."""
    changed: tuple[StepDiff, ...]
    """Steps of both that differ, in the order of the second run's tree."""
    same: int
    """How many steps of both do not."""
    seconds: tuple[float, float]
    """Wall times of the runs."""
    usage: tuple[Usage, Usage]
    """What the runs cost."""
    state: tuple[str, str]
    """How the runs ended."""

    def __bool__(self) -> bool:
        return bool(self.only_before or self.only_after or self.changed or self.state[0] != self.state[1])

    def __str__(self) -> str:
        tokens = [usage.total_tokens for usage in self.usage]
        whole = (
            f"{self.state[0]} -> {self.state[1]}",
            f"{self.seconds[0]:.3f} s -> {self.seconds[1]:.3f} s",
            f"{tokens[0]:,} -> {tokens[1]:,} tokens",
            f"USD {self.usage[0].usd:f} -> {self.usage[1].usd:f}",
            f"{self.same} steps alike",
        )
        rows = [
            ", ".join(whole),
            *(f"- {path}" for path in self.only_before),
            *(f"+ {path}" for path in self.only_after),
            *(f"~ {step}" for step in self.changed),
        ]
        return "\n".join(rows)


def diff(before: Trace, after: Trace) -> TraceDiff:
    """See `Trace.diff`."""
    old = {step.path: step for step in before.steps()}
    new = {step.path: step for step in after.steps()}
    both = [(old[path], step) for path, step in new.items() if path in old]
    changed = [StepDiff(a.path, what, a, b) for a, b in both if (what := tuple(_differs(a, b)))]
    return TraceDiff(
        only_before=tuple(path for path in old if path not in new),
        only_after=tuple(path for path in new if path not in old),
        changed=tuple(changed),
        same=len(both) - len(changed),
        seconds=(before.seconds, after.seconds),
        usage=(before.usage, after.usage),
        state=(before.state, after.state),
    )


def _differs(before: StepRecord, after: StepRecord) -> Iterator[What]:
    if before.node != after.node:
        yield "node"
    if before.state != after.state:
        yield "state"
    if _inputs(before) != _inputs(after):
        yield "inputs"
    if _output(before) != _output(after):
        yield "output"
    if before.usage.total_tokens != after.usage.total_tokens:
        yield "tokens"
    if before.usd != after.usd:
        yield "usd"
    old, new = before.seconds, after.seconds
    if old is not None and new is not None and abs(new - old) > max(_NOTICED, old * _SHARE):
        yield "seconds"


def _inputs(step: StepRecord) -> dict[str, Digest | None]:
    return step.started.inputs if step.started else {}


def _output(step: StepRecord) -> Digest | None:
    return step.ended.output if step.ended else None
