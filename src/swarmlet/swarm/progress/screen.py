"""The terminal on which progress is drawn: a block of lines below everything else, which steps aside for what is printed.

There is one screen for each process, as there is one terminal. While something is drawn, what others write to `sys.stdout` and
`sys.stderr` goes through it: the block is wiped, their text is written as it is, and the block is drawn again when their line
has ended. Questions at the terminal (`people.terminal`) hold the screen: nothing is drawn until they are answered.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, final

if TYPE_CHECKING:
    from typing import Any


@final
class Screen:
    """Draws a block of lines. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._target: TextIO | None = None
        self._opened = 0
        self._height = 0
        self._held = 0
        self._in_line = False
        """Whether somebody has begun a line, which nothing may be drawn into."""
        self._wrapped: dict[str, _Through] = {}

    def open(self, target: TextIO) -> None:
        """Draw on `target` from now on, until it was closed as often as it was opened."""
        with self._lock:
            self._opened += 1
            if self._opened > 1:
                return
            self._target = target
            self._in_line = False
            for name in ("stdout", "stderr"):
                stream: TextIO | None = getattr(sys, name)
                if stream is not None and stream.isatty():
                    self._wrapped[name] = _Through(stream, self)
                    setattr(sys, name, self._wrapped[name])

    def close(self) -> None:
        """Wipe what is drawn, and draw no more."""
        with self._lock:
            self._opened -= 1
            if self._opened:
                return
            with suppress(OSError, ValueError):  # the terminal is gone
                self.wipe()
            for name, through in self._wrapped.items():
                if getattr(sys, name) is through:  # else somebody has put something else there since
                    setattr(sys, name, through.stream)
            self._wrapped.clear()
            self._target = None

    def draw(self, lines: Sequence[str]) -> None:
        """Draw these lines in the place of those before."""
        with self._lock:
            if self._target is None or self._held or self._in_line:
                return
            text = self._wiping() + "\n".join(lines)
            self._height = len(lines)
            self._target.write(text)
            self._target.flush()

    def say(self, text: str) -> None:
        """Write a line that stays."""
        with self._lock:
            if self._target is not None:
                self.wipe()
                self._target.write(f"{text}\n")
                self._target.flush()

    def wipe(self) -> None:
        """Take away what is drawn."""
        if self._height and self._target is not None:
            self._target.write(self._wiping())
            self._target.flush()
            self._height = 0

    def _wiping(self) -> str:
        if not self._height:
            return ""
        return f"\r\x1b[{self._height - 1}A\x1b[J" if self._height > 1 else "\r\x1b[J"

    def write(self, stream: TextIO, text: str) -> int:
        """What somebody else prints."""
        with self._lock:
            self.wipe()
            if text:
                self._in_line = not text.endswith("\n")
            written = stream.write(text)
            if not self._in_line:
                stream.flush()
            return written

    @contextmanager
    def held(self) -> Generator[None]:
        """Nothing is drawn within the block: somebody talks to whoever sits there."""
        with self._lock:
            self.wipe()
            self._held += 1
        try:
            yield
        finally:
            with self._lock:
                self._held -= 1
                self._in_line = False  # who has answered has ended the line


class _Through:
    """A standard stream while something is drawn: it is as it was, but writing goes through the screen."""

    def __init__(self, stream: TextIO, screen: Screen) -> None:
        self.stream: TextIO = stream
        self._screen = screen

    def write(self, text: str) -> int:
        return self._screen.write(self.stream, text)

    def writelines(self, lines: Sequence[str]) -> None:
        self._screen.write(self.stream, "".join(lines))

    def __getattr__(self, name: str) -> Any:  # Any: whatever the stream has
        return getattr(self.stream, name)


screen: Screen = Screen()
