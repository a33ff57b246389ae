"""Hostile programs in the full Python: each is contained, its end is told for what it was, and nothing of it is left."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from swarmlet.bridges.sandbox import Bubblewrap
from tests.bridges.sandbox.boxes import PATIENT, TELLS_ITS_NAMESPACE, children, descriptors, left_of, needs_bubblewrap
from tests.bridges.sandbox.hostile import BOMBS, ENDS, ESCAPES, SLOW, TRIES, Hostile

pytestmark = [pytest.mark.anyio, needs_bubblewrap]

# What is tested here is the box: one event loop will do. The loops differ in how a run ends, which test_ending is about.
ONE_LOOP = pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    assert children() == []
    assert descriptors() <= before | {one for one in descriptors() if "anon_inode" in one}


@ONE_LOOP
@pytest.mark.parametrize("hostile", [pytest.param(one, id=one.name) for one in (*BOMBS, *SLOW, *ENDS, *ESCAPES)])
async def test_a_hostile_program_is_contained_and_its_end_is_told(hostile: Hostile) -> None:
    runs = hostile.code if hostile.reason == "SyntaxError" else TELLS_ITS_NAMESPACE + hostile.code
    ran = await Bubblewrap(hostile.limits).run(runs)
    assert ran.outcome in hostile.outcomes, ran
    assert hostile.reason in ran.reason
    assert hostile.prints in ran.stdout, ran
    assert hostile.exit_code in (None, ran.exit_code)
    assert "ESCAPED" not in ran.stdout + ran.stderr
    assert bool(ran.reason) != ran.ok
    assert len(ran.stdout) + len(ran.stderr) <= hostile.limits.output_kb * 1024
    if runs is not hostile.code:
        assert left_of(ran.stdout) == []


@ONE_LOOP
async def test_sockets_of_the_machine_hear_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        loopback, everywhere = (stack.enter_context(socket.create_server((host, 0))) for host in ("127.0.0.1", ""))
        file, abstract = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        file.bind(str(tmp_path / "socket"))
        abstract.bind(f"\0swarmlet-{os.getpid()}")
        listeners = (loopback, everywhere, file, abstract)
        for listener in listeners:
            listener.listen()
            listener.setblocking(False)
        ports = [listener.getsockname()[1] for listener in (loopback, everywhere)]
        names = [file.getsockname(), abstract.getsockname(), "/run/dbus/system_bus_socket", "/var/run/docker.sock"]
        program = f"""{TRIES}
import socket
for port in {ports}:
    for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0"):
        tries(host, lambda: socket.create_connection((host, port), 5))
for name in {names!r}:
    tries(name, lambda: socket.socket(socket.AF_UNIX).connect(name))
print("came to the end")
"""
        ran = await Bubblewrap(PATIENT).run(program)
        assert ran.ok, ran
        assert "came to the end" in ran.stdout
        assert "ESCAPED" not in ran.stdout
        for listener in listeners:
            with pytest.raises(BlockingIOError):
                listener.accept()


@ONE_LOOP
async def test_a_program_that_needs_the_network_is_told_that_there_is_none() -> None:
    ran = await Bubblewrap(PATIENT).run("import urllib.request\nurllib.request.urlopen('http://example.com')")
    assert ran.outcome == "failed"
    assert "there is no network in the sandbox" in ran.reason


@ONE_LOOP
async def test_files_of_the_machine_are_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret in a file")
    secret.chmod(0o644)
    there = [secret, Path(__file__), Path.home(), Path.home() / ".bashrc", Path.cwd(), Path(sys.prefix) / "pyvenv.cfg"]
    hidden = [
        *map(str, there),
        "/etc/passwd",
        "/etc/shadow",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/etc/ssl",
        "/var",
        "/run",
        "/boot",
    ]
    program = f"""{TRIES}
def read(path):
    return os.listdir(path) if os.path.isdir(path) else open(path).read()
for path in {hidden!r}:
    if not sys.prefix.startswith(path) or len(os.listdir(path)) > 1:  # on the way to the interpreter lies nothing else
        tries(path, lambda: read(path))
import importlib.util
for name in ("anyio", "pydantic", "swarmlet", "pip", "setuptools", "pytest"):
    if importlib.util.find_spec(name):
        print("ESCAPED", name)
print("came to the end")
"""
    ran = await Bubblewrap(PATIENT).run(program)
    assert ran.ok, ran
    assert "came to the end" in ran.stdout
    assert "ESCAPED" not in ran.stdout
    assert "a secret" not in ran.stdout


def test_the_environment_of_this_process_cannot_be_had() -> None:
    """In a process of its own: what /proc shows is the environment that a process was started with."""
    hunts = """
import glob, os
print(dict(os.environ))
for file in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/task/*/environ"):
    try: print(file, open(file).read())
    except OSError as error: print(file, error)
"""
    starts = f"""
import anyio, json, os
from swarmlet.bridges.sandbox import Bubblewrap
os.environ["LATER"] = "a secret set later"
ran = anyio.run(Bubblewrap().run, {hunts!r})
print(json.dumps([ran.outcome, ran.stdout + ran.stderr]))
"""
    secret = "a secret from the start"
    done = subprocess.run([sys.executable, "-c", starts], env={**os.environ, "SECRET": secret}, capture_output=True, check=True)
    outcome, said = json.loads(done.stdout)
    assert outcome == "finished"
    assert "HOME" in said
    assert "a secret" not in said
    assert os.environ["PATH"] not in said or os.environ["PATH"] == "/usr/bin:/bin"


@ONE_LOOP
async def test_signals_to_the_process_that_runs_it_do_not_arrive() -> None:
    pids = [os.getpid(), os.getppid(), *range(3, 300)]
    program = f"import os\nfor pid in {pids}:\n    try: os.kill(pid, 9)\n    except OSError: pass\nprint('came to the end')"
    ran = await Bubblewrap(PATIENT).run(program)
    assert (ran.outcome, ran.stdout) == ("finished", "came to the end\n")


@ONE_LOOP
async def test_what_one_program_leaves_the_next_does_not_find() -> None:
    box = Bubblewrap(PATIENT)
    leaves = (
        "import os\nos.makedirs('/tmp/.local')\nfor name in ('left', 'sitecustomize.py'): open(name, 'w').write('print(1)')"
    )
    assert (await box.run(leaves)).ok
    assert (await box.run("import os\nprint(os.listdir('/tmp'))")).stdout == "[]\n"


@ONE_LOOP
async def test_the_box_has_what_a_program_may_expect() -> None:
    program = """
import asyncio, ctypes, hashlib, json, multiprocessing, sqlite3, ssl, subprocess, tempfile, threading, unittest, zoneinfo
with tempfile.TemporaryDirectory() as folder:
    open(folder + "/x", "w").write("hello")
with multiprocessing.Pool(2) as pool:
    print(sum(pool.map(abs, [-1, -2])))
print(subprocess.run("echo from a shell", shell=True, capture_output=True, text=True).stdout, end="")
asyncio.run(asyncio.sleep(0))
thread = threading.Thread(target=print, args=("from a thread",))
thread.start(); thread.join()
print(sqlite3.connect("/tmp/db").execute("select 6 * 7").fetchone()[0], __name__, __file__)
"""
    ran = await Bubblewrap(PATIENT).run(program)
    assert ran.ok, ran
    assert ran.stdout == "3\nfrom a shell\nfrom a thread\n42 __main__ /program.py\n"
