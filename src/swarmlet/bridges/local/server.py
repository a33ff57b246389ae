"""Start the server process, wait until it answers, and take it down again whatever happens."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from swarmlet.bridges.local.errors import INSTALL, LocalModelError, Progress
from swarmlet.bridges.local.serve import KEY_VARIABLE
from swarmlet.bridges.local.weights import SMOLLM2, find_weights

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import Process

_START_SECONDS = 300.0
_STOP_SECONDS = 3.0
_TAIL_LINES = 5
_LONGEST_LINE = 4096
_ENVIRONMENT = {
    "LLAMA_LOG_VERBOSITY": "1",  # errors only
    "OMP_WAIT_POLICY": "passive",  # threads that wait by spinning are slower when anything else runs here
}
_TEMPLATE = Path(__file__).with_name("chat.jinja")
_SCRIPT = Path(__file__).with_name("serve.py")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A running server; good for as long as the `local_model` block that gave it."""

    base_url: str
    """For an OpenAI client: `http://127.0.0.1:PORT/v1`."""
    api_key: str = field(repr=False)
    """Made anew for each server, so that no other program on the machine can use it by its port alone."""
    name: str
    """The model's name, as `/v1/models` lists it."""
    path: Path
    """The .gguf file that is served."""


@asynccontextmanager
async def local_model(
    *, gguf: str | os.PathLike[str] | None = None, slots: int = 4, on_progress: Progress | None = None
) -> AsyncGenerator[LocalModel, None]:
    """Serve a small real model on loopback for the length of the `async with` block.

    The first use downloads 93 MB into the cache (`find_weights` tells more); later ones start in a second or
    two. `slots` requests are answered at the same time, each with 4,096 tokens of context; more wait their
    turn inside the server. `gguf` names another model file. `on_progress` is told in short sentences what
    takes time.

    The server is a process of its own that cannot outlive the block: it is ended on the way out, also by an
    exception or a cancellation, and it ends itself if this process is killed. Works on asyncio and trio.
    Raises `LocalModelError`, with a message for the user, if the model cannot be fetched or does not start.
    """
    _require_xllamacpp()
    path = await find_weights(gguf, on_progress=on_progress)
    if on_progress:
        on_progress(f"Starting {path.stem} on this machine")
    with tempfile.TemporaryFile() as log:
        api_key = secrets.token_urlsafe(24)
        async with _running(_command(path, slots), api_key, log) as process:
            address = await _address(process, log)
            yield LocalModel(base_url=f"{address}/v1", api_key=api_key, name=path.stem, path=path)


def _require_xllamacpp() -> None:
    """Before 93 MB are downloaded in vain."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise LocalModelError(f"The local model needs xllamacpp, which is not installed: {INSTALL}")


def _command(path: Path, slots: int) -> list[str]:
    """By its path and with `-P`, so that no file in the caller's folder is imported in place of a module."""
    arguments = [f"--model={path}", f"--name={path.stem}", f"--slots={slots}", f"--threads={_threads()}"]
    if path.name == SMOLLM2.file_name:
        arguments.append(f"--template={_TEMPLATE}")
    return [sys.executable, "-P", str(_SCRIPT), *arguments]


def _threads() -> int:
    """All cores, but no more than four: the rest of a large machine is for what its user does."""
    return min(4, os.cpu_count() or 1)


@asynccontextmanager
async def _running(command: list[str], api_key: str, log: IO[bytes]) -> AsyncGenerator[Process, None]:
    """The server's process, from before it is ready until it is gone; its messages go to `log`."""
    environment = {**os.environ, **_ENVIRONMENT, KEY_VARIABLE: api_key}
    # Shielded but for the block itself: a process that was started is one that we hold, and one that we end.
    with anyio.CancelScope(shield=True) as scope:
        process = await anyio.open_process(command, stderr=log, env=environment)
        try:
            scope.shield = False
            yield process
        finally:
            scope.shield = True
            await _end(process)


async def _end(process: Process) -> None:
    """Ask, wait a little, then insist; leaves no process and no open pipe."""
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(_STOP_SECONDS):
            await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()


async def _address(process: Process, log: IO[bytes]) -> str:
    """Wait for the server's one line, which comes when the model is loaded; without it there is no server."""
    assert process.stdout is not None  # noqa: S101 - opened as a pipe
    lines = BufferedByteReceiveStream(process.stdout)
    try:
        with anyio.fail_after(_START_SECONDS):
            line = await lines.receive_until(b"\n", _LONGEST_LINE)
    except TimeoutError as error:
        late = f"The local model did not start within {_START_SECONDS:.0f} seconds."
        raise LocalModelError(f"{late} {_tail(log)}") from error
    except (anyio.IncompleteRead, anyio.DelimiterNotFound) as error:
        raise LocalModelError(f"The local model did not start. {_tail(log)}") from error
    return str(json.loads(line)["listening"])


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()[-_TAIL_LINES:]
    return "It said: " + " | ".join(lines) if lines else "It gave no reason."
