"""Where a run stands inside a map: over a list, or over a source that gives its items one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, cast

from typing_extensions import override

from swarmlet.engine.frame import END, Frame, Place, Pull
from swarmlet.engine.step import EarlierFailure, all_failed, only_of
from swarmlet.errors import RunError, StepFailed
from swarmlet.graph.each import EachShape, Failed
from swarmlet.trace.encode import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope


class EachFrame(Frame):
    """A map: as many items at once as the bound allows, results in the order of the items."""

    __slots__ = (
        "apart",
        "asked",
        "below",
        "causes",
        "ended",
        "good",
        "items",
        "pulling",
        "results",
        "running",
        "shape",
        "since",
        "source",
        "warm",
    )

    def __init__(self, shape: EachShape, place: Place) -> None:
        super().__init__(place)
        self.shape: EachShape = shape
        self.since: float = place.scheduler.at
        self.items: list[object] = []
        self.source: AsyncIterator[object] | None = None
        self.pulling: bool = False
        self.asked: bool = False
        """Whether the scheduler is to ask for the next helping."""
        self.ended: bool = False
        """Whether every item has been started."""
        self.warm: bool = not shape.warm
        """Whether others may run beside the first item."""
        self.running: int = 0
        self.good: int = 0
        self.results: list[object] = []
        self.causes: list[Exception] = []
        self.apart: bool = shape.on_error != "raise"
        """Whether an item may fail alone."""
        self.below: Scope = self.scope.handled() if shape.outlives_budgets else self.scope

    @override
    def begin(self) -> None:
        given = self.args[0]
        if isinstance(given, AsyncIterable):
            self.source = aiter(cast("AsyncIterable[object]", given))
            self._go_on()
            return
        self.items = list(cast("Iterable[object]", given))
        if not self._hopeless(len(self.items)):
            self.ended = not self.items
            self._go_on()

    @override
    def finished(self, key: int, value: object) -> None:
        self.results[key] = value
        self.good += 1
        self.running -= 1
        self.warm = True
        if self.good == self.shape.enough:
            self.complete(self._found())
        else:
            self._go_on()

    @override
    def handles(self, key: int, error: Exception) -> bool:
        return self.bears(error)

    def bears(self, error: Exception) -> bool:
        """Whether the map goes on if an item fails so."""
        return self.apart and (self.shape.on is None or only_of(error, self.shape.on))

    @override
    def failed(self, key: int, error: Exception) -> None:
        self.causes.append(error)
        if self.shape.on_error == "keep":
            self.results[key] = as_failed(error, f"{self.path}[{key}]")
        self.running -= 1
        self.warm = True
        if not self._too_few():
            self._go_on()

    @override
    def told(self, news: object) -> None:
        self.pulling = False
        if news is END:
            self.ended = True
            if self._too_few():
                return
        else:
            self.since = self.scheduler.at
            self._launch(news)
        self._go_on()

    @override
    def more(self) -> None:
        self.asked = False
        self._go_on()

    @override
    def not_started(self) -> Iterator[tuple[str, AnyNode]]:
        return ((f"{self.path}[{index}]", self.shape.body) for index in range(len(self.results), len(self.items)))

    def _go_on(self) -> None:
        """Start what the bound allows; complete if that was all."""
        bound = self.shape.concurrency if self.warm else 1
        left = 0 if self.asked else self.scheduler.helping
        while not self.ended and (bound is None or self.running < bound):
            if self.source is not None:
                self._pull(self.source)
                return
            if not left:
                if not self.asked:
                    self.asked = True
                    self.scheduler.later(self)
                return
            left -= 1
            self._launch(self.items[len(self.results)])
            self.ended = len(self.results) == len(self.items)
        if self.ended and not self.running and not self._hopeless(self.good):
            self.complete(self._found())

    def _pull(self, source: AsyncIterator[object]) -> None:
        if not self.pulling:
            self.pulling = True
            self.scheduler.send(self, Pull(source))

    def _launch(self, item: object) -> None:
        index = len(self.results)
        self.results.append(MISSING)
        self.running += 1
        args = [item, *self.args[1:]]
        path = f"{self.path}[{index}]"
        since = self.since
        held = 0.0 if self.shape.concurrency is None else self.scheduler.at - since
        self.scheduler.launch(
            self.shape.body, args, self.kwargs, path, self.below, self, index, apart=self.apart, since=since, held=held
        )

    def _too_few(self) -> bool:
        """Fail if too few items can succeed, where it is known how many there are."""
        if self.source is not None and not self.ended:
            return False
        count = len(self.items) if self.source is None else len(self.results)
        return self._hopeless(count - len(self.causes))

    def _hopeless(self, possible: int) -> bool:
        """Fail if no more than `possible` items can succeed, and more are asked for."""
        wanted = self.shape.at_least
        if wanted is None or possible >= wanted:
            return False
        reason = f"at least {wanted} items must succeed, and at most {possible} can"
        self.fail(all_failed(self.path, reason, self.causes) if self.causes else StepFailed(self.path, reason))
        return True

    def _found(self) -> list[object]:
        return [value for value in self.results if value is not MISSING]


MISSING = object()
"""In the place of a result that is not there."""


def as_failed(error: Exception, path: str) -> Failed:
    """What stands in the place of the result of an item that has failed."""
    cause = error.__cause__ if isinstance(error, StepFailed) and isinstance(error.__cause__, Exception) else error
    path = error.path if isinstance(error, RunError) else path
    if isinstance(cause, EarlierFailure):
        return Failed(path, cause.type, cause.message, error)
    return Failed(path, type(cause).__name__, text_of(cause), error)
