"""`swarmlet ui`: the journal in the browser, for who has the address and for no other page."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from swarmlet.cli.main import main
from swarmlet.cli.ui.pages import Pages
from swarmlet.cli.ui.server import Server
from swarmlet.trace import Journal, RunEnded, StepEnded, StepStarted
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.journal import JournalWriter
from tests.trace.build import start, writing
from tests.trace.example import example_journal
from tests.trace.pages import browser, watched

Reply = tuple[int, dict[str, str], bytes]


@contextmanager
def serving(path: Path) -> Generator[Server]:
    with Server(Pages(Journal(path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Generator[Server]:
    path = tmp_path / "journal.sqlite"
    example_journal(path)
    with serving(path) as running:
        yield running


def flushed(writer: JournalWriter) -> None:
    """Wait until all is in the journal; in a thread, as the browser's driver has a loop in this one."""
    thread = threading.Thread(target=anyio.run, args=(writer.flush,))
    thread.start()
    thread.join()


def ask(server: Server, path: str, method: str = "GET", /, **headers: str) -> Reply:
    """One request; names of headers with _ for -."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def below(server: Server, path: str) -> str:
    return f"/{server.secret}/{path}"


def told(reply: Reply) -> Any:
    assert reply[0] == 200
    return json.loads(reply[2])


# Who may ask


def test_the_address_has_a_secret_and_is_of_this_machine_alone(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/{server.secret}/"
    assert len(server.secret) >= 32
    assert ask(server, below(server, ""))[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/runs.json", "/x/runs.json", "//runs.json", "/../", "/%2e%2e/etc/passwd", "/run/0001-solve/"]
)
def test_without_the_secret_there_is_nothing(server: Server, path: str) -> None:
    status, _, body = ask(server, path)
    assert (status, body) == (404, b'{"error":"no"}')


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""]
)
def test_a_name_that_points_here_is_refused(server: Server, host: str) -> None:
    assert ask(server, below(server, ""), Host=host.format(port=server.server_port))[0] == 403


def test_localhost_is_this_machine(server: Server) -> None:
    assert ask(server, below(server, ""), Host=f"LocalHost:{server.server_port}")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_what_another_site_asks_is_refused(server: Server, headers: dict[str, str], status: int) -> None:
    filled = {name: value.format(port=server.server_port) for name, value in headers.items()}
    assert ask(server, below(server, "runs.json"), **filled)[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_only_get_is_answered(server: Server, method: str) -> None:
    assert ask(server, below(server, ""), method)[0] == 405


@pytest.mark.parametrize("path", ["", "runs.json", "run/0001-solve/", "run/0001-solve/data.json", "nothing"])
def test_every_answer_forbids_what_it_can(server: Server, path: str) -> None:
    _, headers, _ = ask(server, below(server, path))
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "run", ["last", "0001", "..", "%2e%2e", "0001-solve%00", "/etc/passwd", "x" * 200, "0001-solve/../0002-fail"]
)
def test_a_run_is_named_by_its_whole_id(server: Server, run: str) -> None:
    assert ask(server, below(server, f"run/{run}/data.json"))[0] == 404


# What is answered


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["0003-die", "0002-fail", "0001-solve"]),
        ("?limit=1", ["0003-die"]),
        ("?name=SOLV", ["0003-die", "0001-solve"]),
        ("?state=failed", ["0002-fail"]),
        ("?seconds=10", ["0001-solve"]),
        ("?usd=0.0002", ["0001-solve"]),
        ("?since=2000000000", []),
    ],
)
def test_runs_are_listed_and_filtered(server: Server, query: str, found: list[str]) -> None:
    listed = told(ask(server, below(server, f"runs.json{query}")))
    assert [run["id"] for run in listed["runs"]] == found
    assert listed["more"] == (query == "?limit=1")


@pytest.mark.parametrize("query", ["?state=asleep", "?seconds=soon", "?limit=x"])
def test_a_filter_without_sense_is_refused(server: Server, query: str) -> None:
    assert ask(server, below(server, f"runs.json{query}"))[0] == 400


def test_a_step_is_asked_for_by_its_path(server: Server) -> None:
    step = told(ask(server, below(server, f"run/0001-solve/step.json?path={quote('solve/write')}")))
    assert [one["what"] for one in step["details"]["work"]] == ["call", "call", "tool", "call"]
    assert ask(server, below(server, "run/0001-solve/step.json?path=nothing"))[0] == 404


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RETURN A + B", ["solve/write"]),
        ("two hits", ["solve/write"]),
        ("def add", ["solve/write", "solve/attempt[1]/check", "solve/attempt[2]/check"]),
        ("nowhere", []),
    ],
)
def test_texts_are_searched_where_they_are(server: Server, text: str, found: list[str]) -> None:
    paths = told(ask(server, below(server, f"run/0001-solve/search.json?text={quote(text)}")))["paths"]
    assert [path for path in paths if path != "solve"] == found


def test_a_run_that_goes_on_is_told_anew_only_if_there_is_news(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with writing(path) as writer:
        recorder = start(writer, "0001-live", at=1.0)
        recorder.emit(StepStarted(at=2.0, path="solve/one", node="app:one"))
        flushed(writer)
        with serving(path) as server:
            first = told(ask(server, below(server, "run/0001-live/data.json")))
            assert first["run"]["state"] == "running"
            tag = quote(first["live"]["tag"])
            assert ask(server, below(server, f"run/0001-live/data.json?tag={tag}"))[0] == 204
            recorder.emit(StepEnded(at=3.0, path="solve/one", state="finished"))
            recorder.emit(RunEnded(at=4.0, state="finished"))
            flushed(writer)
            again = told(ask(server, below(server, f"run/0001-live/data.json?tag={tag}")))
    assert again["run"]["state"] == "finished"


# The command


@pytest.mark.skipif(signal.getsignal(signal.SIGINT) == signal.SIG_IGN, reason="Ctrl-C is ignored where this was started")
def test_the_command_prints_its_address_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    example_journal(path)
    command = [sys.executable, "-m", "swarmlet", "ui", "--journal", str(path), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert "key to the journal" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == "swarmlet: ended\n"


def test_a_port_that_is_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.sqlite"
    example_journal(path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["ui", "--journal", str(path), "--port", str(port), "--no-open"]) == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in capsys.readouterr().err
    assert main(["ui", "--journal", str(path), "--port", "70000", "--no-open"]) == 2


def test_a_browser_that_hangs_up_is_no_error(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        browser = socket.create_connection(listener.getsockname())
        accepted, address = listener.accept()
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its end is a reset
        browser.close()
        server.process_request_thread(accepted, address)
        assert capsys.readouterr().err == ""
        server.process_request_thread(accepted, address)  # closed on our side: a bug would be told
    assert "Bad file descriptor" in capsys.readouterr().err


def test_a_journal_that_is_not_there_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", "--journal", str(tmp_path / "none.sqlite"), "--no-open"]) == 1
    assert "none.sqlite" in capsys.readouterr().err


# In the browser


def test_the_browser_lists_runs_opens_one_and_follows_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with browser() as opened, writing(path) as writer, serving(path) as server, watched(opened) as seen:
        recorder = start(writer, "0001-live", at=1.0)
        recorder.emit(StepStarted(at=2.0, path="solve/one", node="app:one"))
        flushed(writer)
        seen.page.goto(server.url)
        seen.page.get_by_role("link", name="solve").click()
        seen.page.locator("#state", has_text="running").wait_for()
        seen.page.locator("#rows").press("ArrowDown")
        seen.page.locator("#rows").press("Enter")
        seen.page.get_by_role("heading", name="solve/one").wait_for()
        output = recorder.keep("the value of one", to_any_json)
        recorder.emit(StepEnded(at=3.0, path="solve/one", state="finished", output=output))
        recorder.emit(StepStarted(at=3.5, path="solve/two", node="app:two"))
        recorder.emit(StepEnded(at=4.0, path="solve/two", state="finished"))
        recorder.emit(RunEnded(at=4.0, state="finished"))
        flushed(writer)
        seen.page.locator("#state", has_text="finished").wait_for()
        seen.page.locator(".row .name", has_text="two").wait_for()
        seen.page.locator("#panel pre", has_text="the value of one").wait_for()
        seen.page.get_by_role("searchbox").fill("value of one")
        seen.page.get_by_text("1 step", exact=True).wait_for()
        assert seen.page.locator(".row .name").all_inner_texts() == ["solve", "one"]
        seen.page.get_by_role("link", name="All runs").click()
        seen.page.locator(".runs .state", has_text="finished").wait_for()
        assert all(url.startswith(server.url) for url in seen.requests if not url.startswith("data:"))
        assert seen.problems == []
