"""Making a conversation fit: oldest first, calls with their results, cuts between tokens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmlet.models.base import Image, Message, ToolCall
from swarmlet.models.fit import Cut, DropOldest, Fit, Room, Truncate, blocks
from swarmlet.models.profiles import profile_of
from swarmlet.models.tokens import Counter, counter_for
from tests.models.token_corpus import CORPUS

EXACT, OTHER = counter_for(profile_of("gpt-4o-mini")), counter_for(profile_of("llama"))
COUNTERS = pytest.mark.parametrize("counter", [EXACT, OTHER], ids=["exact", "estimated"])


def call(*ids: str) -> Message:
    return Message.assistant("", tuple(ToolCall(id_, "search", '{"q": "x"}') for id_ in ids))


TALK = (
    Message.system("Be kind."),
    Message.user("the task"),
    call("a", "b"),
    Message.tool("a", "result a " * 20),
    Message.tool("b", "result b " * 20),
    Message.assistant("so far so good"),
    call("c"),
    Message.tool("c", "result c"),
)


def room(messages: tuple[Message, ...], less: int, counter: Counter = EXACT) -> Room:
    return Room(Room(0, counter).tokens(messages) - less, counter)


def test_what_fits_is_left_alone() -> None:
    policies: tuple[DropOldest | Truncate, ...] = (DropOldest(), Truncate())
    for policy in policies:
        fitted = policy(TALK, room(TALK, 0))
        assert fitted.messages is TALK
        assert fitted.cuts == ()


@COUNTERS
def test_the_oldest_go_first_and_calls_go_with_their_results(counter: Counter) -> None:
    fitted = DropOldest()(TALK, room(TALK, 1, counter))
    assert fitted.messages == (*TALK[:2], *TALK[5:])
    assert [cut.index for cut in fitted.cuts] == [2, 3, 4]
    assert all(cut.after == 0 < cut.before for cut in fitted.cuts)


def test_system_task_and_the_newest_stay_whatever_the_room() -> None:
    assert DropOldest()(TALK, Room(0, EXACT)).messages == (*TALK[:2], *TALK[6:])
    assert DropOldest(keep_task=False)(TALK, Room(0, EXACT)).messages == (TALK[0], *TALK[6:])
    assert DropOldest(keep_system=False, keep_task=False)(TALK, Room(0, EXACT)).messages == TALK[6:]
    assert DropOldest()((), Room(0, EXACT)).messages == ()


_BLOCK = st.one_of(
    st.text("ab ", max_size=40).map(lambda text: (Message.user(text),)),
    st.text("ab ", max_size=40).map(lambda text: (Message.assistant(text),)),
    st.text("ab ", max_size=40).map(lambda text: (Message.system(text),)),
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=3, unique=True).map(
        lambda ids: (call(*ids), *(Message.tool(id_, "result " * 5) for id_ in ids))
    ),
)


@settings(deadline=None)
@given(st.lists(_BLOCK, max_size=12), st.integers(0, 300), st.booleans(), st.booleans())
def test_dropping_never_splits_calls_from_results(
    parts: list[tuple[Message, ...]], limit: int, keep_system: bool, keep_task: bool
) -> None:
    messages = tuple(message for part in parts for message in part)
    there = Room(limit, EXACT)
    fitted = DropOldest(keep_system=keep_system, keep_task=keep_task)(messages, there)
    for block in blocks(fitted.messages):
        first, *results = fitted.messages[block.start : block.stop]
        assert first.role != "tool"
        assert [result.tool_call_id for result in results] == [one.id for one in first.tool_calls]
    assert there.holds(fitted.messages) or there.tokens(messages) > limit
    assert there.tokens(fitted.messages) + sum(cut.before for cut in fitted.cuts) == there.tokens(messages)
    assert len(fitted.messages) + len(fitted.cuts) == len(messages)
    if messages:
        assert fitted.messages[-1] == messages[-1]


@COUNTERS
@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_the_middle_is_cut_out(text: str, counter: Counter) -> None:
    messages = (Message.user("the task"), Message.tool("a", "BEGIN " + text * 60 + " END"))
    there = Room(500, counter)
    fitted = Truncate("tool")(messages, there)
    assert there.holds(fitted.messages)
    short = fitted.messages[1].text
    assert short.startswith("BEGIN")
    assert short.endswith("END")
    assert "tokens left out" in short
    assert "\ufffd" not in short
    assert there.tokens(fitted.messages) > 350
    (cut,) = fitted.cuts
    assert cut == Cut(1, "tool", there.tokens(messages[1:]), there.tokens(fitted.messages[1:]))
    assert fitted.messages[0] is messages[0]


def test_the_longest_is_cut_unless_a_role_is_named() -> None:
    messages = (Message.user("word " * 300), Message.tool("a", "word " * 200), Message.tool("b", "word " * 100))
    assert [cut.index for cut in Truncate()(messages, room(messages, 50)).cuts] == [0]
    assert [cut.index for cut in Truncate("tool")(messages, room(messages, 50)).cuts] == [1]
    assert Truncate("system")(messages, room(messages, 50)).messages is messages


def test_what_is_short_is_not_made_longer() -> None:
    messages = (Message.user("hi"), Message.user("there"))
    assert Truncate()(messages, Room(1, EXACT)).messages is messages


def test_pictures_and_calls_stay() -> None:
    picture = Image("https://example.com/a.png", "low")
    messages = (Message.user("word " * 500, picture, "short"),)
    fitted = Truncate()(messages, room(messages, 200))
    assert fitted.messages[0].content[1:] == (picture, "short")
    assert room(messages, 200).holds(fitted.messages)


@settings(deadline=None, max_examples=60)
@given(st.text(min_size=1, max_size=30), st.integers(0, 50))
def test_heads_and_tails_are_ends_of_the_text(text: str, tokens: int) -> None:
    for counter in (EXACT, OTHER):
        assert text.startswith(counter.head(text, tokens))
        assert text.endswith(counter.tail(text, tokens))
        assert counter.head(text, 10**6) == counter.tail(text, 10**6) == text


@pytest.mark.anyio
async def test_a_fit_may_be_async() -> None:
    from collections.abc import Awaitable

    from swarmlet.models.fit import Fitted

    async def summarise(messages: tuple[Message, ...], room: Room, /) -> Fitted:
        return Fitted((Message.system(f"{len(messages)} messages, room for {room.limit}"),))

    for policy in (summarise, DropOldest(), Truncate()):
        fit: Fit = policy
        fitted = fit(TALK, Room(10**6, EXACT))
        assert (await fitted if isinstance(fitted, Awaitable) else fitted).messages
