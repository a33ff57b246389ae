"""The pytest plugin: the fixture `scripted_server`.

pytest loads this module in every project where swarmlet is installed, so it imports nothing heavy: the
server is imported by the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from swarmlet.testing.server import ScriptedServer


@pytest.fixture
def scripted_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A `ScriptedServer` that a default OpenAI client reaches (by the environment), verified at the end."""
    from swarmlet.testing.server import ScriptedServer

    with ScriptedServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        yield server
