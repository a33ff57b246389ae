"""Limits that processes share in Redis: a real server on loopback, on every event loop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest

from swarmlet.bridges.limits import LimitsUnavailable, RedisLimits
from swarmlet.policy.meter import Ask
from tests.bridges import limit_stores
from tests.bridges.limit_servers import free_port, redis_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.mark.parametrize("seed", range(4))
async def test_it_answers_as_the_meter_in_this_process_does(url: str, seed: int) -> None:
    limits = RedisLimits(url)
    await limit_stores.gives_the_meters_answers(limits.store(uuid4().hex), seed)
    await limits.aclose()


async def test_what_a_dead_process_held_comes_back(url: str) -> None:
    limits = RedisLimits(url, lease_seconds=1)
    await limit_stores.frees_what_a_dead_process_held(limits.store(uuid4().hex))
    await limits.aclose()


async def test_limiters_wait_by_the_clock_of_the_server(url: str) -> None:
    limits = RedisLimits(url)
    await limit_stores.lets_limiters_wait(limits.store(uuid4().hex))
    await limits.aclose()
    await limits.aclose()


def test_four_processes_keep_one_limit(url: str) -> None:
    limit_stores.holds_over_processes("redis", url)


async def test_a_server_that_is_away_is_told_in_one_sentence_without_its_password() -> None:
    pytest.importorskip("redis")
    limits = RedisLimits(f"redis://someone:secret@127.0.0.1:{free_port()}/0")
    with pytest.raises(LimitsUnavailable, match="Redis cannot be asked") as caught:
        await limits.store("x").take(Ask((), 0, 1))
    assert caught.value.retryable
    assert "secret" not in str(caught.value)
    await limits.aclose()


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImportError, match=r"pip install 'swarmlet\[workers\]'"):
        RedisLimits("redis://127.0.0.1").store("x")
