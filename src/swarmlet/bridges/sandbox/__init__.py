"""Running Python code that nobody has read: what a model wrote, in a box of its own.

    ran = await find_sandbox().run("print(6 * 7)")
    ran.ok, ran.stdout, ran.reason

`run_python` is the same as a node, and as a tool for an agent. There are two boxes: `Bubblewrap` has all of CPython's
standard library and needs Linux, `Monty` is an interpreter for a part of Python and runs in more places. There is no third:
where neither works, `find_sandbox` raises `SandboxMissing` and says what to install; code is never run as a bare process.

Floor plan: `words` has the limits, the outcome and what a sandbox is; `given` refuses what is no program, `places` bounds how
many run at once, `told` says in a sentence how one ended. `bubblewrap` is the one backend: `machine` finds its tools,
`command` and `seccomp` say what the box is, `boxed` runs a program in it, with `ends` for its pipes and processes and `watch`
for what it uses. `monty` is the other, with `interpreted` for one program in it. `finding` chooses between them, and `nodes`
has the node.
"""

from swarmlet.bridges.sandbox.bubblewrap import Bubblewrap as Bubblewrap
from swarmlet.bridges.sandbox.finding import find_sandbox as find_sandbox
from swarmlet.bridges.sandbox.monty import Monty as Monty
from swarmlet.bridges.sandbox.nodes import python_in as python_in
from swarmlet.bridges.sandbox.nodes import run_python as run_python
from swarmlet.bridges.sandbox.words import Outcome as Outcome
from swarmlet.bridges.sandbox.words import Ran as Ran
from swarmlet.bridges.sandbox.words import Sandbox as Sandbox
from swarmlet.bridges.sandbox.words import SandboxFailed as SandboxFailed
from swarmlet.bridges.sandbox.words import SandboxLimits as SandboxLimits
from swarmlet.bridges.sandbox.words import SandboxMissing as SandboxMissing

__all__ = [
    "Bubblewrap",
    "Monty",
    "Outcome",
    "Ran",
    "Sandbox",
    "SandboxFailed",
    "SandboxLimits",
    "SandboxMissing",
    "find_sandbox",
    "python_in",
    "run_python",
]
