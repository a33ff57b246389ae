"""Live progress: what runs are doing, shown where whoever started them sits.

    await run(solve, task, progress=True)

    with Progress() as shown, swarm.heard_by(shown):        # for all runs that begin within the block
        ...

In a terminal it is a few lines on standard error that change, in a notebook an output that is updated in place, and elsewhere
a line every few seconds. A thread of its own draws, ten times a second at most: the run only counts, nothing that it does
waits for the display, and no error of the display reaches it.

tally      what is known of one run, counted from its events
words      what is said of it, as lines of text
screen     the terminal: draws, steps aside for what others print and for questions
notebook   an output of IPython that is updated
display    which of these, and the thread

Code that talks to whoever sits at the terminal does so in `with held():`, as `people.terminal` does.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, cast, final

from swarmlet.errors import GraphError
from swarmlet.swarm.progress.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal
    from types import TracebackType
    from typing import Self

    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.account import Account
    from swarmlet.swarm.progress.display import Display
    from swarmlet.trace.events import Digest, Event, RunId
    from swarmlet.trace.record import Draft

__all__ = ["Progress", "held"]


def held() -> AbstractContextManager[None]:
    """Nothing is drawn in the terminal within the block."""
    from swarmlet.swarm.progress.screen import screen

    return screen.held()


@final
class Progress:
    """A listener that shows what the runs do that it hears of, from `with` to the end of the block."""

    def __init__(self, *, limits: Mapping[str, int | Decimal] | None = None, account: Account | None = None) -> None:
        self._limits = limits or {}
        self._account = account
        self._tallies: dict[RunId, Tally] = {}
        self._display: Display | None = None

    def __enter__(self) -> Self:
        from swarmlet.swarm.progress.display import begin

        self._display = begin(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._display is not None:
            self._display.end()
            self._display = None

    @property
    def tallies(self) -> list[Tally]:
        """What is known of each run, the oldest first."""
        return list(self._tallies.values())

    def _tally(self, run: RunId) -> Tally:
        tally = self._tallies.get(run)
        if tally is None:
            tally = self._tallies[run] = Tally(run, self._limits, self._account)
        return tally

    def goes_on(self, run: RunId, events: Iterable[Event]) -> None:
        """Count what the record has of a run that is resumed: budgets go on from that. Its time begins anew."""
        tally = self._tally(run)
        for event in events:
            tally.take(event)
        tally.begun = None

    def event(self, run: RunId, event: Event) -> None:
        """Count an event."""
        self._tally(run).take(event)

    def draft(self, run: RunId, draft: Draft) -> None:
        """Count a draft."""
        self._tally(run).take_draft(draft)

    def value(self, digest: Digest, content: bytes) -> None:
        """Contents are not shown."""

    def wants_text(self, run: RunId) -> bool:
        """Replies are not shown."""
        return False


def taken_out(node: AnyNode, kwargs: Mapping[str, object]) -> object:
    """What a caller said of `progress=` among the arguments, which is taken out of them; a node of such a parameter gets it."""
    if "progress" not in kwargs or _has_own(node):
        return False
    return cast("MutableMapping[str, object]", kwargs).pop("progress")


@contextmanager
def showing(node: AnyNode, wanted: object, account: Account | None) -> Generator[Sequence[Progress]]:
    """What is to be told of a run, if its caller said `progress=True`."""
    if not isinstance(wanted, bool):
        raise GraphError(f"progress= is True or False, not {wanted!r}")
    if not wanted:
        yield ()
        return
    budget = node.options.budget
    limits = {str(kind): limit for kind, limit in budget.limits.items()} if budget is not None else {}
    with Progress(limits=limits, account=account) as shown:
        yield (shown,)


def _has_own(node: AnyNode) -> bool:
    return any(
        parameter.name == "progress" or parameter.kind is parameter.VAR_KEYWORD for parameter in node.signature.parameters
    )
