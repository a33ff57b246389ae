"""What a model call costs of CPU: swarmlet, with everything on, against the SDK's `chat.completions.create`.

    python -m tests.bench.calls                  # all of it, about two and a half minutes
    python -m tests.bench.calls --only stream    # the cases whose name holds this word
    python -m tests.bench.calls --backend trio   # one event loop of asyncio and trio
    python -m tests.bench.calls --profile core "50 at once"   # where one contestant spends it

Each contestant has a process and an event loop of its own, the server has another. They take turns, and what is printed
are CPU seconds of the client's process (`time.process_time`), medians over the rounds, and their ratio to the SDK's on the
same event loop. swarmlet runs an agent over a list of inputs, in one run under a budget, with rate limits, retry, the trace
and a validated output; the SDK only calls. Needs the extras `fast` and `dev`.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import os
import platform
import pstats
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import anyio.to_thread
from pydantic import BaseModel

from swarmlet import Budget, Limits, Node, OpenAIModel, Swarm, agent, each
from swarmlet.models.base import Message
from swarmlet.trace import TextDelta

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Sequence

    from openai import AsyncOpenAI

    from swarmlet.models.base import ChatModel
    from swarmlet.models.openai import Transport

CHUNKS = 100
"""Events of a stream; as in `calls_server`."""


@dataclass(frozen=True)
class Case:
    """One way of calling."""

    name: str
    calls: int
    """In a round."""
    at_once: int
    pause: int = 0
    """Milliseconds that the server takes; between two events if the reply is streamed."""
    history: int = 0
    """Messages before the question."""
    schema: bool = False
    stream: bool = False
    rounds: int = 5


CASES = (
    Case("1 at once", 60, 1),
    Case("50 at once", 250, 50),
    Case("50 at once, 50 ms", 250, 50, pause=50),
    Case("50 at once, a schema", 250, 50, schema=True),
    Case("500 at once, 50 ms", 1000, 500, pause=50, rounds=3),
    Case("500 at once, 300 ms", 1000, 500, pause=300, rounds=3),
    Case("50 at once, 40 messages", 100, 50, history=40, rounds=3),
    Case("stream, in one burst", 40, 10, stream=True),
    Case("stream, 1 ms apart", 40, 5, pause=1, stream=True, rounds=3),
)


@dataclass(frozen=True)
class Contestant:
    """Who calls, and on which event loop."""

    name: str
    loop: str = "asyncio"
    """asyncio, uvloop or trio."""


CONTESTANTS = (
    Contestant("SDK"),
    Contestant("SDK, aiohttp"),
    Contestant("core"),
    Contestant("core, sockets"),
    Contestant("fast"),
    Contestant("fast", "uvloop"),
    Contestant("SDK", "trio"),
    Contestant("core", "trio"),
    Contestant("core, sockets", "trio"),
)


class Answer(BaseModel):
    """What the model is asked for where there is a schema."""

    answer: str
    sure: bool


class Caller(Protocol):
    """Makes the calls of a round."""

    async def round(self, case: Case) -> None:
        """All calls of the case."""
        ...


# --- the SDK


class SdkCaller:
    """`AsyncOpenAI().chat.completions.create`, as it is."""

    def __init__(self, client: AsyncOpenAI, url: str) -> None:
        self._client = client
        self._url = url

    async def round(self, case: Case) -> None:
        """All calls of the case."""
        client = self._client.with_options(base_url=f"{self._url}/L{case.pause}/v1")
        before = [{"role": message.role, "content": message.text} for message in history(case.history)]
        more = {"response_format": _FORMAT} if case.schema else {}
        create: Any = client.chat.completions.create  # Any: its overloads do not take a dict
        questions = iter([question(number) for number in range(case.calls)])

        async def work() -> None:
            for text in questions:
                messages = [{"role": "system", "content": SYSTEM}, *before, {"role": "user", "content": text}]
                asked = {"model": "gpt-4o-mini", "messages": messages, "max_completion_tokens": 500, "store": False, **more}
                if not case.stream:
                    await create(**asked)
                    continue
                stream = await create(**asked, stream=True, stream_options={"include_usage": True})
                async for chunk in stream:
                    if chunk.choices and chunk.choices[0].delta.content:
                        told(chunk.choices[0].delta.content)

        async with anyio.create_task_group() as group:
            for _ in range(case.at_once):
                group.start_soon(work)


# --- swarmlet


class SwarmletCaller:
    """An agent over a list, in one run of a swarm that stays open."""

    def __init__(self, url: str, model: Callable[[str], ChatModel], stack: AsyncExitStack) -> None:
        self._url = url
        self._model = model
        self._stack = stack
        self._swarms: dict[tuple[int, int], Swarm] = {}
        self._nodes: dict[Case, Node[[Sequence[str] | AsyncIterable[str]], list[Answer | str]]] = {}

    async def round(self, case: Case) -> None:
        """All calls of the case."""
        asks = self._node(replace(case, calls=0))
        questions = [question(number) for number in range(case.calls)]
        swarm = await self._swarm(case)
        if not case.stream:
            await swarm.run(asks, questions)
            return
        async with swarm.stream(asks, questions) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    told(event.text)

    def _node(self, case: Case) -> Node[[Sequence[str] | AsyncIterable[str]], list[Answer | str]]:
        if case not in self._nodes:
            before = history(case.history)

            @agent(Answer if case.schema else str, instructions=SYSTEM, max_tokens=500)
            def answer(text: str) -> list[str | Message]:
                return [*before, text]

            self._nodes[case] = each(answer, concurrency=case.at_once)
        return self._nodes[case]

    async def _swarm(self, case: Case) -> Swarm:
        key = case.pause, case.at_once
        if key not in self._swarms:
            model = self._model(f"{self._url}/L{case.pause}/v1")
            limits = Limits(requests_per_minute=1_000_000, tokens_per_minute=1_000_000_000, concurrency=case.at_once)
            swarm = Swarm(model=model, limits=limits, budget=Budget(tokens=10**12, usd=10**6))
            self._swarms[key] = await self._stack.enter_async_context(swarm)
        return self._swarms[key]


SYSTEM = "You answer questions in one sentence, precisely, and you say so when you do not know."
_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "Answer",
        "strict": True,
        "schema": {
            "type": "object",
            "description": "What the model is asked for where there is a schema.",
            "properties": {"answer": {"type": "string"}, "sure": {"type": "boolean"}},
            "required": ["answer", "sure"],
            "additionalProperties": False,
        },
    },
}


def question(number: int) -> str:
    """The prompt of a call; each is different."""
    return f"Question {number}: what does a model call cost, of time and of money, and who pays for it in the end? " * 2


def history(length: int) -> list[Message]:
    """Messages before the question, the same objects each time as in the turns of an agent."""
    if length not in _HISTORIES:
        made = [
            (Message.user, Message.assistant)[number % 2](f"{number}: " + "so it was said. " * 20) for number in range(length)
        ]
        _HISTORIES[length] = made
    return _HISTORIES[length]


_HISTORIES: dict[int, list[Message]] = {}


def told(text: str) -> None:
    """Somebody reads the pieces of a stream."""


_TRANSPORTS: dict[str, Transport] = {"core": "sdk", "core, sockets": "sockets", "fast": "aiohttp"}


def caller(name: str, url: str, stack: AsyncExitStack) -> Caller:
    """The contestant of this name, in the process that is its own."""
    if name.startswith("SDK"):
        from openai import AsyncOpenAI, DefaultAioHttpClient

        http = DefaultAioHttpClient() if name == "SDK, aiohttp" else None
        client = AsyncOpenAI(api_key="sk-none", http_client=http, max_retries=0)
        stack.push_async_callback(client.close)
        return SdkCaller(client, url)

    def model(base_url: str) -> OpenAIModel:
        return OpenAIModel("gpt-4o-mini", base_url=base_url, api_key="sk-none", transport=_TRANSPORTS[name])

    return SwarmletCaller(url, model, stack)


# --- a contestant's process


async def _measure(name: str, url: str) -> None:
    """Make a round for each line that comes, and answer with the CPU seconds that it took."""
    async with AsyncExitStack() as stack:
        chosen = caller(name, url, stack)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            order = json.loads(line)
            case = Case(**order["case"])
            profile = cProfile.Profile() if order["profile"] else None
            await chosen.round(replace(case, calls=case.at_once))  # connections that are free for long are closed
            gc.collect()
            begin = time.process_time()
            if profile:
                profile.enable()
            await chosen.round(case)
            if profile:
                profile.disable()
            taken = time.process_time() - begin
            if profile:
                pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(60)
            print(taken, flush=True)


class Process:
    """A contestant's process."""

    def __init__(self, contestant: Contestant, url: str) -> None:
        self.contestant = contestant
        command = [sys.executable, "-m", "tests.bench.calls", "--contestant", contestant.name, contestant.loop, url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment())

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def take(self, case: Case, *, profile: bool = False) -> float:
        """CPU seconds of one round."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        print(json.dumps({"case": asdict(case), "profile": profile}), file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


class Server:
    """The server's process."""

    def __enter__(self) -> Server:
        command = [sys.executable, "-m", "tests.bench.calls_server"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment())
        if self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def cpu(self) -> float:
        """CPU seconds that it has used."""
        with urllib.request.urlopen(f"{self.url}/cpu") as answer:
            return float(answer.read())


