"""The user's source lines: for messages about how a graph was written, and for the names that are known there."""

from __future__ import annotations

import inspect
import linecache
import os
import sys
from functools import lru_cache
from pathlib import Path
from types import FrameType

_HOME = str(Path(__file__).parent.parent) + os.sep
_STDLIB = str(Path(inspect.__file__).parent) + os.sep


def user_frame() -> FrameType:
    """The innermost frame outside swarmlet, and outside what calls on somebody's behalf: pydantic, the standard library."""
    frame = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the way to the user's frame
    while frame.f_back is not None and _is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def user_line() -> str:
    """Where the user's code stands now: `file.py:12 in solve: code = write(task)`."""
    frame = user_frame()
    return _line(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def definition_line(function: object) -> str:
    """Where a function is defined: `file.py:10 in solve: def solve(task: Task) -> Code:`."""
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    if code is None:
        return user_line()
    number: int = code.co_firstlineno
    while linecache.getline(code.co_filename, number).lstrip().startswith("@"):
        number += 1
    return _line(code.co_filename, number, code.co_name)


def local_names() -> dict[str, object]:
    """The names that the user's code sees here: of its own scope, and of the functions around it that are running."""
    frame: FrameType | None = user_frame()
    names: dict[str, object] = {}
    inner = None
    while frame is not None and frame.f_code.co_name != "<module>":
        if inner is None or inner in frame.f_code.co_consts:  # a function holds the code of those that it defines
            names = {**frame.f_locals, **names}
            inner = frame.f_code
        frame = frame.f_back
    return names


@lru_cache(maxsize=4096)
def _line(filename: str, number: int, function: str) -> str:
    text = linecache.getline(filename, number).strip()
    where = f"{Path(filename).name}:{number} in {function}"
    return f"{where}: `{text}`" if text else where


def _is_ours(filename: str) -> bool:
    helper = filename.startswith(_STDLIB) and "site-packages" not in filename
    return helper or filename.startswith((_HOME, "<frozen")) or "/pydantic/" in filename or filename == "<string>"
