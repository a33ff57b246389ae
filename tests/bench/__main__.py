"""The benchmark suite: `python -m tests.bench`, from the root of the repository, in an environment with the extra `dev`.

    python -m tests.bench                         # everything of this process, in less than three minutes
    python -m tests.bench --only orchestration    # one section (may be given several times)
    python -m tests.bench --peers DIR             # peers too: each in a virtual environment of its own under DIR
    python -m tests.bench --peers DIR --peer burr # only this peer (may be given several times)
    python -m tests.bench --backend trio
    python -m tests.bench --json FILE             # all figures, for machines
    python -m tests.bench --docs FILE             # put the tables into a page, between its marks
    python -m tests.bench --list                  # the sections, the peers, and the scripts that have commands of their own

Each figure is a ratio of medians within this run. The unit is the CPU time of one raw anyio task: started in a task group, it
does nothing. Contenders take turns, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio

from swarmlet import Swarm
from tests.bench import goals, peering
from tests.bench.measure import Bench
from tests.bench.ours import Ours
from tests.bench.report import Table, described, replace_between_marks, surroundings, write_json
from tests.bench.sections import blocks, building, early, memory, orchestration, record, values, waiting

SECTIONS: dict[str, Callable[[Bench], Awaitable[list[Table]]]] = {
    "orchestration": orchestration.section,
    "waiting": waiting.section,
    "early": early.section,
    "record": record.section,
    "values": values.section,
    "blocks": blocks.section,
    "memory": memory.section,
    "building": building.section,
}
OTHERS = {
    "budget_ledger": "what budgets cost",
    "budgets": "whether budgets hold, and how full they get",
    "calls": "one model call",
    "guard": "counts what a step executes: the regression guard of the tests",
    "import_time": "how long imports take",
    "journal": "the journal under load",
    "kills": "processes that are killed",
    "limiter": "whether rate limits are kept",
    "token_estimate": "how far estimates of tokens are off",
    "workers": "runs on workers",
}


def main() -> None:
    """Measure what is asked for, and print it."""
    given = arguments()
    if given.list:
        print("\n".join(listed()))
        return
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # of the processes that are started here: it slows imports
    facts = surroundings(given.backend)
    print("\n".join(f"{name}: {value}" for name, value in facts.items()), end="\n\n", flush=True)
    begin = time.perf_counter()
    tables, figures = anyio.run(measured, given, backend=given.backend)
    print(f"({time.perf_counter() - begin:.0f} s)")
    if given.docs:
        replace_between_marks(given.docs, described(facts, tables))
    if given.json:
        write_json(given.json, facts, tables, figures)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="this section")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="measure peers too, in environments under DIR")
    parser.add_argument("--peer", action="append", choices=list(peering.PEERS), help="only this peer")
    parser.add_argument("--backend", default="asyncio", choices=["asyncio", "trio"])
    parser.add_argument("--rounds", type=int, default=5, help="how often each figure is taken")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="put the tables between the marks in this page")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    if given.peer and not given.peers:
        parser.error("--peer needs --peers DIR")
    return given


def listed() -> Sequence[str]:
    here = Path(__file__).parent
    scripts = [name for name in OTHERS if (here / f"{name}.py").exists()]
    return [
        f"sections: {', '.join(SECTIONS)}",
        f"peers: {', '.join(peering.PEERS)}",
        *(f"python -m tests.bench.{name}: {OTHERS[name]}" for name in scripts),
    ]


async def measured(given: argparse.Namespace) -> tuple[list[Table], dict[str, float]]:
    """All tables, each printed when it is there, and what the goals are compared with."""
    tables: list[Table] = []
    async with Swarm() as swarm:
        bench = Bench(given.backend, given.rounds, swarm, Ours(swarm))
        chosen: list[str] = given.only or ([] if given.peer else list(SECTIONS))
        for name in chosen:
            begin, used = time.perf_counter(), time.process_time()
            for table in await SECTIONS[name](bench):
                tables.append(table)
                print(table.markdown(), flush=True)
            wall, cpu = time.perf_counter() - begin, time.process_time() - used
            print(f"{name}: {wall:.0f} s, of which CPU of this process {cpu:.0f} s", file=sys.stderr)
        if given.peers:
            tables.append(peering.section(given.peers, given.peer or list(peering.PEERS)))
            print(tables[-1].markdown(), flush=True)
        compared = goals.table(bench.figures)
        if compared.rows:
            tables.append(compared)
            print(compared.markdown())
        return tables, bench.figures


if __name__ == "__main__":
    main()
