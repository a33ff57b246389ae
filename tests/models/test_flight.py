"""One call for all who ask the same at once: whoever is cancelled, whatever fails, in every order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import permutations, product
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmlet.errors import ModelUnavailable, PriceUnknown, RequestRejected
from swarmlet.models.flight import SingleFlight, answered, anything

Told: TypeAlias = Literal["ok", "refused", "own"]
"""How a call ends: with a value, with the server's failure, with one of the caller's own."""


class Caller:
    """One who asks. Its call, should it be the one that makes it, ends as the test says."""

    def __init__(
        self, flight: SingleFlight[int], number: int, key: str = "k", accepts: Callable[[int], bool] = anything
    ) -> None:
        self.number = number
        self.key = key
        self.calling = False
        self.calls = 0
        self.got: int | None = None
        self.shared: bool | None = None
        self.error: Exception | None = None
        self.cancelled = False
        self.over = False
        self.scope = anyio.CancelScope()
        self._told: Told | None = None
        self._tell = anyio.Event()
        self._flight = flight
        self._accepts = accepts

    def end(self, told: Told) -> None:
        self._told = told
        self._tell.set()

    async def _make(self) -> int:
        self.calling = True
        self.calls += 1
        try:
            await self._tell.wait()
        finally:
            self.calling = False
        if self._told == "refused":
            raise RequestRejected(f"no {self.number}", status=400)
        if self._told == "own":
            raise LookupError(self.number)
        return self.number

    async def ask(self) -> None:
        with self.scope:
            try:
                landed = await self._flight.do(self.key, self._make, accepts=self._accepts)
                self.got, self.shared = landed.value, landed.shared
            except Exception as error:  # noqa: BLE001  # looked at by the test
                self.error = error
        self.cancelled = self.scope.cancelled_caught
        self.over = True


class Room:
    """Callers of one flight, each in a task of its own."""

    def __init__(self, group: TaskGroup) -> None:
        self.flight: SingleFlight[int] = SingleFlight()
        self.callers: list[Caller] = []
        self._group = group

    def start(self, **given: Any) -> Caller:  # Any: as Caller takes them
        caller = Caller(self.flight, len(self.callers), **given)
        self.callers.append(caller)
        self._group.start_soon(caller.ask)
        return caller

    async def queue(self, **given: Any) -> Caller:  # Any: as above
        """As `start`, behind all who asked before: trio starts tasks in any order."""
        caller = self.start(**given)
        await self.settle()
        return caller

    @property
    def calling(self) -> list[Caller]:
        return [caller for caller in self.callers if caller.calling]

    async def settle(self) -> None:
        """Let happen what would happen now: no task here is ever more than a few turns of the loop away from waiting."""
        for _ in range(20):
            await checkpoint()

    async def land_all(self) -> None:
        """End every call that is being made, and those made after it."""
        await self.settle()
        while self.calling:
            for caller in self.calling:
                caller.end("ok")
            await self.settle()


@asynccontextmanager
async def room() -> AsyncGenerator[Room]:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            here = Room(group)
            yield here
            await here.settle()
            assert (here.flight.keys, here.flight.waiting) == (0, 0)
            assert all(caller.over for caller in here.callers)


@pytest.mark.anyio
async def test_a_thousand_who_ask_the_same_make_one_call() -> None:
    async with room() as here:
        for _ in range(1000):
            here.start()
        await here.settle()
        (leader,) = here.calling
        assert here.flight.waiting == 999
        leader.end("ok")
        await here.settle()
    assert {caller.got for caller in here.callers} == {leader.number}
    assert sum(caller.calls for caller in here.callers) == 1
    assert [caller.shared for caller in here.callers].count(False) == 1


@pytest.mark.anyio
async def test_different_calls_and_later_ones_are_made() -> None:
    async with room() as here:
        await here.queue(key="a")
        await here.queue(key="b")
        await here.settle()
        assert len(here.calling) == 2
        await here.land_all()
        await here.queue(key="a")
        await here.land_all()
    assert [caller.got for caller in here.callers] == [0, 1, 2]
    assert not any(caller.shared for caller in here.callers)


@pytest.mark.anyio
@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
async def test_whoever_is_cancelled_the_others_get_their_result(order: tuple[int, ...]) -> None:
    """All but the last of the order are cancelled, one after the other."""
    async with room() as here:
        for _ in order:
            await here.queue()
        await here.settle()
        for number in order[:-1]:
            here.callers[number].scope.cancel()
            await here.settle()
            assert len(here.calling) == 1
        await here.land_all()
    assert [caller.cancelled for caller in here.callers] == [caller.number != order[-1] for caller in here.callers]
    last = here.callers[order[-1]]
    assert (last.got, last.shared, last.calls) == (last.number, False, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("cancelled", list(product([False, True], repeat=3)), ids=str)
async def test_all_may_be_cancelled_in_one_moment(cancelled: tuple[bool, ...]) -> None:
    """Also the follower that has just been told to lead, before it hears of it."""
    async with room() as here:
        for _ in range(4):
            await here.queue()
        await here.settle()
        here.callers[0].end("own")  # its failure and the cancellations are heard in any order
        for caller, cancel in zip(here.callers[1:], cancelled, strict=True):
            if cancel:
                caller.scope.cancel()
        await here.land_all()
    assert isinstance(here.callers[0].error, LookupError)
    for caller, cancel in zip(here.callers[1:], cancelled, strict=True):
        assert (caller.got is None) == cancel


@pytest.mark.anyio
async def test_what_the_server_says_to_one_it_says_to_all_each_with_an_error_of_its_own() -> None:
    async with room() as here:
        for _ in range(3):
            await here.queue()
        await here.settle()
        here.callers[0].end("refused")
    errors = [caller.error for caller in here.callers]
    assert [type(error) for error in errors] == [RequestRejected] * 3
    assert len(set(map(id, errors))) == 3
    assert [getattr(error, "status", None) for error in errors] == [400] * 3
    assert errors[1] is not None
    assert errors[1].__cause__ is errors[0]
    assert [caller.calls for caller in here.callers] == [1, 0, 0]


@pytest.mark.anyio
async def test_a_failure_of_the_leaders_own_is_nobody_elses() -> None:
    async with room() as here:
        for _ in range(3):
            await here.queue()
        await here.settle()
        here.callers[0].end("own")
        await here.settle()
        assert [caller.number for caller in here.calling] == [1]
        here.callers[1].end("own")
        await here.land_all()
    assert [type(caller.error) for caller in here.callers] == [LookupError, LookupError, type(None)]
    assert here.callers[2].got == 2


@pytest.mark.anyio
async def test_an_error_that_cannot_be_copied_is_not_shared() -> None:
    class Odd(ModelUnavailable):
        def __init__(self) -> None:
            super().__init__("odd")

    flight: SingleFlight[int] = SingleFlight()
    made = 0

    async def make() -> int:
        nonlocal made
        made += 1
        await anyio.wait_all_tasks_blocked()
        if made == 1:
            raise Odd
        return made

    results: list[object] = []

    async def ask() -> None:
        try:
            results.append((await flight.do("k", make)).value)
        except Odd as error:
            results.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(ask)
    assert sorted(map(str, results)) == ["2", "odd"]


def test_the_price_of_a_model_concerns_the_budget_of_the_caller_alone() -> None:
    assert answered(ModelUnavailable("away"))
    assert not answered(PriceUnknown("no price"))
    assert not answered(TimeoutError())


@pytest.mark.anyio
async def test_a_follower_whose_time_is_up_leaves_alone() -> None:
    async with room() as here:
        await here.queue()
        late = await here.queue()
        late.scope.deadline = anyio.current_time() + 0.02
        third = await here.queue()
        await anyio.sleep(0.1)
        assert late.cancelled
        await here.land_all()
    assert (third.got, late.got, late.calls) == (0, None, 0)


def nothing(_: int) -> bool:
    return False


@pytest.mark.anyio
async def test_a_result_that_does_not_do_is_asked_for_again_and_then_alone() -> None:
    """Nobody waits for more than two others, however many results are of no use to it."""
    async with room() as here:
        await here.queue()
        picky = [await here.queue(accepts=nothing) for _ in range(5)]
        easy = await here.queue()
        await here.settle()
        here.callers[0].end("ok")
        await here.settle()
        (second,) = here.calling
        second.end("ok")
        await here.settle()
        assert len(here.calling) == 4
        await here.land_all()
    assert [caller.got for caller in picky] == [1, 2, 3, 4, 5]
    assert easy.got == 0


@pytest.mark.anyio
async def test_an_accept_that_raises_hurts_its_caller_alone() -> None:
    def refuse(_: int) -> bool:
        raise ValueError("bad taste")

    async with room() as here:
        await here.queue()
        bad = await here.queue(accepts=refuse)
        good = await here.queue()
        await here.land_all()
    assert isinstance(bad.error, ValueError)
    assert good.got == 0


@pytest.mark.anyio
async def test_cancelling_the_whole_leaves_nothing() -> None:
    flight: SingleFlight[int] = SingleFlight()

    async def forever() -> int:
        await anyio.sleep_forever()
        return 0

    with anyio.move_on_after(0.05):
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(flight.do, "k", forever)
    assert (flight.keys, flight.waiting) == (0, 0)


Act: TypeAlias = tuple[str, int, Told, bool]
acts = st.tuples(
    st.sampled_from(["ask", "ask", "cancel", "end", "end"]),
    st.integers(0, 7),
    st.sampled_from(["ok", "refused", "own"]),
    st.booleans(),
)


def check(here: Room) -> None:
    """What must be true whenever nothing is about to happen."""
    for key in ("k0", "k1"):
        of = [caller for caller in here.callers if caller.key == key]
        open_ = [caller for caller in of if not caller.over]
        assert sum(caller.calling for caller in of) == (1 if open_ else 0)


async def play(script: list[Act]) -> None:
    async with room() as here:
        for what, number, told, settle in script:
            if what == "ask":
                here.start(key=f"k{number % 2}")
            elif what == "cancel" and here.callers:
                here.callers[number % len(here.callers)].scope.cancel()
            elif what == "end" and here.calling:
                here.calling[number % len(here.calling)].end(told)
            if settle:
                await here.settle()
                check(here)
        await here.land_all()
    for caller in here.callers:
        outcomes = [caller.got is not None, caller.error is not None, caller.cancelled]
        assert outcomes.count(True) == 1
        assert caller.calls <= 1
        if caller.got is not None:
            source = here.callers[caller.got]
            assert source.key == caller.key
            assert source.calls == 1
            assert caller.shared == (source is not caller)
        if isinstance(caller.error, LookupError):
            assert caller.calls == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(deadline=None, max_examples=150)
@given(script=st.lists(acts, max_size=30))
def test_any_order_of_asking_ending_and_cancelling(backend: str, script: list[Act]) -> None:
    anyio.run(play, script, backend=backend)
