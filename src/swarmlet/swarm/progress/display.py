"""Where progress is shown, and the thread that draws it."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, TextIO, final

from swarmlet.log import get_logger
from swarmlet.swarm.progress.notebook import notebook
from swarmlet.swarm.progress.screen import Screen, screen
from swarmlet.swarm.progress.words import lines_of, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swarmlet.swarm.progress import Progress

DRAWS: Final = 0.125
"""Seconds between two drawings in a terminal."""
UPDATES: Final = 0.5
"""Seconds between two updates in a notebook."""
SAYS: Final = 5.0
"""Seconds between two lines where there is no terminal."""
_PATIENCE: Final = 1.0
"""Seconds that the end of a run waits for a terminal that takes nothing."""


class Display(Protocol):
    """Something that shows progress until it is ended."""

    def end(self) -> None:
        """Show how it ended, and no more. Does not raise."""
        ...


def begin(progress: Progress) -> Display | None:
    """Show progress where whoever started the program sits. Does not raise; `None` if there is nothing to show it on."""
    try:
        if update := notebook():
            return _Ticking(_Notebook(progress, update), UPDATES)
        stream = sys.stderr
        if stream is None:
            return None
        if stream.isatty() and os.environ.get("TERM") != "dumb":
            return _Ticking(_Terminal(progress, screen), DRAWS)
        return _Ticking(_Lines(progress, stream), SAYS)
    except Exception as error:  # noqa: BLE001  # a run does not fail because it cannot be shown
        _tell(error)
        return None


def _tell(error: Exception) -> None:
    get_logger().warning("progress cannot be shown", error=f"{type(error).__name__}: {error}")


class _Place(Protocol):
    """Where lines are shown."""

    def show(self, turn: int) -> None: ...

    def leave(self) -> None: ...


@final
class _Ticking:
    """A thread that draws now and then."""

    def __init__(self, place: _Place, every: float) -> None:
        self._place = place
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="swarmlet progress", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        turn = 0
        try:
            while not self._over.wait(self._every):
                turn += 1
                with suppress(RuntimeError):  # what is counted grew while it was read; the next drawing has it
                    self._place.show(turn)
        except Exception as error:  # noqa: BLE001  # as above
            _tell(error)

    def end(self) -> None:
        """Show how it ended."""
        self._over.set()
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():  # the terminal takes nothing
            return
        try:
            self._place.leave()
        except Exception as error:  # noqa: BLE001  # as above
            _tell(error)


@final
class _Terminal:
    """A block of lines that changes; one line stays of each run that has ended. All that go on share the screen."""

    _sharing: ClassVar[list[Progress]] = []

    def __init__(self, progress: Progress, on: Screen) -> None:
        self._progress = progress
        self._screen = on
        on.open(sys.stderr)
        self._sharing.append(progress)

    def show(self, turn: int) -> None:
        shown = list(self._sharing)
        if shown[:1] != [self._progress]:  # the oldest draws for all
            return
        width, height = shutil.get_terminal_size((100, 24))
        tallies = [tally for progress in shown for tally in progress.tallies]
        lines = lines_of(tallies, time.time(), turn)[: max(1, height - 2)]
        self._screen.draw([_cut(text, width - 1) for text in lines])

    def leave(self) -> None:
        self._sharing.remove(self._progress)
        try:
            for text in _ends(self._progress):
                self._screen.say(text)
        finally:
            self._screen.close()


@final
class _Lines:
    """A line now and then, for logs."""

    def __init__(self, progress: Progress, stream: TextIO) -> None:
        self._progress = progress
        self._stream = stream

    def show(self, turn: int) -> None:
        del turn
        for tally in self._progress.tallies:
            if tally.state == "running":
                self._say(sentence(tally, time.time()))

    def leave(self) -> None:
        for text in _ends(self._progress):
            self._say(text)

    def _say(self, text: str) -> None:
        self._stream.write(f"swarmlet: {text}\n")
        self._stream.flush()


@final
class _Notebook:
    """An output of a cell."""

    def __init__(self, progress: Progress, update: Callable[[Sequence[str]], None]) -> None:
        self._progress = progress
        self._update = update

    def show(self, turn: int) -> None:
        self._update(lines_of(self._progress.tallies, time.time(), turn) or ["..."])

    def leave(self) -> None:
        self._update(_ends(self._progress))


def _ends(progress: Progress) -> list[str]:
    return [f"{sentence(tally, time.time())} (run {tally.run})" for tally in progress.tallies]


def _cut(text: str, width: int) -> str:
    """Of letters that are wide in a terminal there are few; a line that wraps would spoil the next drawing."""
    if text.isascii():
        return text[:width]
    from unicodedata import east_asian_width

    kept = 0
    for index, letter in enumerate(text):
        kept += 2 if east_asian_width(letter) in "WF" else 1
        if kept > width:
            return text[:index]
    return text
