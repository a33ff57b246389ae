"""How well the limiter keeps limits: refused calls, throughput against what is allowed, and lost calls.

    python tests/bench/limiter.py simulate            # a second: servers of several kinds in virtual time
    python tests/bench/limiter.py server [--calls N]  # minutes: a real server with real headers and 429s
    python tests/bench/limiter.py shared redis URL    # 20 s: four processes, one limit in Redis (or: postgres URL)

The server allows 600 requests and 60,000 tokens a minute. Goals: at most 1 % refused, at least 95 % of the
allowance, none lost.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, cast

import anyio

from swarmlet.models.pace import Limiter, Store
from swarmlet.policy.meter import Ask, Charge, Later, Outcome
from swarmlet.policy.pace import Allowance
from swarmlet.policy.window import Window

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.simulate import Bucket, Fixed, Server, Simulation, Sliding, Work

if TYPE_CHECKING:
    from swarmlet.testing import Request

KNOWN = Allowance(requests=(Window(600),), tokens=(Window(60_000),), concurrency=200)
BY_THE_SECOND = Allowance(requests=(Window(600), Window(10, 1)), tokens=(Window(60_000),), concurrency=200)
LEARNED = Allowance(concurrency=200)
BY_TOKENS = Work(tokens=(50, 250))
KINDS: dict[str, Callable[[float], Bucket]] = {"bucket": Bucket, "sliding window": Sliding, "fixed window": Fixed}


def simulate(calls: int) -> None:
    """Print a table, all in virtual time."""

    def show(name: str, server: Server, work: Work, allowances: list[Allowance], allowed: float) -> None:
        work = Work(calls=calls, tokens=work.tokens, reserve=work.reserve, charges_reserved=work.charges_reserved)
        print(Simulation(server, work, allowances).run(allowed).line(name))

    for kind, bucket in KINDS.items():
        for name, allowance in (("given", KNOWN), ("learned", LEARNED)):
            for bound, work, allowed in (("requests", Work(), 600.0), ("tokens", BY_TOKENS, 400.0)):
                server = Server(bucket(600), bucket(60_000))
                show(f"{kind}, limits {name}, bound by {bound}", server, work, [allowance], allowed)
    for count in (2, 4):
        server = Server(Bucket(600), Bucket(60_000))
        show(f"bucket, {count} processes that know nothing of each other", server, Work(), [LEARNED] * count, 600)
    server = Server(Bucket(600), Bucket(60_000), headers=False)
    show("bucket that tells nothing", server, Work(), [LEARNED], 600)
    server = Server(Bucket(600), Bucket(60_000), hidden=Bucket(10, 1))
    show("bucket that hides a limit of 10 a second", server, Work(), [KNOWN], 600)
    server = Server(Bucket(600), Bucket(60_000), headers=False)
    show("bucket that tells nothing, limits given", server, Work(), [KNOWN], 600)
    server = Server(Bucket(600), Bucket(60_000), hidden=Bucket(10, 1))
    show("bucket that hides 10 a second, which is given", server, Work(), [BY_THE_SECOND], 600)


async def against_server(calls: int) -> None:
    """The scripted server as one that enforces both limits, called through its real socket."""
    from openai import AsyncOpenAI, RateLimitError

    from swarmlet.models.openai_errors import retry_after
    from swarmlet.testing import Say, ScriptedServer
    from swarmlet.testing.replies import RateLimit, Tokens

    gate = Server(Bucket(600), Bucket(60_000))
    random = Random(1)
    begin = time.monotonic()

    def answer(request: Request) -> object:
        tokens = 20 + sizes[request.last]
        good, wait, headers = gate.arrive(time.monotonic() - begin, tokens)
        if good:
            return Say(usage=Tokens(input=tokens - 10, output=10), headers=headers, content="ok")
        return RateLimit(retry_after_ms=wait * 1000, headers=headers)

    sizes = {f"call {number}": random.randrange(0, 140) for number in range(calls)}
    limiter = Limiter(LEARNED)
    done: list[float] = []
    with ScriptedServer(strict=False) as server:
        server.answer(answer)
        client = AsyncOpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0)

        async def call(text: str) -> None:
            while True:
                async with limiter.slot(tokens=sizes[text] + 25) as slot:
                    try:
                        raw = await client.chat.completions.with_raw_response.create(
                            model="gpt-4o-mini", messages=[{"role": "user", "content": text}], max_completion_tokens=10
                        )
                    except RateLimitError as error:
                        slot.observe(error.response.headers)
                        slot.refused(retry_after(error.response.headers))
                        continue
                    slot.observe(raw.headers)
                    usage = raw.parse().usage
                    slot.used(usage.total_tokens if usage else 0)
                    done.append(time.monotonic() - begin)
                    return

        async with anyio.create_task_group() as group:
            for text in sizes:
                group.start_soon(call, text)
        await client.close()
    report(done, calls, gate.refused)


def report(done: list[float], calls: int, refused: int) -> None:
    """Print what a run against a real server came to."""
    done.sort()
    after = [at for at in done if at >= 60]
    share = len(after) / ((after[-1] - 60) * 10) if after and after[-1] > 75 else float("nan")
    print(f"{len(done)} of {calls} done in {done[-1]:.1f} s, {calls - len(done)} lost, {refused} refused")
    print(f"{100 * refused / (refused + len(done)):.2f} % refused")
    print(f"{100 * len(done) / (done[-1] * 10):.1f} % of the allowance in all, {100 * share:.1f} % after the first minute")


class Recording:
    """A store that notes by the clock of its server when each call was let go."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.times: list[float] = []

    async def take(self, ask: Ask) -> Charge | Later:
        answer = await self._store.take(ask)
        if isinstance(answer, Charge):
            self.times.append(answer.at)
        return answer

    async def close(self, charge: Charge, outcome: Outcome) -> None:
        await self._store.close(charge, outcome)


