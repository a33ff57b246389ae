"""Which sandbox this machine has."""

from __future__ import annotations

import threading

from swarmlet.bridges.sandbox.bubblewrap import Bubblewrap
from swarmlet.bridges.sandbox.monty import Monty
from swarmlet.bridges.sandbox.words import Sandbox, SandboxLimits, SandboxMissing

_deciding = threading.Lock()
_decided: list[Sandbox] = []


def find_sandbox(limits: SandboxLimits | None = None, at_once: int | None = None) -> Sandbox:
    """The sandbox with all of Python if it works on this machine, else the one for a part of it.

    It tries bubblewrap with a small program, for about 0.2 seconds the first time: call it off the event loop. Raises
    `SandboxMissing`, with what to install for either, where there is none: no program is ever run without a sandbox.
    """
    reasons: list[str] = []
    for backend in (Bubblewrap, Monty):
        sandbox = backend(limits, at_once)
        try:
            sandbox.check()
        except SandboxMissing as missing:
            reasons.append(str(missing))
        else:
            return sandbox
    raise SandboxMissing("no sandbox for Python code works here. " + " Or: ".join(reasons))


def found_sandbox() -> Sandbox:
    """`find_sandbox()` with the default limits, decided once for this process; a failure is looked at again."""
    with _deciding:
        if not _decided:
            _decided.append(find_sandbox())
        return _decided[0]
