"""Log lines: through structlog where the application has configured it, through `logging` where it listens, else silence."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from swarmlet import StepFailed, agent, current, graph, node, run
from swarmlet.testing import ScriptedServer

pytestmark = pytest.mark.anyio


@node
async def double(number: int) -> int:
    current().log.info("doubling", number=number)
    return 2 * number


@node
def fail(number: int) -> int:
    raise ValueError(f"secret {number}")


@graph
def pair(number: int) -> int:
    return fail(double(number))


@agent(str)
def echo(text: str) -> str:
    """You repeat."""
    return text


@pytest.fixture
def configured() -> Iterator[None]:
    structlog.configure()
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("configured")
async def test_a_configured_structlog_gets_the_events_of_each_step_with_run_and_path() -> None:
    with capture_logs() as lines:
        result = await run(double, 2)
    assert [line["event"] for line in lines] == ["run started", "step started", "doubling", "step ended", "run ended"]
    assert {line["run"] for line in lines} == {result.id}
    assert [line["path"] for line in lines[1:4]] == ["double"] * 3
    assert lines[2]["number"] == 2


@pytest.mark.usefixtures("configured")
async def test_failures_are_warnings_and_errors_and_quote_nothing() -> None:
    with capture_logs() as lines, pytest.raises(StepFailed):
        await run(pair, 2)
    loud = [(line["event"], line["log_level"], line["error"]) for line in lines if line["log_level"] in ("warning", "error")]
    assert loud == [("step failed", "warning", "ValueError"), ("run failed", "error", "StepFailed")]
    assert "secret" not in str(lines)


@pytest.mark.usefixtures("configured")
async def test_a_model_call_is_logged_with_its_cost_and_without_its_contents(scripted_server: ScriptedServer) -> None:
    scripted_server.reply("the reply")
    with capture_logs() as lines:
        await run(echo, "the prompt")
    [call] = [line for line in lines if line["event"] == "model call ended"]
    assert call["input_tokens"] > 0
    assert call["state"] == "finished"
    assert "the reply" not in str(lines)
    assert "the prompt" not in str(lines)


async def test_the_standard_logger_is_used_where_structlog_is_not_configured(caplog: pytest.LogCaptureFixture) -> None:
    assert not structlog.is_configured()
    with caplog.at_level(logging.INFO, "swarmlet"):
        await run(double, 2)
    assert [record.getMessage() for record in caplog.records] == ["run started", "doubling", "run ended"]


def test_without_a_listener_nothing_is_written_anywhere() -> None:
    code = """
import swarmlet

@swarmlet.node
def fail(number: int) -> int:
    swarmlet.current().log.error("loud")
    raise ValueError("loud")

try:
    swarmlet.run_sync(fail, 1)
except swarmlet.StepFailed:
    pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
