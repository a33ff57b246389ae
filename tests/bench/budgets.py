"""Whether budgets hold, and how full they get: 1,000 parallel agent calls against nested random budgets, with accidents.

    python -m tests.bench.budgets                       # 100 seeds, a model of ours in this process, asyncio
    python -m tests.bench.budgets --backend trio
    python -m tests.bench.budgets --calm                # without accidents: how full the budgets get
    python -m tests.bench.budgets --socket --seeds 3    # the scripted server on loopback, through the SDK

Each seed is a world of its own: random prompts, completion caps and usage up to the cap, budgets in tokens, USD and requests
on the swarm, the run, nodes, maps and single agents. One attempt in ten fails (500, 429, lost connection; billed or not), one
call in ten has a timeout that it often misses, in flight or while it waits. The server bills on its side, and does not lie: a
prompt has the tokens that the tokenizer says (extra `tokens`).

Printed are: what the server billed above any limit; how full the swarm's budget got (in tokens where the seed is even, in USD
where it is odd) against a perfect packer, who meets the same accidents, knows every bill beforehand and may cut calls in
pieces, so no ledger can do better; whether the ledger counted what the server saw; hangs; seconds.
"""

from __future__ import annotations

import argparse
import faulthandler
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Literal

import anyio
from tenacity import wait_random

from swarmlet import (
    Budget,
    BudgetExceeded,
    DeadlineExceeded,
    Limits,
    Node,
    OpenAIModel,
    Retry,
    RunError,
    Swarm,
    agent,
    current,
    each,
    graph,
    node,
)
from swarmlet.errors import ModelUnavailable, RateLimited
from swarmlet.models.base import ChatReply, ChatRequest, OnText
from swarmlet.models.profiles import Prices, Profile
from swarmlet.models.tokens import counter_for
from swarmlet.models.tokens.vocab import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from swarmlet.testing import Request
    from swarmlet.testing.replies import Finish

CALLS = 1_000
PLACES = 16
DEEPEST = 3
"""Groups within groups; with swarm, run, maps and agents a call has up to nine budgets around it."""
MODELS = 10
WATCHDOG = 60.0
"""Seconds after which a seed counts as hung; it takes one or two."""
WORDS = ("rain", "snow", "budget", "ledger", "parallel", "harbour", "北京", "naïve", "return lambda", "12345", "window;", "—")
INSTRUCTIONS = "You answer."
MILLION = Decimal(1_000_000)

Kind = Literal["tokens", "usd", "requests"]
Fate = Literal["answered", "500", "429", "lost"]
End = Literal["", "answered", "never", "stopped", "failed"]


def profile(number: int) -> Profile:
    """Each model has prices of its own, and a tier that is cheaper."""
    fresh, output = Decimal("0.15") + Decimal(number) / 100, Decimal("0.60") + Decimal(number) / 10
    prices = Prices(input=fresh, cached=fresh / 2, output=output)
    flex = Prices(input=fresh / 2, cached=fresh / 4, output=output / 2)
    return Profile(name=f"model-{number}", tokenizer="o200k_base", prices={"default": prices, "flex": flex})


@dataclass
class Bill:
    """Requests, tokens and USD: what a server bills, or what a ledger counts."""

    requests: int = 0
    tokens: int = 0
    usd: Decimal = Decimal(0)

    def add(self, other: Bill) -> None:
        self.requests += other.requests
        self.tokens += other.tokens
        self.usd += other.usd

    def of(self, kind: Kind) -> Decimal:
        figure: int | Decimal = getattr(self, kind)
        return Decimal(figure)


@dataclass(eq=False)
class Place:
    """Something with a budget; `up` is the place around it."""

    name: str
    up: Place | None
    budget: Budget | None = None
    demand: Bill = field(default_factory=Bill)
    billed: Bill = field(default_factory=Bill)
    broken: Bill = field(default_factory=Bill)
    """What its attempts that came to nothing count as."""
    answered: Bill = field(default_factory=Bill)

    def limit(self, kind: Kind) -> Decimal | None:
        limit: Decimal | int | None = getattr(self.budget, kind)
        return None if limit is None else Decimal(limit)

    def chain(self) -> Iterable[Place]:
        at: Place | None = self
        while at is not None:
            yield at
            at = at.up


@dataclass(eq=False)
class Group:
    """A node with a budget, and in it a map over calls and further groups, with a budget of its own."""

    number: int
    node: Place
    map: Place
    depth: int
    parts: list[int] = field(default_factory=list[int])
    """Calls by number, groups by their negative number."""


@dataclass(eq=False)
class Call:
    """One agent call, and what will happen to it."""

    number: int
    place: Place
    prompt: str
    input: int
    cap: int
    least: int | None
    wish: int
    """Tokens that the model writes if the cap does not stop it."""
    cached: int
    tier: str
    profile: Profile
    timeout: float | None
    attempts: int = 0
    end: End = ""

    def bill(self, output: int) -> Bill:
        """What the server bills, in arithmetic of its own."""
        prices = (self.profile.prices or {})[self.tier]
        fresh = self.input - self.cached
        usd = (fresh * prices.input + self.cached * prices.cached + output * prices.output) / MILLION
        return Bill(1, self.input + output, usd)

    def worst(self, cap: int) -> Bill:
        """What it counts as where nobody knows."""
        prices = (self.profile.prices or {})["default"]
        return Bill(1, self.input + cap, (self.input * prices.input + cap * prices.output) / MILLION)

    @property
    def true(self) -> Bill:
        """Its size, for who knows it beforehand."""
        return self.bill(min(self.wish, self.cap))


class World:
    """The calls and budgets of one seed, and the server's side of it."""

    def __init__(self, seed: int, size: int, accidents: bool, slowness: float = 1) -> None:
        self.seed, self.accidents, self.slowness = seed, accidents, slowness
        self.random = Random(seed)
        self.profiles = [profile(number) for number in range(MODELS)]
        self.swarm = Place("swarm", None)
        self.share = Decimal(self.random.randint(20, 70)) / 100
        self.run = Place("run", self.swarm)
        self.tight: Kind = "usd" if seed % 2 else "tokens"
        """The limit of the swarm that is to run out. The other is twice as wide."""
        self.places = [self.swarm, self.run]
        self.groups = self._groups()
        self.calls = [self._call(number) for number in range(size)]
        self._open()
        self.agents = [self._agent(call) for call in self.calls]
        self.happened: Counter[str] = Counter()
        self.swarm_refused = False
        """Whether the swarm's budget ran out: one nearer by may have done so before."""

    def _place(self, name: str, up: Place) -> Place:
        self.places.append(Place(name, up))
        return self.places[-1]

    def _groups(self) -> list[Group]:
        groups: list[Group] = []
        for number in range(1, PLACES + 1):
            around = self.random.choice([None, *(group for group in groups if group.depth < DEEPEST)]) if groups else None
            place = self._place(f"node {number}", around.map if around else self.run)
            groups.append(Group(number, place, self._place(f"map {number}", place), around.depth + 1 if around else 1))
            if around is not None:
                around.parts.append(-number)
        return groups

    def _call(self, number: int) -> Call:
        random = self.random
        group = random.choice(self.groups)
        group.parts.append(number)
        prompt = f"call {number}: " + " ".join(random.choices(WORDS, k=random.randint(5, 300)))
        cap = random.randint(20, 600)
        used = self.profiles[random.randrange(MODELS)]
        size = tokens_of(prompt) + tokens_of(INSTRUCTIONS) + 4 + 4 + 3
        call = Call(
            number=number,
            place=group.map,
            prompt=prompt,
            input=size,
            cap=cap,
            least=max(1, cap // 4) if random.random() < 0.5 else None,
            wish=random.randint(1, cap),
            cached=random.randint(0, size) if random.random() < 0.3 else 0,
            tier="flex" if random.random() < 0.1 else "default",
            profile=used,
            timeout=self.slowness * random.uniform(0.005, 0.25) if self.accidents and random.random() < 0.1 else None,
        )
        if random.random() < 0.1:
            call.place = self._place(f"agent {number}", group.map)
        return call

    def _open(self) -> None:
        """Budgets between half and a little more than all of what will be asked of them."""
        for call in self.calls:
            for place in call.place.chain():
                place.demand.add(call.true)
        for place in self.places:
            if place.name.startswith("agent"):
                place.budget = Budget(tokens=place.demand.tokens + self.random.randint(0, 2_000))
                continue
            kinds = {"tokens", "usd"} if place is self.swarm else set(self.random.sample(["tokens", "usd", "requests"], k=2))
            tokens, usd, requests = (place.demand.of(kind) * self._share(place, kind) for kind in ("tokens", "usd", "requests"))
            place.budget = Budget(
                tokens=int(tokens) + 1 if "tokens" in kinds else None,
                usd=usd + 1 / MILLION if "usd" in kinds else None,
                requests=int(requests) + 1 if "requests" in kinds else None,
            )

    def _share(self, place: Place, kind: str) -> Decimal:
        if place is self.swarm:
            return self.share if kind == self.tight else 2 * self.share
        return Decimal(self.random.randint(50, 120)) / 100

    def _agent(self, call: Call) -> Node[[str], str]:
        def ask(prompt: str) -> str:
            return prompt

        decorate = agent(str, instructions=INSTRUCTIONS, model=call.profile.name, max_tokens=call.cap, min_tokens=call.least)
        made = decorate(ask)
        if call.timeout is not None:
            made = made.with_options(timeout=call.timeout)
        return made.with_options(budget=call.place.budget) if call.place.name.startswith("agent") else made

    # The server's side

    def fate(self, call: Call) -> tuple[Fate, float, bool]:
        """What becomes of the next attempt: its fate, its seconds, and whether a broken one is billed."""
        call.attempts += 1
        random = Random(f"{self.seed} {call.number} {call.attempts}")
        seconds = random.uniform(0.001, 0.03) * (10 * self.slowness if call.timeout is not None else 1)
        broken = self.accidents and random.random() < 0.1
        fate: Fate = random.choice(("500", "429", "lost")) if broken else "answered"
        return fate, seconds, random.random() < 0.5

    def answered(self, call: Call, output: int) -> None:
        for place in call.place.chain():
            place.billed.add(call.bill(output))
            place.answered.add(call.bill(output))

    def refused(self, call: Call) -> None:
        """It is a request, and no tokens."""
        for place in call.place.chain():
            place.billed.add(Bill(1))
            place.broken.add(Bill(1))

    def broke(self, call: Call, cap: int, output: int | None) -> None:
        """The caller does not know what this costs: `output` tokens, or `None`: it is not billed at all."""
        for place in call.place.chain():
            place.billed.add(Bill(1) if output is None else call.bill(output))
            place.broken.add(call.worst(cap))

    def happens(self, call: Call, fate: Fate, cap: int, billed: bool) -> int:
        """Count one attempt that has come to its end; tells the output tokens."""
        self.happened[fate] += 1
        output = min(call.wish, cap)
        if fate == "answered":
            self.answered(call, output)
        elif fate == "429":
            self.refused(call)
        else:
            self.broke(call, cap, output if billed else None)
        return output

    def dropped(self, call: Call, cap: int, billed: bool) -> None:
        """The caller went away."""
        self.happened["dropped"] += 1
        self.broke(call, cap, min(call.wish, cap) if billed else None)

    # What came of it

    def over(self, kind: Kind) -> Decimal:
        """The most that was billed above any limit."""
        limits = ((place, place.limit(kind)) for place in self.places)
        return max(Decimal(0), *(place.billed.of(kind) - limit for place, limit in limits if limit is not None))

    def attainable(self, place: Place) -> Decimal:
        """What a packer would use here of the tight kind: the least that any one limit, by itself, lets through."""
        kind, broken = self.tight, place.broken
        free = [call for call in self.calls if call.end in ("answered", "never") and place in call.place.chain()]
        inside = [other for other in self.places if other.up is place]
        own = sum((call.true.of(kind) for call in free if call.place is place), start=Decimal(0))
        own += broken.of(kind) - sum((other.broken.of(kind) for other in inside), start=Decimal(0))
        bounds = [sum(map(self.attainable, inside), start=own)]
        for cost in ("tokens", "usd", "requests"):
            if (limit := place.limit(cost)) is not None:
                left = limit - broken.of(cost)
                bounds.append(broken.of(kind) + most(kind, [call.true for call in free], cost, left))
        return min(bounds)


def most(kind: Kind, bills: Sequence[Bill], cost: Kind, left: Decimal) -> Decimal:
    """The most of a kind that `left` of another pays for: what costs least for it first, and of the last one a part."""
    bought = Decimal(0)
    for one in sorted(bills, key=lambda one: one.of(cost) / one.of(kind)):
        if one.of(cost) >= left:
            return bought + one.of(kind) * max(left, Decimal(0)) / one.of(cost)
        left -= one.of(cost)
        bought += one.of(kind)
    return bought


def tokens_of(text: str) -> int:
    """The tokens of a text, by the tokenizer itself."""
    vocabulary = counter_for(profile(0)).vocabulary
    if vocabulary is None:
        raise SystemExit("this needs the tokenizer: pip install 'swarmlet[tokens]'")
    return len(encode(vocabulary, text))


class InProcess:
    """A `ChatModel` that is its own server."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self.name = world.profiles[number].name
        self.profile = world.profiles[number]
        self.limits = Limits(requests_per_minute=10**7, concurrency=CALLS)

    async def ready(self) -> None:
        return

    async def aclose(self) -> None:
        return

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        world, cap = self._world, request.max_tokens
        call = called(world, request.messages[-1].text)
        fate, seconds, billed = world.fate(call)
        try:
            await anyio.sleep(seconds)
        except BaseException:
            world.dropped(call, cap, billed)
            raise
        output = world.happens(call, fate, cap, billed)
        if fate == "429":
            raise RateLimited("429", status=429, retry_after=0.001)
        if fate != "answered":
            raise ModelUnavailable(fate, status=500 if fate == "500" else None)
        return ChatReply(
            text="fine",
            finish_reason="length" if call.wish > cap else "stop",
            input_tokens=call.input,
            cached_tokens=call.cached,
            output_tokens=output,
            service_tier=call.tier,
        )


def called(world: World, prompt: str) -> Call:
    return world.calls[int(prompt.split(":", 1)[0].removeprefix("call "))]


def served(world: World) -> Callable[[Request], object]:
    """The same as an answering function of the scripted server."""
    from swarmlet.testing import Cut, Fail, RateHeaders, RateLimit, Say, Tokens

    wide = RateHeaders(limit_requests=10**7, limit_tokens=10**10, remaining_requests=10**7, remaining_tokens=10**10)

    async def answer(request: Request) -> object:
        call, cap = called(world, request.last), request.max_tokens or 0
        fate, seconds, billed = world.fate(call)
        try:
            await anyio.sleep(seconds)
        except BaseException:
            world.dropped(call, cap, billed)
            raise
        usage = Tokens(input=call.input, output=world.happens(call, fate, cap, billed), cached=call.cached)
        finish: Finish = "length" if call.wish > cap else "stop"
        said = Say("fine", usage=usage, finish=finish, service_tier=call.tier)
        accidents = {"500": Fail(500), "429": RateLimit(retry_after_ms=1, limits=wide), "lost": Cut(said)}
        return accidents.get(fate, said)

    return answer


# The work, as a user would write it


@node
async def group(number: int) -> None:
    """A map with a budget, over calls and groups."""
    plan = current().get(World).groups[number - 1]
    await current().run(each(part, on_error="keep").with_options(budget=plan.map.budget), plan.parts)


@node
async def part(number: int) -> None:
    """A group, or one call."""
    world = current().get(World)
    if number < 0:
        await current().run(group.with_options(budget=world.groups[-number - 1].node.budget), -number)
        return
    call = world.calls[number]
    try:
        await current().run(world.agents[number], call.prompt)
    except BudgetExceeded as error:
        call.end = "never"
        world.swarm_refused = world.swarm_refused or error.scope == "the swarm"
        raise
    except DeadlineExceeded:
        call.end = "stopped"
        raise
    except RunError as error:
        call.end = "answered" if type(error.__cause__).__name__ == "ReplyTruncated" else "failed"
        raise
    call.end = "answered"


@graph
def everything(numbers: list[int]) -> object:
    """A map over the outermost groups."""
    return each(part, on_error="keep")(numbers)


@node
async def left() -> Bill:
    """What the swarm's budget has left, by the ledger."""
    budget = current().budget
    return Bill(0, budget.tokens or 0, budget.usd or Decimal(0))


@dataclass
class Result:
    """What came of one seed."""

    world: World
    rest: Bill | None
    """What the ledger has left of the swarm's budget; `None`: it hung."""
    seconds: float

    def used(self, kind: Kind) -> Decimal:
        """Of the swarm's budget, by the ledger."""
        return (self.world.swarm.limit(kind) or Decimal(0)) - (self.rest or Bill()).of(kind)

    def differs(self, kind: Kind) -> Decimal:
        """By how much the ledger's sum is above what follows from what the server saw."""
        swarm = self.world.swarm
        return self.used(kind) - swarm.broken.of(kind) - swarm.answered.of(kind)

    def shares(self) -> tuple[float, float, float]:
        """Counted and billed against a perfect packer, and counted against the limit."""
        swarm, kind = self.world.swarm, self.world.tight
        packed = self.world.attainable(swarm)
        counted, limit = self.used(kind), swarm.limit(kind) or Decimal(1)
        return float(counted / packed), float(swarm.billed.of(kind) / packed), float(counted / limit)


async def play(world: World, models: Sequence[InProcess | OpenAIModel]) -> Result:
    """One seed."""
    retry = Retry(attempts=4, wait=wait_random(0, 0.005))
    swarm = Swarm(
        model=models[0],
        models=models[1:],
        budget=world.swarm.budget,
        limits=Limits(concurrency=CALLS),
        resources={World: world},
        capture=False,
    )
    work = everything.with_options(budget=world.run.budget, retry=retry)
    roots = [-group.number for group in world.groups if group.depth == 1]
    rest: Bill | None = None
    begin = time.perf_counter()
    with anyio.move_on_after(WATCHDOG):
        async with swarm:
            await swarm.run(work, roots)
            rest = (await swarm.run(left)).output
    return Result(world, rest, time.perf_counter() - begin)


async def in_process(seed: int, size: int, accidents: bool) -> Result:
    world = World(seed, size, accidents)
    return await play(world, [InProcess(world, number) for number in range(MODELS)])


async def over_socket(seed: int, size: int, accidents: bool) -> Result:
    from swarmlet.testing import ScriptedServer

    world = World(seed, size, accidents, slowness=8)
    names = [one.name for one in world.profiles]
    with ScriptedServer(strict=False, models=names) as server:
        server.answer(served(world))
        limits = Limits(requests_per_minute=10**7, concurrency=CALLS)
        models = [
            OpenAIModel(one.name, base_url=server.base_url, api_key=server.api_key, profile=one, limits=limits)
            for one in world.profiles
        ]
        result = await play(world, models)
        await server.wait_for_async(idle=True, timeout=30)
        return result


def show(results: Sequence[Result], calls: int) -> None:
    """Print the figures."""
    worlds = [one.world for one in results]
    ends = Counter(call.end or "not begun" for world in worlds for call in world.calls)
    happened = sum((world.happened for world in worlds), start=Counter[str]())
    exhausted = sum(any(call.end == "never" for call in world.calls) for world in worlds)
    print(f"  {len(results)} seeds of {calls} calls: {dict(ends)}; in {exhausted} seeds budgets ran out")
    print(f"  {sum(happened.values())} attempts at the server: {dict(happened)}")
    kinds: tuple[Kind, ...] = ("tokens", "usd", "requests")
    over = ", ".join(f"{max(world.over(kind) for world in worlds).normalize():f} {kind}" for kind in kinds)
    print(f"  overshoot, the most of any of {sum(len(world.places) for world in worlds)} budgets: {over}")
    for kind in kinds[:2]:
        differ = [one.differs(kind).normalize() for one in results if one.rest is not None]
        print(f"  the ledger's sum less what the server saw: from {min(differ):f} to {max(differ):f} {kind}")
    names = ("counted / what a perfect packer counts", "billed / the same", "counted / the limit")
    for whose, some in (
        ("the swarm's budget", [one for one in results if one.world.swarm_refused]),
        ("only budgets within it", [one for one in results if not one.world.swarm_refused]),
    ):
        print(f"  {len(some)} seeds in which {whose} ran out; used of the swarm's budget:")
        for name, shares in zip(names, zip(*(one.shares() for one in some), strict=True), strict=False):
            below = sum(share < 0.95 for share in shares)
            print(f"    {statistics.median(shares):8.2%} median {min(shares):8.2%} least, {below} seeds below 95 %: {name}")
    seconds = [one.seconds for one in results]
    print(f"  {sum(one.rest is None for one in results)} deadlocks (watchdog after {WATCHDOG:g} s)")
    print(f"  {statistics.median(seconds):.2f} s median, {max(seconds):.2f} s longest, {sum(seconds):.0f} s in all")


def main() -> None:
    """Read what to do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--calm", action="store_true", help="no failures and no timeouts")
    parser.add_argument("--socket", action="store_true", help="over the scripted server")
    said = parser.parse_args()
    play_one = over_socket if said.socket else in_process
    results: list[Result] = []
    for seed in range(said.first, said.first + said.seeds):
        faulthandler.dump_traceback_later(2 * WATCHDOG, exit=True)  # should the event loop itself hang
        results.append(anyio.run(play_one, seed, said.calls, not said.calm, backend=said.backend))
        faulthandler.cancel_dump_traceback_later()
    print(f"{said.backend}, {'scripted server' if said.socket else 'in process'}{', calm' if said.calm else ''}")
    show(results, said.calls)


if __name__ == "__main__":
    main()
