"""Tokens that a run sent before: by the server's own counts where they tell, by length elsewhere, and never more than all."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import Swarm, agent
from swarmlet.testing import CallTools, Say, ScriptedServer, Tokens, call
from swarmlet.trace.events import CallEnded, CallStarted, Digest, Event
from swarmlet.trace.refed import Feed, feed_of, feeds, refed, weigh_by_bytes


class Sent:
    """Calls of one run, made by hand; messages are single letters, each of which is one long."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def call(
        self, messages: str, tokens: int, *, cached: int = 0, path: str = "", model: str = "m", request: str | None = "req"
    ) -> None:
        path = path or f"step[{len(self.events)}]"
        asked = None if request is None else Digest(request)
        digests = tuple(None if letter == "?" else Digest(letter) for letter in messages)
        self.events += [
            CallStarted(at=0, path=path, turn=1, attempt=1, model=model, request=asked, messages=digests),
            CallEnded(at=1, path=path, turn=1, attempt=1, state="finished", input_tokens=tokens, cached_tokens=cached),
        ]

    @property
    def split(self) -> list[tuple[int, int]]:
        """Fresh and re-fed tokens of each call."""
        return [(call.feed.fresh, call.feed.refed) for call in feeds(self.events, weigh)]


def weigh(digest: Digest) -> int:
    return 0 if digest == "req" else 1


def test_the_turns_of_an_agent_send_all_again_and_the_count_is_the_servers() -> None:
    run = Sent()
    run.call("su", 100)
    run.call("suat", 130, cached=90)
    run.call("suatat", 170, cached=140)
    assert run.split == [(100, 0), (30, 100), (40, 130)]
    total = refed(run.events, weigh)
    assert total == Feed(input_tokens=400, fresh=170, refed=230, cached=230, refed_cached=220, unpriced=230)
    assert total.refed_paid == 10


def test_what_siblings_share_is_estimated_by_length() -> None:
    run = Sent()
    run.call("sab", 300)
    run.call("sac", 330)
    assert run.split == [(300, 0), (110, 220)]
    assert refed(run.events, weigh).estimated == 220


def test_a_known_beginning_makes_the_estimate_better() -> None:
    run = Sent()
    run.call("s", 250)
    run.call("sab", 300)
    run.call("sac", 310)
    assert run.split == [(250, 0), (50, 250), (30, 280)]
    assert refed(run.events, weigh).estimated == 30


def test_tools_count_as_a_part_of_the_beginning() -> None:
    run = Sent()
    run.call("sa", 400, request="tools")
    run.call("sb", 400, request="tools")

    def heavy(digest: Digest) -> int:
        return 2 if digest == "tools" else 1

    assert [(call.feed.fresh, call.feed.refed) for call in feeds(run.events, heavy)] == [(400, 0), (100, 300)]


def test_the_same_request_is_sent_again_whole() -> None:
    run = Sent()
    run.call("su", 100)
    run.call("su", 100, cached=64)
    assert run.split == [(100, 0), (0, 100)]
    assert refed(run.events, weigh).refed_cached == 64


def test_another_model_or_other_tools_share_nothing() -> None:
    run = Sent()
    run.call("su", 100)
    run.call("su", 100, model="n")
    run.call("su", 100, request="other")
    run.call("xu", 100)
    assert run.split == [(100, 0)] * 4


def test_an_attempt_that_the_server_did_not_count_fed_nothing() -> None:
    run = Sent()
    run.call("su", 0)
    run.call("su", 100)
    assert run.split == [(100, 0)]


def test_without_content_it_is_not_known() -> None:
    run = Sent()
    run.call("??", 100, cached=10)
    run.call("??", 0)
    run.call("", 7)
    total = refed(run.events, weigh)
    assert total == Feed(input_tokens=107, unknown=107, cached=10)


def test_a_call_that_did_not_end_is_left_out() -> None:
    run = Sent()
    run.call("su", 100)
    assert refed([run.events[0]], weigh) == Feed()
    assert refed([run.events[1]], weigh) == Feed()
    assert refed([], weigh) == Feed()


def test_messages_without_length_are_no_division_by_nothing() -> None:
    run = Sent()
    run.call("sa", 100)
    run.call("sb", 100)
    assert [call.feed.refed for call in feeds(run.events, lambda _: 0)] == [0, 0]


_Made: TypeAlias = list[tuple[str, int, int]]


@given(st.lists(st.tuples(st.text("abc", max_size=4), st.integers(0, 100), st.integers(0, 100)), max_size=12))
def test_tokens_are_neither_lost_nor_made(calls: _Made) -> None:
    run = Sent()
    for messages, tokens, cached in calls:
        run.call(messages, tokens, cached=min(cached, tokens))
    total = refed(run.events, weigh)
    assert total.input_tokens == sum(tokens for _, tokens, _ in calls)
    assert total.fresh + total.refed + total.unknown == total.input_tokens
    assert total.cached == sum(min(cached, tokens) for _, tokens, cached in calls)
    for one in feeds(run.events, weigh):
        feed = one.feed
        assert min(feed.fresh, feed.refed, feed.refed_paid, feed.estimated) >= 0
        assert feed.refed_cached <= feed.cached
        assert feed.estimated <= feed.refed


def test_feeds_add_up() -> None:
    one = Feed(1, 2, 3, 4, 5, 6, 7, Decimal(8), Decimal(9), 10)
    assert one + one == Feed(2, 4, 6, 8, 10, 12, 14, Decimal(16), Decimal(18), 20)
    assert Feed.total([]) == Feed()
    assert Feed.total([one, replace(one, fresh=0)]).fresh == 2


def look(where: str) -> str:
    """Looks."""
    return f"nothing in {where}"


@agent(str, tools=[look])
def search(question: str) -> str:
    """You search."""
    return question


@pytest.mark.anyio
async def test_the_trace_of_a_real_run_tells(scripted_server: ScriptedServer) -> None:
    scripted_server.script(
        CallTools((call("look", where="the attic"),), usage=Tokens(input=100, output=5)),
        Say(content="no", usage=Tokens(input=140, output=5, cached=64)),
    )
    async with Swarm() as swarm:
        trace = (await swarm.run(search, "where?")).trace
    weigh_bytes = weigh_by_bytes(trace)
    whole = Feed(input_tokens=240, fresh=140, refed=100, cached=64, refed_cached=64)
    # 36 tokens at USD 0.15 a million, and 64 at 0.075.
    priced = replace(whole, refed_usd=Decimal("0.0000102"), refed_saved=Decimal("0.0000048"))
    assert trace.refed() == feed_of(trace) == refed(trace.events, weigh_bytes) == priced
    started = next(event for event in trace.events if isinstance(event, CallStarted))
    assert started.request is not None
    assert weigh_bytes(started.request) > 100
