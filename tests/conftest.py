"""Every async test runs on asyncio, on asyncio with eager tasks where this Python has them, and on trio."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest


def _eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # 3.12
    return loop


BACKENDS = [
    pytest.param(("asyncio", {}), id="asyncio"),
    *(
        [pytest.param(("asyncio", {"loop_factory": _eager_loop}), id="asyncio-eager")]
        if sys.version_info >= (3, 12)
        else []
    ),
    pytest.param(("trio", {}), id="trio"),
]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The event loop of the test."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend
