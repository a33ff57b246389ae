"""Journals that processes share in Postgres: a real server, real processes, and what goes wrong between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest

from swarmlet.bridges.journals import PostgresJournal
from swarmlet.errors import JournalError, RunTaken
from swarmlet.trace import Journal, Noted, RunId
from swarmlet.trace.events import Digest
from tests.bridges.limit_servers import PG_URL, free_port, postgres_server
from tests.trace.journal_stores import Playing

psycopg = pytest.importorskip("psycopg", reason="the psycopg package is not installed")
pytestmark = pytest.mark.anyio
ROOT = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
def schema() -> str:
    return f"test_{uuid4().hex}"


WRITER = """
import anyio, sys
sys.path.insert(0, sys.argv[4])
from swarmlet.bridges.journals import PostgresJournal
from swarmlet.trace import Noted, RunId
from tests.trace.journal_stores import Playing

async def main():
    writer = PostgresJournal(sys.argv[1], schema=sys.argv[2], lease=float(sys.argv[3])).open()
    plays = {}
    for line in sys.stdin:
        do, run = line.split()[:2]
        play = plays.setdefault(run, Playing(writer, run))
        if do == "claim":
            await writer.claim(RunId(run))
            play.start()
        elif do == "resume":
            await writer.claim(RunId(run))
            play.at += 1000
            play.resume()
        elif do == "note":
            digest = play.keep(f"{sys.argv[5]} {len(play.events)}")
            play.recorder.emit(Noted(at=play.tick(), path="solve", message=f"{sys.argv[5]} {digest}"))
        elif do == "end":
            play.end()
            writer.release(RunId(run))
        elif do == "flood":
            for number in range(20_000):
                play.step(f"solve/step[{number}]", number % 50)
        if do != "flood":
            await writer.flush()
        print(do, "taken" if writer.taken(RunId(run)) else "ok", writer.error, flush=True)
    writer.close()

anyio.run(main)
"""


class Process:
    """A process that writes runs as it is told, a line at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def do(self, line: str) -> str:
        self.tell(line)
        return self.hear()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@contextmanager
