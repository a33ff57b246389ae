"""Both event loops, and a real client against a scripted server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from openai import AsyncOpenAI

from swarmlet.testing import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def lenient() -> Iterator[ScriptedServer]:
    """A server whose complaints the test reads itself."""
    with ScriptedServer(strict=False) as running:
        yield running


def client_of(server: ScriptedServer) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0, timeout=10)


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(server) as opened:
        yield opened


@pytest.fixture
async def lenient_client(lenient: ScriptedServer) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(lenient) as opened:
        yield opened
