"""One contender, one workload, in the peer's environment: `python -m tests.bench.peers.child MODULE CONTENDER CASE ROUNDS`.

`CASE` is a title of `harness.CASES`, or `memory`. Prints one line of JSON: the figure, or nothing if there is none.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys

from tests.bench.peers.harness import CASE, measure, memory


async def figure(module: str, name: str, case: str, rounds: int) -> float | None:
    """What was asked for."""
    contender = importlib.import_module(f"tests.bench.peers.{module}").CONTENDERS[name]()
    return await (memory(contender) if case == "memory" else measure(contender, CASE[case], rounds))


def main() -> None:
    """Measure and print."""
    module, name, case, rounds = sys.argv[1:]
    print(json.dumps(asyncio.run(figure(module, name, case, int(rounds)))), flush=True)


if __name__ == "__main__":
    main()
