"""The lock of the one process that writes a journal's file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import sleep
from typing import Final, final

from swarmlet.errors import JournalError

_LOOKS: Final = 10
_LOOK_SECONDS: Final = 0.01
"""A reader that looks whether anybody writes has the lock for an instant, so a writer tries this often."""


@final
class WriterLock:
    """Held by the one process that writes a journal; the operating system lets go of it when that process dies.

    SQLite would allow several writers, but before 3.51.3 two connections that both checkpoint can lose data. The lock is a
    file of its own, because opening and closing the journal itself would drop SQLite's own locks. Where there is no `flock`
    (Windows) nothing is locked: there it is the user's part to give each process a journal of its own.
    """

    def __init__(self, journal: Path) -> None:
        self._file = os.open(_beside(journal), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock(journal)
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self, journal: Path) -> None:
        if sys.platform != "win32":
            import fcntl

            for look in range(_LOOKS):
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if look == _LOOKS - 1:
                        raise self._refusal(journal) from None
                    sleep(_LOOK_SECONDS)
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def _refusal(self, journal: Path) -> JournalError:
        holder = os.read(self._file, 20).decode(errors="replace").strip() or "unknown"
        return JournalError(
            f"the journal {str(journal)!r} is being written by another process (pid {holder}): "
            "give each process a journal of its own"
        )

    def release(self) -> None:
        """Let another process write. The lock's file stays: removing it would be a race."""
        os.close(self._file)


def is_written(journal: Path) -> bool:
    """Whether a process has the journal open for writing; also where that cannot be found out."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        file = os.open(_beside(journal), os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _beside(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}-lock")
