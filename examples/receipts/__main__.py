"""Receipts from the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date
from decimal import Decimal
from pathlib import Path

import anyio

from examples._show import dollars, model, print_trace, reason, told
from examples.receipts.flow import receipts
from examples.receipts.shapes import Scan
from examples.receipts.table import row
from swarmlet import Budget, Image, Swarm

DATA = Path(__file__).parent / "data"
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp"}


def load(path: Path) -> Scan:
    try:
        content = Image.read(path) if path.suffix.lower() in PICTURES else path.read_text(encoding="utf-8")
        return Scan(name=path.name, received=date.today(), content=content)  # noqa: DTZ011  # the day where the reader is
    except ValueError as error:  # not UTF-8, no picture, too long
        raise ValueError(f"{path}: {reason(error)}") from error


async def read_all(paths: list[Path], usd: Decimal) -> None:
    scans = [load(path) for path in paths]
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(receipts.with_options(budget=Budget(usd=usd)), scans, progress=True)
    print(f"{'file':<17}{'shop':<25}{'day':<12}{'total':>11}  {'verdict':<14}{'calls':>5}{'USD':>10}  doubted")
    for index, (scan, verdict) in enumerate(zip(scans, result.output, strict=True)):
        spent = result.trace.step(f"receipt[{index}]").usage
        print(row(scan, verdict, spent))
    print_trace(result.trace)


def main(arguments: list[str] | None = None) -> None:
    parser = ArgumentParser(prog="python -m examples.receipts", description="Read receipts.")
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="texts or pictures (default: the examples)")
    parser.add_argument("--usd", type=dollars, default="0.05", help="what all of it may cost (default 0.05)")
    options = parser.parse_args(arguments)
    anyio.run(read_all, options.files or sorted(DATA.iterdir()), options.usd)


if __name__ == "__main__":
    with told():
        main()
