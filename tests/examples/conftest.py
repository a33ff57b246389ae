"""The fixture that points the examples at a real model's server."""

from __future__ import annotations

import os

import pytest

from swarmlet.bridges.sandbox import Bubblewrap, SandboxMissing
from tests.examples.real import URL


@pytest.fixture
def real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples ask the server that `SWARMLET_TEST_BASE_URL` names."""
    monkeypatch.setenv("OPENAI_BASE_URL", URL or "")
    monkeypatch.setenv("OPENAI_API_KEY", os.environ.get("OPENAI_API_KEY") or "none")


@pytest.fixture
def full_python() -> None:
    """Needs the sandbox that has all of Python."""
    try:
        Bubblewrap().check()
    except SandboxMissing as missing:
        pytest.skip(str(missing))
