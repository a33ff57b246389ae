"""Works on a task from the command line: shows what it is doing, then the code, its tests, the verdict and the trace."""

from __future__ import annotations

import argparse
import os

import anyio

from examples._show import model, print_trace, reason, told
from examples.coding.flow import bounded
from examples.coding.shapes import Task
from examples.coding.trial import BOX
from swarmlet import RunError, Swarm, SwarmletError
from swarmlet.trace import visible

ROMAN = "Write roman(numeral: str) -> int, which turns a Roman numeral into a number: roman('XIV') == 14, roman('MCM') == 1900."


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.coding", description=__doc__)
    parser.add_argument(
        "task", nargs="?", default=ROMAN, help="what to write; say the name of the function (default: Roman numerals)"
    )
    parser.add_argument("--journal", default=os.environ.get("SWARMLET_JOURNAL"), metavar="PATH", help="keep the run here")
    given = parser.parse_args()
    if not given.task.strip():
        parser.error("say what to write")
    return given


async def main(given: argparse.Namespace) -> None:
    try:
        BOX.check()
        async with Swarm(model=model(), journal=given.journal) as swarm:
            result = await swarm.run(bounded, Task(given.task), progress=True)
    except SwarmletError as error:
        if isinstance(error, RunError) and error.run is not None:
            print_trace(error.run.trace)
        raise SystemExit(f"\nNo code: {visible(reason(error))}") from error
    solution = result.output
    print(visible("\n".join([solution.code.source, "", *solution.tests.asserts, ""])))
    print(solution.verdict)
    if not solution.report.clean:
        print(visible(solution.report.log))
    print_trace(result.trace)
    print(f"{result.usage.usd} USD at the price of {model()}")


if __name__ == "__main__":
    with told():
        anyio.run(main, arguments())
