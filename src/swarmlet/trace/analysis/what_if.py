"""The run as it would have been, had the steps of a node taken another time or cost something else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, final

from swarmlet.trace.analysis.executions import RUN

if TYPE_CHECKING:
    from swarmlet.trace.analysis.insight import Insight
    from swarmlet.trace.records import StepRecord


@final
@dataclass(frozen=True, slots=True)
class WhatIf:
    """What a run would have taken and cost.

    The time is that of the longest chain in the graph of what each step waited for. What the steps themselves would have done
    otherwise is not known, so it is an estimate: the same steps run, the same runner wins each race, steps under a
    `concurrency=` come in the same order, and waits for limits and budgets stay as long as they were;
    those in the node's own steps are part of their time.
    """

    node: str
    """The node whose steps were changed."""
    steps: int
    """How many they are."""
    seconds_before: float
    """Wall time of the run as it was."""
    seconds_after: float
    """Wall time as it would have been."""
    usd_before: Decimal
    """What the run cost, as far as prices are known."""
    usd_after: Decimal
    """What it would have cost."""

    @property
    def seconds_saved(self) -> float:
        """By how much the run would have been shorter; negative if longer."""
        return self.seconds_before - self.seconds_after

    @property
    def usd_saved(self) -> Decimal:
        """By how much it would have been cheaper; negative if dearer."""
        return self.usd_before - self.usd_after

    def __str__(self) -> str:
        share = self.seconds_saved / self.seconds_before if self.seconds_before else 0.0
        return (
            f"{self.node} ({self.steps} {'step' if self.steps == 1 else 'steps'}): "
            f"{self.seconds_before:.3f} s -> {self.seconds_after:.3f} s ({-share:+.0%}), "
            f"USD {self.usd_before:f} -> {self.usd_after:f}"
        )


def what_if(
    insight: Insight,
    node: str,
    *,
    seconds: float | None = None,
    factor: float | None = None,
    usd: Decimal | str | float | None = None,
) -> WhatIf:
    """See `Trace.what_if`. Raises `KeyError` for a node that is not in the run, `ValueError` for figures of no sense."""
    if seconds is not None and factor is not None:
        raise ValueError("what_if() takes seconds= or factor=, not both")
    if seconds is None and factor is None and usd is None:
        raise ValueError("what_if() needs seconds=, factor= or usd=")
    for name, value in (("seconds", seconds), ("factor", factor)):
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise ValueError(f"{name} is a number of zero or more, not {value!r}")
    price = None if usd is None else _price(usd)
    steps = _outermost(insight, _steps(insight, node))
    took = {
        one.index: (one.end - one.start) * factor if factor is not None else seconds
        for step in steps
        for one in insight.timeline.by_path[step.path]
        if factor is not None or seconds is not None
    }
    times = {index: value for index, value in took.items() if value is not None}
    before, cost = insight.timeline.end, insight.trace.usd
    after = insight.dependencies.forward(times)[insight.dependencies.end] if times else before
    new_cost = cost if price is None else cost - sum((step.usd for step in steps), Decimal(0)) + price * len(steps)
    return WhatIf(node, len(steps), before, max(after, 0.0), cost, new_cost)


def levers(insight: Insight) -> list[WhatIf]:
    """See `Trace.levers`."""
    on_path = set(insight.critical_path.paths)
    nodes = [node for node, steps in insight.by_node.items() if any(step.path in on_path for step in steps)]
    found = [what_if(insight, node, seconds=0.0) for node in nodes]
    return sorted(found, key=lambda one: -one.seconds_saved)


def _steps(insight: Insight, node: str) -> list[StepRecord]:
    if insight.timeline.by_path.get(node):
        return [insight.trace.step(node)]
    return insight.trace.node(node)


def _outermost(insight: Insight, steps: list[StepRecord]) -> list[StepRecord]:
    """Those that do not run within another of them."""
    paths = {step.path for step in steps}
    within: list[bool] = []
    inner = set[str]()
    for one in insight.timeline.executions:  # what is around an execution comes before it
        around = insight.timeline.executions[one.inside] if one.inside != RUN else None
        within.append(around is not None and (around.path in paths or within[around.index]))
        if within[-1]:
            inner.add(one.path)
    return [step for step in steps if step.path not in inner]


def _price(usd: Decimal | str | float) -> Decimal:
    try:
        price = Decimal(str(usd))
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or price < 0:
        raise ValueError(f"usd is an amount of zero or more, not {usd!r}")
    return price
