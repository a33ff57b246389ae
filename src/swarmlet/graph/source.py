"""The user's source line, for messages about how a graph was written."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path

_HOME = str(Path(__file__).parent.parent)


def user_line() -> str:
    """Where the innermost frame outside swarmlet stands: `file.py:12 in solve: code = write(task)`."""
    frame = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the user's frame
    while frame.f_back is not None and _is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    name, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, number).strip()
    where = f"{Path(name).name}:{number} in {frame.f_code.co_name}"
    return f"{where}: `{text}`" if text else where


def _is_ours(filename: str) -> bool:
    return filename.startswith(_HOME) or "/pydantic/" in filename or filename == "<string>"
