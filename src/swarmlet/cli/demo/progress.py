"""What `swarmlet demo` shows while it runs: one line that changes in a terminal, one line a letter anywhere else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from swarmlet.trace.events import CallEnded, CallStarted, StepEnded
from swarmlet.trace.views import line

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import Console

    from swarmlet.trace.events import Event

_HANDLED = re.compile(r"handle\[(\d+)\]/handled$")


@final
class LiveProgress:
    """Counts letters, calls in flight and tokens from the events of a run."""

    def __init__(self, console: Console, letters: list[str]) -> None:
        self._console = console
        self._letters = letters
        self._in_flight = 0
        self._tokens = 0
        self._bar = Progress(
            TextColumn("[bold]inbox"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("inbox", total=len(letters), status="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        """Take the next event of the run."""
        if isinstance(event, CallStarted):
            self._in_flight += 1
        elif isinstance(event, CallEnded):
            self._in_flight -= 1
            self._tokens += event.input_tokens + event.output_tokens
        elif isinstance(event, StepEnded) and (match := _HANDLED.search(event.path)):
            self._bar.advance(self._task)
            if not self._console.is_terminal:
                self._console.print(f"handled {line(self._letters[int(match[1])])}", markup=False)
        status = f"{self._in_flight} calls in flight, {self._tokens:,} tokens"
        self._bar.update(self._task, status=status)
