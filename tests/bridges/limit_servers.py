"""Real Redis and Postgres servers on loopback, in folders of their own; skipped with a reason where they are not installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PG_URL = "SWARMLET_TEST_PG_URL"


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _running(command: list[str], ready: Callable[[], bool], user: int | None) -> Generator[None, None, None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd="/")
    try:
        end = time.monotonic() + 20
        while not ready():
            if time.monotonic() > end or process.poll() is not None:
                pytest.fail(f"{command[0]} did not start")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


@contextmanager
def redis_server() -> Generator[str, None, None]:
    """The URL of a fresh Redis."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed")
    pytest.importorskip("redis", reason="the redis package is not installed")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        with _running(command, lambda: _accepts(port), None):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres_server() -> Generator[str, None, None]:
    """The URL of a fresh Postgres, or of the one that the environment names."""
    pytest.importorskip("psycopg", reason="the psycopg package is not installed")
    if PG_URL in os.environ:
        yield os.environ[PG_URL]
        return
    found = _postgres()
    if found is None:
        pytest.skip(f"postgres and initdb are not installed, and {PG_URL} is not set")
    initdb, postgres = found
    user = _unprivileged()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir(0o700)
        if user is not None:
            os.chown(folder, user, -1)
            os.chown(data, user, -1)
        init = [initdb, "-D", str(data), "-A", "trust", "-U", "swarmlet", "-N", "-E", "UTF8", "--no-locale"]
        subprocess.run(init, check=True, capture_output=True, user=user, cwd="/", timeout=60)
        options = ("fsync=off", "unix_socket_directories=", "listen_addresses=127.0.0.1", f"port={port}")
        command = [postgres, "-D", str(data), *(part for option in options for part in ("-c", option))]
        url = f"postgresql://swarmlet@127.0.0.1:{port}/postgres"
        with _running(command, lambda: _answers(url), user):
            yield url


def _postgres() -> tuple[str, str] | None:
    folders = [os.environ.get("PATH", ""), *(str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
    path = os.pathsep.join(folders)
    initdb, postgres = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
    return (initdb, postgres) if initdb and postgres else None


def _unprivileged() -> int | None:
    """Postgres refuses to run as root: another user then."""
    if os.geteuid() != 0:
        return None
    import pwd

    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    pytest.skip("postgres does not run as root, and there is no other user")


def _answers(url: str) -> bool:
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=1).close()
    except psycopg.Error:
        return False
    return True
