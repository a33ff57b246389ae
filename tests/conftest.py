"""Every async test runs on asyncio, on asyncio with eager tasks where this Python has them, and on trio."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TypeAlias

import pytest


def _eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # 3.12
    return loop


Backend: TypeAlias = tuple[str, dict[str, Any]]

BACKENDS: dict[str, Backend] = {"asyncio": ("asyncio", {}), "trio": ("trio", {})}
if sys.version_info >= (3, 12):
    BACKENDS["asyncio-eager"] = ("asyncio", {"loop_factory": _eager_loop})


@pytest.fixture(params=BACKENDS.values(), ids=list(BACKENDS))
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """The event loop of the test."""
    backend: Backend = request.param
    return backend
