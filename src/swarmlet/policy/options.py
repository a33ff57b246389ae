"""What `node.with_options(...)` sets, and the one rule by which it reaches the steps below.

Options apply to the whole subtree. The nearest wins for what chooses (`model`, `retry`); what limits adds up: each
`timeout` holds for everything under the node that set it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from swarmlet.errors import GraphError

if TYPE_CHECKING:
    from swarmlet.policy.retry import Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of one node. `None` means: not set here, the enclosing node decides."""

    model: str | None = None
    """Name of the model that agents in this subtree use, unless an agent names its own nearer by."""
    retry: Retry | None = None
    """When and how failed model calls and failed plain steps in this subtree are tried again."""
    timeout: float | None = None
    """Seconds that the node, with everything under it and all retries, may take."""

    def __post_init__(self) -> None:
        if self.timeout is not None and not self.timeout > 0:
            raise GraphError(f"timeout= is in seconds and must be above 0, not {self.timeout!r}")

    @property
    def empty(self) -> bool:
        """Whether nothing is set, so that the node needs no scope of its own."""
        return self.model is None and self.retry is None and self.timeout is None

    def update(self, other: Options) -> Options:
        """These options with those of `other` that are set."""
        changed = {name: value for name in ("model", "retry", "timeout") if (value := getattr(other, name)) is not None}
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class Scope:
    """The options in force for one step: what the nodes around it chose, the nearest first."""

    model: str | None = None
    retry: Retry | None = None

    def enter(self, options: Options) -> Scope:
        """The scope inside a node with these options."""
        if options.model is None and options.retry is None:
            return self
        return Scope(options.model or self.model, options.retry or self.retry)