def process(url: str, schema: str, name: str, lease: float = 1.0) -> Generator[Process]:
    command = [sys.executable, "-c", WRITER, url, schema, str(lease), ROOT, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as popen:
        try:
            yield Process(popen)
        finally:
            popen.kill()


async def claimed(journal: PostgresJournal, run: str) -> int:
    """Try until the run can be had. Gives how often it was refused."""
    refused = 0
    with anyio.fail_after(20), closing(journal.open()) as writer:
        while True:
            try:
                await writer.claim(RunId(run))
            except RunTaken:
                refused += 1
                await anyio.sleep(0.1)
            else:
                return refused


def notes(journal: PostgresJournal, run: str) -> list[str]:
    """Who has noted something, in order; each with its value."""
    trace = Journal(journal).trace(run)
    said = [event.message.split() for event in trace.events if isinstance(event, Noted)]
    for who, digest in said:
        assert str(trace.value(Digest(digest))).startswith(who)
    return [who for who, _ in said]


async def test_a_run_that_goes_on_in_another_process_cannot_be_claimed(url: str, schema: str) -> None:
    journal = PostgresJournal(url, schema=schema, lease=1)
    with process(url, schema, "first") as first, closing(journal.open()) as writer:
        assert first.do("claim a") == "claim ok None"
        with pytest.raises(RunTaken, match=f"in another process .*pid {first.process.pid}"):
            await writer.claim(RunId("a"))
        await anyio.sleep(2)  # twice the lease, which its thread renews
        with pytest.raises(RunTaken):
            await writer.claim(RunId("a"))
        assert Journal(journal).find("a").state == "running"
        assert first.do("end a") == "end ok None"
        await writer.claim(RunId("a"))
        assert not writer.taken(RunId("a"))


async def test_a_run_of_a_killed_process_is_lost_when_its_lease_ends_and_can_be_taken(url: str, schema: str) -> None:
    journal = PostgresJournal(url, schema=schema, lease=1)
    with process(url, schema, "first") as first:
        first.do("claim a")
        first.do("note a")
        first.signal(signal.SIGKILL)
        first.process.wait()
    assert await claimed(journal, "a") > 0
    assert Journal(journal).find("a").state == "lost"
    with closing(journal.open()) as writer:
        await writer.claim(RunId("a"))
        Playing(writer, at=5_000).resume().end()
    assert Journal(journal).find("a").state == "finished"
    assert Journal(journal).verify().problems == ()


@pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped by signals of POSIX")
async def test_a_process_that_slept_longer_than_its_lease_writes_nothing_of_a_run_that_was_taken(url: str, schema: str) -> None:
    journal = PostgresJournal(url, schema=schema, lease=1)
    with process(url, schema, "first") as first, process(url, schema, "second") as second:
        first.do("claim taken")
        first.do("claim kept")
        first.do("note taken")
        first.signal(signal.SIGSTOP)
        assert await claimed(journal, "taken") > 0
        assert second.do("resume taken") == "resume ok None"
        second.do("note taken")
        for run in ("taken", "kept", "taken"):
            first.tell(f"note {run}")
        first.signal(signal.SIGCONT)
        assert [first.hear() for _ in range(3)] == ["note taken None", "note ok None", "note taken None"]
        second.do("note taken")
        first.do("end taken")
        assert second.do("end taken") == "end ok None"
        assert first.do("end kept") == "end ok None"
    assert notes(journal, "taken") == ["first", "second", "second"]
    assert notes(journal, "kept") == ["first"]
    assert Journal(journal).find("taken").state == "finished"
    assert Journal(journal).verify().problems == ()


@pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped by signals of POSIX")
async def test_an_idle_process_finds_out_that_its_run_was_taken(url: str, schema: str) -> None:
    journal = PostgresJournal(url, schema=schema, lease=0.6)
    with process(url, schema, "first", lease=0.6) as first, closing(journal.open()) as other:
        first.do("claim a")
        first.do("claim b")
        first.signal(signal.SIGSTOP)
        await claimed(journal, "a")
        await other.claim(RunId("a"))
        first.signal(signal.SIGCONT)
        with anyio.fail_after(20):
            while Journal(journal).find("b").state != "running":  # noqa: ASYNC110  # another process does that
                await anyio.sleep(0.05)
        assert first.do("look a") == "look taken None"
        assert first.do("look b") == "look ok None"


async def test_processes_that_write_at_the_same_time_lose_nothing_while_another_prunes(url: str, schema: str) -> None:
    journal = PostgresJournal(url, schema=schema)
    with process(url, schema, "first") as first, process(url, schema, "second") as second:
        for one in (first, second):
            one.tell(f"claim {one.process.pid}")
        for one in (first, second):
            one.hear()
            one.tell(f"flood {one.process.pid}")
        for number in range(10):
            with closing(journal.open()) as writer:
                Playing(writer, f"short{number}").start().step("solve/a", number).end()
            Journal(journal).prune(keep=0)
        for one in (first, second):
            assert one.hear() == "flood ok None"
            assert one.do(f"end {one.process.pid}") == "end ok None"
    runs = Journal(journal).runs()
    assert [run.steps for run in runs] == [20_000, 20_000]
    assert Journal(journal).verify().problems == ()


async def test_a_connection_that_is_lost_again_and_again_costs_no_event_and_doubles_none(url: str, schema: str) -> None:
    journal = PostgresJournal(url, schema=schema)
    with closing(journal.open()) as writer, psycopg.connect(url, autocommit=True) as admin:
        play = Playing(writer).start()
        kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'swarmlet journal'"
        for number in range(300):
            play.step(f"solve/step[{number}]", number)
            if number % 20 == 0:
                admin.execute(kill)
            await anyio.lowlevel.checkpoint()
        play.end()
        await writer.flush()
        assert writer.error is None
        assert not writer.taken(RunId("a"))
    assert list(Journal(journal).trace("a").events) == play.events
    assert Journal(journal).verify().problems == ()


# What cannot be used


def refused(journal: PostgresJournal) -> str:
    """What reading and writing say: the same, in one line, and never the password."""
    with pytest.raises(JournalError) as writing:
        journal.open()
    with pytest.raises(JournalError) as reading:
        Journal(journal).runs()
    said = str(writing.value)
    assert "\n" not in said
    assert "secret" not in f"{said} {reading.value} {journal!r} {journal.name}"
    assert said == str(reading.value)
    return said


def test_a_server_that_is_away_is_told() -> None:
    said = refused(PostgresJournal(f"postgresql://me:secret@127.0.0.1:{free_port()}/db"))
    assert "cannot be reached" in said
    assert "postgresql://me@127.0.0.1" in said


@pytest.mark.parametrize("broken", ["secret", "password=secret host"])
def test_a_url_that_cannot_be_read_is_told(broken: str) -> None:
    assert "its URL cannot be read" in refused(PostgresJournal(broken))


def test_a_database_that_is_not_there_is_told(url: str) -> None:
    assert "there is no such database" in refused(PostgresJournal(url.rsplit("/", 1)[0] + "/nowhere"))


@pytest.mark.skipif(PG_URL in os.environ, reason="changes who may connect to the server")
def test_a_wrong_password_is_told(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        row = admin.execute("SHOW hba_file").fetchone()
        assert row is not None
        lines = "VALUES ('host all guarded 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust')"
        admin.execute(f"COPY ({lines}) TO '{row[0]}'".encode())
        admin.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        admin.execute("SELECT pg_reload_conf()")
    guarded = url.replace("swarmlet@", "guarded:secret@")
    assert "the server refuses the user or the password" in refused(PostgresJournal(guarded))
    right = PostgresJournal(url.replace("swarmlet@", "guarded:right@"))
    with pytest.raises(JournalError, match=r"may not use them|no journal"):
        Journal(right).runs()


def test_a_schema_of_another_program_is_left_alone(url: str, schema: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.runs (x int)".encode())
    assert "tables of another program: name another one with schema=" in refused(PostgresJournal(url, schema=schema))


def test_a_journal_of_a_newer_swarmlet_is_left_alone(url: str, schema: str) -> None:
    journal = PostgresJournal(url, schema=schema)
    journal.open().close()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"UPDATE {schema}.format SET format = 99".encode())
    assert "has format 99" in refused(journal)


def test_reading_makes_nothing(url: str, schema: str) -> None:
    with pytest.raises(JournalError, match="there is no journal at"):
        Journal(PostgresJournal(url, schema=schema)).runs()
    with psycopg.connect(url) as admin:
        assert admin.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None


@pytest.mark.parametrize("name", ["Weird \"Name'; DROP", "ä"])
def test_a_schema_may_have_any_name(url: str, name: str) -> None:
    journal = PostgresJournal(url, schema=f"{name}{uuid4().hex[:8]}")
    with closing(journal.open()) as writer:
        Playing(writer).start().end()
    assert Journal(journal).find("a").state == "finished"


@pytest.mark.parametrize(("settings", "says"), [({"schema": ""}, "no name for a schema"), ({"lease": 0.0}, "above 0")])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], says: str) -> None:
    with pytest.raises(JournalError, match=says):
        PostgresJournal("postgresql://x", **settings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_server_that_refuses_to_write_stops_the_journal_and_not_the_run(url: str, schema: str) -> None:
    journal = PostgresJournal(url, schema=schema, lease=1)
    with closing(journal.open()) as writer:
        play = Playing(writer).start()
        await writer.flush()
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(f"DROP TABLE {schema}.events".encode())
        play.step("solve/a")
        await writer.flush()
        assert "not those of a swarmlet journal" in str(writer.error)
        await writer.claim(RunId("b"))  # raises nothing
        play.end()
        await writer.flush()
        with pytest.raises(JournalError):
            journal.open()


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(JournalError, match=r"pip install 'swarmlet\[workers\]'"):
        PostgresJournal("postgresql://127.0.0.1").open()


def test_importing_it_imports_no_driver() -> None:
    code = "import sys, swarmlet.bridges.journals; print('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
