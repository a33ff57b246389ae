"""The pytest plugin: the fixtures `scripted_server` and `recorded`.

pytest loads this module in every project where swarmlet is installed, so it imports nothing heavy: what the fixtures need is
imported by them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from swarmlet.testing.replays.fixture import Recorded
    from swarmlet.testing.server import ScriptedServer

_OPTION = "--swarmlet-record"
_FILES: pytest.StashKey[set[Path]] = pytest.StashKey()
"""What this session has begun to record."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--swarmlet-record`."""
    parser.getgroup("swarmlet").addoption(
        _OPTION,
        choices=("none", "new", "all"),
        default="none",
        help="what the fixture `recorded` does with model calls that are not recorded: fail without any network (none, the "
        "default), ask the model and add them (new), or record every call anew (all)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to record in continuous integration, where nobody would see what was recorded."""
    mode = config.getoption(_OPTION)
    if mode != "none" and os.environ.get("CI", "").lower() not in ("", "0", "false"):
        raise pytest.UsageError(
            f"{_OPTION}={mode} calls models and writes files, and CI is set: unset CI to do so all the same"
        )


@pytest.fixture
def scripted_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A `ScriptedServer` that a default OpenAI client reaches (by the environment), verified at the end."""
    from swarmlet.testing.server import ScriptedServer

    with ScriptedServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        yield server


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """Replays of this test's recording: `async with recorded() as swarm:`. Recorded with `pytest --swarmlet-record=new`."""
    from swarmlet.testing.replays.fixture import Recorded

    files = request.config.stash.setdefault(_FILES, set())
    return Recorded(request, str(request.config.getoption(_OPTION)), files)
