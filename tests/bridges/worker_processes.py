"""Real workers in processes of their own, over a real Postgres, that call a scripted server whose requests tests count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import final
from uuid import uuid4

from swarmlet.testing import Request, ScriptedServer
from tests.bridges.worker_flows import FOLDER, HERE, LEASE, URL

ROOT = Path(__file__).parent.parent.parent
STARTING = 60


@final
class Process:
    """One worker."""

    def __init__(self, arguments: Sequence[str], env: dict[str, str]) -> None:
        command = [sys.executable, "-W", "error", *arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.pid = self._process.pid
        self.said: list[str] = []
        self._told = False
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stderr or ():
            self.said.append(line)
            if "is ready" in line:
                self._ready.set()

    def ready(self) -> None:
        """Wait until it takes jobs."""
        end = time.monotonic() + STARTING
        while not self._ready.wait(0.05):
            assert self._process.poll() is None, f"the worker has ended: {''.join(self.said)}"
            assert time.monotonic() < end, f"the worker is not ready: {''.join(self.said)}"

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would."""
        self._process.kill()
        self._process.wait(20)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def leave(self) -> None:
        """Tell it to leave, once."""
        if self.alive and not self._told:
            self._told = True
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)

    def end(self) -> int:
        """The exit status, once it has ended; it is told to, if it was not."""
        self.leave()
        try:
            status = self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        if self._process.stderr is not None:
            self._process.stderr.close()
        return status


@final
class Site:
    """A Postgres, a scripted model and a folder, which all workers of a test have in common."""

    def __init__(self, url: str, server: ScriptedServer, folder: Path) -> None:
        self.url = url
        self.server = server
        self.folder = folder

    def env(self, **more: str) -> dict[str, str]:
        """The environment of a worker: where its secrets are."""
        mine = {URL: self.url, FOLDER: str(self.folder), "OPENAI_BASE_URL": self.server.base_url}
        return {**os.environ, **mine, "OPENAI_API_KEY": self.server.api_key, **more}

    @contextmanager
    def workers(
        self, count: int, queue: str = "", *, lease: float = 2, options: Sequence[str] = (), module: str = HERE
    ) -> Generator[list[Process], None, None]:
        """So many workers of this queue, until the end of the block."""
        command = ["-m", "swarmlet", "worker", module, "--lease", str(lease), "--grace", "3", *options]
        command += ["--queue", queue] if queue else []
        started = [Process(command, self.env(**{LEASE: str(lease)})) for _ in range(count)]
        try:
            for one in started:
                one.ready()
            yield started
        finally:
            for one in started:
                one.leave()
            for one in started:
                one.end()

    def answer(self, function: Callable[[Request], object]) -> None:
        """What the model says from now on."""
        self.server.answer(function)

    def asked(self, *, since: int = 0) -> Counter[str]:
        """How often each word was asked for."""
        return Counter(request.last for request in self.server.requests[since:])

    def marks(self) -> list[tuple[int, str]]:
        """What steps have left, by process."""
        path = self.folder / "marks"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(pid), name) for pid, _, name in (line.partition(" ") for line in lines)]


def fresh(name: str) -> str:
    """A name that no other test has."""
    return f"{name}-{uuid4().hex[:8]}"
