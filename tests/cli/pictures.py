"""The pictures of the terminal views in the documentation: `python -m tests.cli.pictures` draws them anew, with rich.

What is drawn is what the commands print of made-up runs, so it is the same each time.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from swarmlet.cli.main import main
from swarmlet.swarm.progress.tally import Tally
from swarmlet.swarm.progress.words import lines_of
from swarmlet.trace import RunId
from swarmlet.trace.record import Recorder
from tests.cli.slow_run import START, slow, slow_journal

FOLDER: Final = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH: Final = 128
VIEWS: Final = {
    "terminal-timeline": ("show", "0010", "--timeline"),
    "terminal-show": ("show", "0010"),
    "terminal-top": ("top",),
    "terminal-stats": ("stats", "--graph", "solve"),
}


def draw(folder: Path = FOLDER) -> list[Path]:
    """Write the pictures into a folder."""
    with tempfile.TemporaryDirectory() as temporary:
        journal = Path(temporary) / "journal.sqlite"
        slow_journal(journal)
        os.environ.update(SWARMLET_JOURNAL=str(journal), FORCE_COLOR="1", COLUMNS=str(WIDTH), TZ="UTC")
        os.environ.pop("NO_COLOR", None)
        time.tzset()
        files = [_picture(folder, name, f"swarmlet {' '.join(view)}", _printed(view)) for name, view in VIEWS.items()]
    return [*files, _picture(folder, "terminal-progress", "await run(solve, task, progress=True)", _progress())]


def _printed(command: tuple[str, ...]) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(command) == 0
    return out.getvalue()


def _progress() -> str:
    """The lines that a terminal shows 20 seconds into the slow run."""
    recorder = Recorder(RunId("0010-slow"))
    slow(recorder)
    tally = Tally(RunId("0010-slow"), {}, None)
    for event in recorder.events:
        if event.at <= START + 20:
            tally.take(event)
    return "\n".join(lines_of([tally], START + 20))


def _picture(folder: Path, name: str, title: str, text: str) -> Path:
    lines = text.rstrip("\n").split("\n")
    wide = max(len(Text.from_ansi(line)) for line in lines)
    console = Console(record=True, width=max(80, wide), file=io.StringIO(), highlight=False)
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, crop=False, soft_wrap=True)
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id=name)
    svg = re.sub(r",?\s*url\(\"https://[^)]*\)( format\(\"\w+\"\))?", "", svg)  # it is looked at without a network, too
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.svg"
    path.write_text(svg, "utf-8")
    return path


if __name__ == "__main__":
    draw()
