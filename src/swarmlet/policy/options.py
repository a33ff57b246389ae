"""What `node.with_options(...)` sets, and the one rule by which it reaches the steps below.

Options apply to the whole subtree. The nearest wins for what chooses (`model`, `retry`); what limits adds up: each
`timeout` holds for everything under the node that set it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from swarmlet.errors import GraphError
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
        model, retry, timeout = cast("tuple[object, object, object]", (self.model, self.retry, self.timeout))
        if model is not None and not (isinstance(model, str) and model):
            raise GraphError(
                f"model= is the name of a model, not {model!r}; a model object goes to the swarm, Swarm(models=[...]), "
                "and is chosen by its name"
            )
        if retry is not None and not isinstance(retry, Retry):
            raise GraphError(f"retry= is a Retry, such as Retry(attempts=3), not {retry!r}")
        if timeout is not None and (not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout > 0):
            raise GraphError(f"timeout= is in seconds and must be above 0, not {timeout!r}")

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