# --- the whole


def _run(cases: list[Case], contestants: list[Contestant]) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        processes = [stack.enter_context(Process(contestant, server.url)) for contestant in contestants]
        for process in processes:  # imports, the vocabulary, the first connections
            process.take(replace(CASES[0], calls=5))
        print("| " + " | ".join(["", *(f"{one.name}, {one.loop}" for one in contestants), "server busy at most"]) + " |")
        print("|---" * (len(contestants) + 2) + "|")
        for case in cases:
            _print_row(case, processes, server)


def _print_row(case: Case, processes: list[Process], server: Server) -> None:
    spent: dict[Contestant, list[float]] = {process.contestant: [] for process in processes}
    busy = 0.0
    for number in range(case.rounds):
        for process in processes if number % 2 == 0 else processes[::-1]:
            before, begin = server.cpu(), time.perf_counter()
            cpu = process.take(case)
            busy = max(busy, (server.cpu() - before) / (time.perf_counter() - begin))
            spent[process.contestant].append(cpu / case.calls / (CHUNKS if case.stream else 1))
    medians = {contestant: statistics.median(values) for contestant, values in spent.items()}
    cells = [case.name]
    for contestant, median in medians.items():
        base = medians.get(Contestant("SDK", "trio" if contestant.loop == "trio" else "asyncio"))
        cells.append(f"{median * 1e6:.0f} us" + (f" = {median / base:.2f}" if base else ""))
    print(f"| {' | '.join(cells)} | {busy:.0%} |", flush=True)


