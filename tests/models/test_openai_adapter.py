"""The adapter by itself: lazily imported, and deaf to nonsense in headers."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.models.base import Message, whole_text
from swarmlet.models.openai_errors import retry_after


def imported(code: str) -> set[str]:
    """The modules that a fresh process has imported after `code`."""
    found = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(found.stdout.split())


def test_importing_swarmlet_does_not_import_the_sdk() -> None:
    assert not imported("import swarmlet") & {"openai", "httpx2", "rich", "mcp", "opentelemetry"}


def test_an_agent_and_a_model_object_do_not_import_the_sdk() -> None:
    code = """
from swarmlet import agent, OpenAIModel, Swarm
@agent(list[int])
def numbers(text: str) -> str:
    return text
numbers.render("hi")
Swarm(model=OpenAIModel("x", base_url="http://127.0.0.1:9/v1"))
"""
    assert not imported(code) & {"openai", "httpx2"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "nonsense", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "-1", "retry-after": "9"}, 9.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00"}, 0.0),
        ({"retry-after": "Thu, 99 Jan 1970 00:00:00 GMT"}, None),
    ],
    ids=str,
)
def test_the_servers_wish_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_is_seconds_from_now() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    found = retry_after({"retry-after": later})
    assert found is not None
    assert 290 < found <= 300


@given(st.text(), st.text())
def test_no_header_makes_reading_the_wish_fail(milliseconds: str, seconds: str) -> None:
    found = retry_after({"retry-after-ms": milliseconds, "retry-after": seconds})
    assert found is None or 0 <= found < float("inf")


@given(st.text(alphabet=st.characters(), max_size=50))
def test_messages_hold_only_text_that_a_wire_can_carry(text: str) -> None:
    sound = whole_text(text)
    assert sound.encode().decode() == sound
    assert len(sound) <= len(text)
    for message in (Message.system(text), Message.user(text), Message.assistant(text), Message.tool("a", text)):
        assert message.text == sound
    assert whole_text(sound) == sound
