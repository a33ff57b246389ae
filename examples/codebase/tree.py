"""Which files are read, and in which pieces."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from swarmlet import node

VENDORED = frozenset({"node_modules", "site-packages", "vendor", "third_party", "venv", "env", "build", "dist", "__pycache__"})
FILE_BYTES = 200_000
LINE_CHARACTERS = 1_000
PIECE_CHARACTERS = 6_000
"""About 2,000 tokens: small enough that a small model reads all of it, large enough that the text around it is no burden."""
OUTLINE_CHARACTERS = 4_000


class Piece(BaseModel):
    """Some lines of a file."""

    path: str
    first: int
    lines: list[str]

    @property
    def name(self) -> str:
        return f"{self.path}:{self.first}-{self.first + len(self.lines) - 1}"

    @property
    def text(self) -> str:
        return "\n".join(f"{number}| {line}" for number, line in enumerate(self.lines, self.first))


class Tree(BaseModel):
    pieces: list[Piece]
    skipped: dict[str, str]
    """Files and folders that are not read, with the reason."""
    outline: str
    """The names of the files, or the first of them. No more: all prompts begin with it, so what changes it changes them all."""


@node(thread=True)
def read_tree(root: str) -> Tree:
    """The text files under a folder in a fixed order, or one file. Raises `OSError` if it is not there."""
    top = Path(root)
    top.stat()
    tree = Tree(pieces=[], skipped={}, outline="")
    for path, problem in _walk(top) if top.is_dir() else [(top, "")]:
        name = os.fsencode(path.relative_to(top) if path != top else path.name).decode(errors="replace")
        lines, why = ([], problem) if problem else _lines(path)
        tree.skipped |= {name: why} if why else {}
        tree.pieces += _cut(name, lines)
        if lines and len(tree.outline) < OUTLINE_CHARACTERS:
            tree.outline += f"{name}\n"
    return tree


def _walk(top: Path) -> Iterator[tuple[Path, str]]:
    """Files, and folders that are left out with the reason. Links are not followed, so there are no circles."""
    closed: list[OSError] = []
    for folder, folders, files in os.walk(top, onerror=closed.append):
        for name in sorted(folders):
            path = Path(folder, name)
            why = (
                "vendored" if name in VENDORED else "hidden" if name.startswith(".") else "a link" if path.is_symlink() else ""
            )
            if why:
                folders.remove(name)
                yield path, why
        folders.sort()
        yield from ((Path(folder, name), "hidden" if name.startswith(".") else "") for name in sorted(files))
    yield from ((Path(os.fsdecode(error.filename)), "cannot be opened") for error in closed)


def _lines(path: Path) -> tuple[list[str], str]:
    """The lines of a file, or why it is not read."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return [], "a link" if stat.S_ISLNK(found.st_mode) else "no plain file"
        if found.st_size > FILE_BYTES:
            return [], f"larger than {FILE_BYTES:,} bytes"
        text = path.read_bytes().decode()
    except OSError:
        return [], "cannot be opened"
    except UnicodeDecodeError:
        return [], "not UTF-8"
    if "\0" in text:
        return [], "binary"
    lines = text.removesuffix("\n").replace("\r\n", "\n").split("\n")  # as editors count them
    return ([], "lines too long") if max(map(len, lines)) > LINE_CHARACTERS else (lines if text.strip() else [], "")


def _cut(path: str, lines: list[str]) -> Iterator[Piece]:
    first = size = 0
    for index, line in enumerate(lines):
        if size + len(line) > PIECE_CHARACTERS:
            yield Piece(path=path, first=first + 1, lines=lines[first:index])
            first, size = index, 0
        size += len(line) + 1
    if lines:
        yield Piece(path=path, first=first + 1, lines=lines[first:])
