"""The bytes of a stream become the data of its events, however they are cut."""

from __future__ import annotations

from itertools import pairwise

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.models.openai_events import Events, NoEvents

STREAM = "text/event-stream"


def events(*parts: bytes, kind: str = STREAM) -> list[bytes]:
    found = Events(kind)
    return [data for part in parts for data in found.feed(part)]


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"", []),
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r\n", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\ndata\ndata:\n\n", [b"a\n\n"]),
        (b"data\n\ndata:\n\n", []),
        (b": keep-alive\n\n:\n\ndata: a\n: inside\n\n", [b"a"]),
        (b"event: chunk\nid: 7\nretry: 3\ndata: a\n\n", [b"a"]),
        (b"database: a\n\n data: b\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\n\ndata: cut of", [b"a"]),
        (b"data: a\n\ndata: no empty line\n", [b"a"]),
        ("data: \N{GRINNING FACE}\u2028\x85\n\n".encode(), ["\N{GRINNING FACE}\u2028\x85".encode()]),
    ],
    ids=str,
)
def test_a_stream_is_read_as_its_standard_says(stream: bytes, data: list[bytes]) -> None:
    assert events(stream) == data
    assert events(*(stream[at : at + 1] for at in range(len(stream)))) == data


@given(
    st.lists(st.sampled_from(["data: ", "data:", "data", ":", "id: 1", "\n", "\r\n", "\r", "\n\n", "x", "é", " "])), st.data()
)
def test_events_are_those_that_the_http_client_reads_however_they_are_cut(pieces: list[str], data: st.DataObject) -> None:
    stream = "".join(pieces).encode() + b"\n\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[begin:end] for begin, end in pairwise([0, *cuts, len(stream)])]

    response = httpx2.Response(
        200, headers={"content-type": STREAM}, content=stream, request=httpx2.Request("POST", "http://x")
    )
    expected = [event.data.encode() for event in httpx2.EventSource(response) if event.data]

    assert events(*parts) == expected


@pytest.mark.parametrize("kind", ["Text/Event-Stream", "text/event-stream; charset=utf-8", " text/event-stream ;x"])
def test_the_content_type_may_be_written_in_any_way(kind: str) -> None:
    assert events(b"data: a\n\n", kind=kind) == [b"a"]


@pytest.mark.parametrize("kind", [None, "", "application/json", "text/event-streams"])
def test_another_content_type_is_no_stream_of_events(kind: str | None) -> None:
    with pytest.raises(NoEvents, match="text/event-stream"):
        Events(kind)


def test_an_event_of_many_parts_is_put_together_once() -> None:
    part = b"x" * 65_536
    (data,) = events(b"data: ", *[part] * 300, b"\n", b"\n")
    assert len(data) == 300 * len(part)
