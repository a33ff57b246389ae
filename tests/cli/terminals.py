"""Commands run in a terminal of their own (a pty), and in none."""

from __future__ import annotations

import os
import pty
import select
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

COMMAND = (sys.executable, "-m", "swarmlet")
WAIT = 60
"""Seconds until something that does not come is given up."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What came to the terminal, and the exit status."""

    text: str
    status: int


def environment(**variables: str) -> dict[str, str]:
    """The environment without what would decide on colours and widths."""
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")}
    return known | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | variables


def in_terminal(
    command: Sequence[str],
    *,
    typed: Mapping[str, str] | None = None,
    columns: int = 120,
    echo: bool = True,
    told: Mapping[str, Callable[[], None]] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Shown:
    """Run a command in a terminal. When the words before have come, the text after them is typed, each once, or what is `told`
    is called."""
    import fcntl
    import termios

    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    if not echo:
        modes = termios.tcgetattr(terminal)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, modes)
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment(**(variables or {})), start_new_session=True
    )
    os.close(terminal)
    seen, waiting, calls = b"", dict(typed or {}), dict(told or {})
    try:
        while select.select([main], [], [], WAIT)[0]:
            try:
                data = os.read(main, 65536)
            except OSError:  # Linux says so when nobody has the terminal any more
                break
            if not data:
                break
            seen += data
            for words in [words for words in waiting if words.encode() in seen]:
                os.write(main, waiting.pop(words).encode())
            for words in [words for words in calls if words.encode() in seen]:
                calls.pop(words)()
        else:
            process.kill()
            raise AssertionError(f"nothing came for {WAIT} seconds after {seen.decode(errors='replace')!r}")
        return Shown(seen.decode(errors="replace").replace("\r\n", "\n"), process.wait(WAIT))
    finally:
        process.kill()
        process.wait()
        os.close(main)


def without_terminal(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command `swarmlet` with pipes."""
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        env=environment(**variables),
        timeout=WAIT,
    )
