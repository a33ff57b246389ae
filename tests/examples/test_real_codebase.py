"""A question over a small tree with a real model: what it cites stands where it says."""

from __future__ import annotations

from pathlib import Path

from examples._show import model
from examples.codebase.ask import ask
from swarmlet import Budget, Swarm
from tests.examples.real import REAL_MODEL

pytestmark = REAL_MODEL
FILES = {
    "shop.py": "VAT = 0.19\n\n\ndef total(prices: list[float]) -> float:\n    return sum(prices) * (1 + VAT)\n",
    "mail.py": "def greeting(name: str) -> str:\n    return f'Dear {name},'\n",
}


async def test_a_question_over_two_files(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\0")
    bounded = ask.with_options(budget=Budget(requests=8, usd="0.05"))
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(bounded, "How is the total of the prices made?", str(tmp_path))
    answer = result.output
    assert (answer.files, set(answer.skipped), answer.unread) == (2, {"logo.png"}, [])
    assert answer.text
    for finding in answer.cited:
        there = "".join(FILES[finding.path].splitlines()[finding.first - 1 : finding.last])
        assert len(there.split()) > 0
        assert finding.place in answer.text
    assert ("No place in the source backs this" in answer.text) == (not answer.cited)
    assert 2 <= result.usage.requests <= 8
    assert result.usage.input_tokens > 0