async def work(kind: str, url: str, limit: int, window: float, seconds: float) -> list[float]:
    """One of the processes that share a limit: call as fast as it lets, and tell when each went."""
    from swarmlet.bridges.limits import PostgresLimits, RedisLimits

    limits = RedisLimits(url) if kind == "redis" else PostgresLimits(url)
    allowance = Allowance(requests=(Window(limit, window),), tokens=(Window(100 * limit, window),), concurrency=500)
    store = Recording(limits.store(f"bench {limit} {window}"))
    limiter = Limiter(allowance, store=store)
    end = time.time() + seconds

    async def caller() -> None:
        while time.time() < end:
            async with limiter.slot(tokens=90) as slot:
                await anyio.sleep(0.02)
                slot.used(80)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(caller)
    await limits.aclose()
    return store.times


def shared(kind: str, url: str, limit: int, window: float, seconds: float) -> None:
    """Four processes over one store."""
    options = ["--limit", str(limit), "--window", str(window), "--seconds", str(seconds)]
    command = [sys.executable, __file__, "worker", kind, url, *options]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    each = [cast("list[float]", json.loads(worker.communicate()[0])) for worker in workers]
    times = sorted(at for one in each for at in one)
    worst = max(sum(1 for other in times if at <= other < at + window) for at in times)
    span = times[-1] - times[0]
    print(f"{kind}: {limit} per {window:g} s for 4 processes: {[len(one) for one in each]} calls in {span:.1f} s")
    print(f"  {100 * len(times) / span / (limit / window):.1f} % of the allowance; at most {worst} in any {window:g} s")


def main() -> None:
    """Read what to do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["simulate", "server", "shared", "worker"])
    parser.add_argument("kind", nargs="?", choices=["redis", "postgres"])
    parser.add_argument("url", nargs="?")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--window", type=float, default=4)
    parser.add_argument("--seconds", type=float, default=20)
    said = parser.parse_args()
    if said.what == "simulate":
        simulate(said.calls)
    elif said.what == "server":
        anyio.run(against_server, said.calls)
    elif said.what == "worker":
        print(json.dumps(anyio.run(work, said.kind, said.url, said.limit, said.window, said.seconds)))
    else:
        shared(said.kind, said.url, said.limit, said.window, said.seconds)


if __name__ == "__main__":
    main()