def _versions() -> str:
    found: list[str] = []
    for name in ("openai", "httpx2", "httpcore2", "aiohttp", "uvloop", "anyio", "trio", "pydantic"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return f"Python {platform.python_version()}, {', '.join(found)}; {os.cpu_count()} cores; {datetime.now(UTC):%Y-%m-%d}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--backend", default="", choices=["asyncio", "trio"])
    parser.add_argument("--profile", nargs=2, metavar=("CONTESTANT", "CASE"))
    parser.add_argument("--contestant", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        name, loop, url = options.contestant
        use_uvloop = {"use_uvloop": True} if loop == "uvloop" else {}
        anyio.run(_measure, name, url, backend="trio" if loop == "trio" else "asyncio", backend_options=use_uvloop)
        return
    if options.profile:
        case = next(one for one in CASES if one.name == options.profile[1])
        loop = options.backend or "asyncio"
        with Server() as server, Process(Contestant(options.profile[0], loop), server.url) as process:
            process.take(case)
            process.take(case, profile=True)
        return
    cases = [case for case in CASES if options.only in case.name]
    chosen = [one for one in CONTESTANTS if not options.backend or (one.loop == "trio") == (options.backend == "trio")]
    print(_versions())
    _run(cases, chosen)


if __name__ == "__main__":
    main()
