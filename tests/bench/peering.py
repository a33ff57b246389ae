"""Other frameworks on the same workloads, each in a virtual environment of its own, made with pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peers.harness import BIG, CASES
from tests.bench.report import Cell, Table

SECONDS = 60.0
"""So long may a workload take, with building and repetitions."""
INSTALL_SECONDS = 900.0
ROUNDS = 3
ROOT = Path(__file__).parents[2]
_LIST = (
    "import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"  # what is really there
)


@dataclass(frozen=True)
class Peer:
    """What to install, and the module in `peers` that has its contenders."""

    requirements: tuple[str, ...]
    module: str
    contenders: tuple[str, ...]

    @property
    def distributions(self) -> list[str]:
        return [one.split("[")[0] for one in self.requirements]


PEERS = {
    "burr": Peer(("apache-burr[tracking]",), "with_burr", ("Burr",)),
    "pydantic-graph": Peer(("pydantic-graph",), "with_pydantic_graph", ("pydantic-graph",)),
    "autogen-core": Peer(("autogen-core",), "with_autogen_core", ("AutoGen core",)),
    "agent-framework": Peer(("agent-framework-core",), "with_agent_framework", ("MS Agent Framework",)),
    "langgraph": Peer(
        ("langgraph", "langgraph-checkpoint-sqlite"),
        "with_langgraph",
        ("LangGraph", "LangGraph, checkpoints in memory", "LangGraph, checkpoints on SQLite"),
    ),
    "haystack": Peer(("haystack-ai",), "with_haystack", ("Haystack",)),
    "llama-index-workflows": Peer(("llama-index-workflows",), "with_llama_index", ("LlamaIndex Workflows",)),
    "openai-agents": Peer(("openai-agents",), "with_openai_agents", ("OpenAI Agents (a fake model a step)",)),
    "pydantic-ai": Peer(("pydantic-ai-slim",), "with_pydantic_ai", ("pydantic-ai (a fake model a step)",)),
}


def section(folder: Path, names: Sequence[str]) -> Table:
    """The peers' rows of the first table. One process at a time, so that they do not disturb each other."""
    heads = [case.title + (", wall / ideal" if case.ideal else "") for case in CASES]
    table = Table("Peers: a step, in raw anyio tasks of the same process", ["", *heads, f"MiB for {BIG.title}"])
    for name in names:
        peer = PEERS[name]
        python = installed(folder / name, peer)
        if isinstance(python, str):
            table.rows.append([name, *[python] * (len(CASES) + 1)])
            continue
        table.notes.append(f"{name}: {_said([str(python), '-c', _LIST, *peer.distributions])}.")
        for contender in peer.contenders:
            table.rows.append(row(python, peer, contender))
            print(Table("", table.head, [table.rows[-1]]).markdown().splitlines()[-1], file=sys.stderr, flush=True)
    table.notes.append(f"`-`: it has no such thing. Each workload has {SECONDS:.0f} s, with building and repetitions.")
    return table


def installed(folder: Path, peer: Peer) -> Path | str:
    """The Python of an environment that has the peer; made if need be. A text if it cannot be made."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    try:
        if not python.exists():
            venv.create(folder, with_pip=True)
        if not _works([str(python), "-c", _LIST, "anyio", *peer.distributions]):
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "anyio", *peer.requirements]
            subprocess.run(pip, check=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{folder.name}: {error}", file=sys.stderr)
        return "not installed"
    return python


def row(python: Path, peer: Peer, contender: str) -> list[Cell]:
    """A contender's figures; a text where there is none."""
    return [contender, *(child(python, peer, contender, case) for case in (*(one.title for one in CASES), "memory"))]


def child(python: Path, peer: Peer, contender: str, case: str) -> Cell:
    """One figure, from a process of its own."""
    command = [str(python), "-m", "tests.bench.peers.child", peer.module, contender, case, str(ROUNDS)]
    begin = time.perf_counter()
    try:
        found: float | None = json.loads(_said(command, SECONDS).splitlines()[-1])
    except subprocess.TimeoutExpired:
        return f"> {SECONDS:.0f} s"
    except (subprocess.CalledProcessError, IndexError, json.JSONDecodeError) as error:
        told = getattr(error, "stderr", None) or str(error)
        print(f"{contender}, {case}, after {time.perf_counter() - begin:.0f} s: {told[-500:]}", file=sys.stderr)
        return "failed"
    return found


def _said(command: Sequence[str], seconds: float | None = None) -> str:
    """What a process prints. In the repository's folder, as the peers have no swarmlet and import what is here."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds, cwd=ROOT)
    return done.stdout.strip()


def _works(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
