"""What is said to a store and what it answers, and what is raised when it cannot be asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import uuid4

from swarmlet.errors import ModelUnavailable, SwarmletError
from swarmlet.policy.meter import Ask, Charge, Outcome, Spec
from swarmlet.policy.window import Mark

INSTALL = "pip install 'swarmlet[workers]'"


class LimitsUnavailable(ModelUnavailable):
    """The store of a shared limit cannot be asked, so no call is let go. It is tried again like a server that is away."""


class MissingDriver(SwarmletError, ImportError):
    """The package that speaks with the store is not installed; the message says how to install it."""

    def __init__(self, package: str) -> None:
        super().__init__(f"limits shared between processes need the package {package!r}: {INSTALL}")


@dataclass(frozen=True, slots=True)
class Question:
    """An `Ask` in the words of a store: `lease` names the charge that it may lead to."""

    lease: str
    costs: tuple[tuple[Spec, float], ...]
    text: str

    @classmethod
    def of(cls, ask: Ask, lease_seconds: float, now: float | None) -> Question:
        """`now` is for tests: by default the store's own clock counts."""
        lease = uuid4().hex
        costs = tuple((spec, 1.0 if spec.kind == "requests" else float(ask.tokens)) for spec in ask.specs)
        words = {
            "do": "take",
            "now": now,
            "lease": lease,
            "ttl": lease_seconds,
            "concurrency": ask.concurrency,
            "specs": [{**_spec(spec), "cost": cost} for spec, cost in costs],
        }
        return cls(lease, costs, json.dumps(words))

    def charge(self, at: float, marks: list[tuple[int, float]]) -> Charge:
        """The answer yes, with the slice and the sum of each window in the order of the question."""
        charged = zip(self.costs, marks, strict=True)
        return Charge(at, tuple(Mark(spec.key, cost, slot, spent) for (spec, cost), (slot, spent) in charged), self.lease)


def closing(charge: Charge, outcome: Outcome, now: float | None) -> str:
    """How a call ended, in the words of a store."""
    words = {
        "do": "close",
        "now": now,
        "lease": charge.lease,
        "at": charge.at,
        "back": [{"key": back.mark.key, "slot": back.mark.slot, "amount": back.amount} for back in outcome.back],
        "seen": [
            {**_spec(seen.spec), "remaining": seen.remaining, "spent": seen.spent or 0.0, "flying": seen.flying}
            for seen in outcome.seen
        ],
        "pause": outcome.pause,
    }
    return json.dumps(words)


def _spec(spec: Spec) -> dict[str, str | float]:
    window = spec.window
    return {"key": spec.key, "amount": window.amount, "seconds": window.seconds, "most": window.most}
