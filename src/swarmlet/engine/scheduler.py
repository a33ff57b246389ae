"""The scheduler: state, and what has just finished -> state, and what to start.

Pure: it has no clock, no event loop and no I/O, so it is tested by telling it what finished, in any order. Run again from
the top with the same outcomes it hands out the same steps with the same paths, which is what resuming relies on.
"""

from __future__ import annotations

import sys
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, final

from swarmlet.engine.frame import Place
from swarmlet.engine.frames import open_frame
from swarmlet.engine.step import Step, as_failure
from swarmlet.graph.shape import Leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from swarmlet.engine.frame import Decision, Errand, Frame
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope

HELPING = 256
"""So many steps of one node are made ready at once, so that other tasks of the event loop get their turn."""


@final
class Scheduler:
    """Schedules one execution of a node that has nodes inside.

    `ready` holds the steps that may start now, in order. Tell it with `step_finished` and `step_failed` how they went, and
    with `errand_done` and `errand_failed` what the `errands` brought. When `done` is true, `output` is the node's result;
    when `failures` is not empty, the node has failed. In both cases nothing more should be started, what still runs should
    be cancelled, and what it says then is not heard. `decisions` are for the record. `at` is now: whoever has a clock says
    with each thing that it tells when that was. Where very many steps become ready together, they come in helpings: `refill`
    gives the next one. With `whole` they come at once.
    """

    def __init__(
        self,
        node: AnyNode,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        path: str,
        scope: Scope,
        *,
        at: float = 0.0,
        whole: bool = False,
    ) -> None:
        self.helping: int = sys.maxsize if whole else HELPING
        self.ready: deque[Step] = deque()
        self.errands: deque[tuple[Frame, Errand]] = deque()
        self.decisions: deque[Decision] = deque()
        self.failures: list[Exception] = []
        self.done: bool = False
        self.output: object = None
        self.at: float = at
        self.hear: Callable[[Frame, object], None] | None = None
        self._more: deque[Frame] = deque()
        self._frames: dict[int, Frame] = {}
        self._completions: deque[tuple[Frame | None, int, object]] = deque()
        self._open(node, args, kwargs, path, scope, None, 0)
        self._settle()

    @property
    def over(self) -> bool:
        """Whether nothing more should be started."""
        return self.done or bool(self.failures)

    @property
    def has_more(self) -> bool:
        """Whether there is something to start, now or with the next helping."""
        return bool(self.ready or self._more)

    def refill(self) -> None:
        """Have the next helping, where nothing is ready."""
        while self._more and not self.ready and not self.over:
            frame = self._more.popleft()
            if id(frame) in self._frames:
                self._tell(frame, frame.more)

    def step_finished(self, step: Step, value: object, at: float = 0.0) -> None:
        """`step` returned `value`."""
        if self.done:
            return
        self.at = at
        frame = step.frame
        if frame is None:
            self.complete(None, step.key, value)
        elif not self.failures:
            try:
                frame.finished(step.key, value)
            except Exception as error:  # noqa: BLE001  # values' own methods take part: what they raise is the node's failure
                frame.fail(as_failure(frame.path, error))
        if self._completions:
            self._settle()

    def step_failed(self, step: Step, error: Exception, at: float = 0.0) -> None:
        """`step` failed with `error`."""
        if self.done:
            return
        self.at = at
        self.fail(step.frame, step.key, error)
        self._settle()

    def errand_done(self, frame: Frame, news: object, at: float = 0.0) -> None:
        """An errand for `frame` has brought `news`."""
        if self.over:
            return
        self.at = at
        self._tell(frame, partial(frame.told, news))

    def errand_failed(self, frame: Frame, error: Exception) -> None:
        """An errand for `frame` could not be done."""
        if not self.over:
            frame.fail(as_failure(frame.path, error))
            self._settle()

    def not_started(self) -> Iterator[tuple[str, AnyNode]]:
        """What is known to come next and was not started, by path."""
        yield from ((step.path, step.node) for step in self.ready)
        for frame in self._frames.values():
            yield from frame.not_started()

    def _tell(self, frame: Frame, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  # values' own methods take part: what they raise is the node's failure
            frame.fail(as_failure(frame.path, error))
        self._settle()

    # For frames

    def launch(
        self,
        node: AnyNode,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        path: str,
        scope: Scope,
        frame: Frame,
        key: int,
        *,
        apart: bool = False,
        since: float | None = None,
        held: float = 0.0,
    ) -> None:
        """Start `node` as child `key` of `frame`. Its inputs have been there `since` then, if not since now, and it was `held`
        back for so long since, as there was no place for it.

        A leaf becomes a step. So does a node with options of its own, one that must be able to fail alone (`apart`), and one
        that may be done while nodes inside still run: its runner executes it in a scheduler of its own, inside one cancel
        scope. Any other node is opened here, so that its steps run beside everything else.
        """
        shape = node.shape
        if isinstance(shape, Leaf) or apart or not node.options.empty or shape.ends_early:
            self.ready.append(Step(path, node, args, kwargs, scope, frame, key, self.at if since is None else since, held))
        else:
            now, self.at = self.at, self.at if since is None else since
            self._open(node, args, kwargs, path, scope, frame, key)
            self.at = now

    def later(self, frame: Frame) -> None:
        """Ask `frame` for `more` when all that is ready has been started."""
        self._more.append(frame)

    def send(self, frame: Frame, errand: Errand) -> None:
        """Have something done outside, on which `frame.told` will hear what it gave."""
        self.errands.append((frame, errand))

    def decide(self, decision: Decision) -> None:
        """Put a choice into the record."""
        self.decisions.append(decision)

    def adopt(self, frame: Frame) -> None:
        """`frame` was opened by another frame."""
        self._frames[id(frame)] = frame

    def close(self, frame: Frame) -> None:
        """`frame` has its result, or has failed."""
        self._frames.pop(id(frame), None)

    def complete(self, frame: Frame | None, key: int, value: object) -> None:
        """Child `key` of `frame` has its result. `None` is the whole."""
        self._completions.append((frame, key, value))

    def fail(self, frame: Frame | None, key: int, error: Exception) -> None:
        """Child `key` of `frame` has failed: the nearest frame that handles that goes on, or the whole fails."""
        while frame is not None:
            if frame.handles(key, error):
                if not self.over:
                    frame.failed(key, error)
                return
            key, frame = frame.key, frame.parent
        self.failures.append(error)

    def _open(
        self,
        node: AnyNode,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        path: str,
        scope: Scope,
        parent: Frame | None,
        key: int,
    ) -> None:
        try:
            frame = open_frame(node, Place(self, path, args, kwargs, scope, parent, key))
            self._frames[id(frame)] = frame
            frame.begin()
        except Exception as error:  # noqa: BLE001  # values' own methods take part: what they raise is the node's failure
            self.fail(parent, key, as_failure(path, error))

    def _settle(self) -> None:
        """Tell frames of completions until nothing new is complete. A queue, so that depth never grows with rounds."""
        while self._completions:
            frame, key, value = self._completions.popleft()
            if self.over:
                continue
            if frame is None:
                self.done, self.output = True, value
                continue
            try:
                frame.finished(key, value)
            except Exception as error:  # noqa: BLE001  # as above
                frame.fail(as_failure(frame.path, error))
