"""Makes the pictures of this folder: runs a graph against the scripted server, writes its report, and shoots it in Chromium.

    python docs/pictures/make.py

Needs the extra `dev`, and Chromium: in the path, or named by SWARMLET_TEST_CHROMIUM.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import anyio
from playwright.sync_api import Browser, Page, sync_playwright
from pydantic import BaseModel

from swarmlet import Again, Done, OpenAIModel, Swarm, agent, each, graph, loop, node, race
from swarmlet.testing import CallTools, RateLimit, Request, Say, ScriptedServer, Slow, Tokens, call
from swarmlet.trace import Trace
from swarmlet.trace.page import page

HERE = Path(__file__).parent


class Outline(BaseModel):
    """What a brief is made of."""

    questions: list[str]


class Finding(BaseModel):
    """One answer."""

    text: str


class Brief(BaseModel):
    """What the reader gets."""

    title: str
    text: str


class Verdict(BaseModel):
    """What a reviewer says."""

    good: bool
    remarks: str


class Draft(BaseModel):
    """What goes round until the reviewer likes it."""

    brief: Brief
    remarks: str = ""


def search(query: str) -> str:
    """Search the archive.

    Args:
        query: what to look for
    """
    return f"3 hits for {query}: a survey of 2024, two reports of city councils."


@agent(Outline, temperature=0)
def plan(topic: str) -> str:
    """You split a topic into questions that can be answered from the archive."""
    return topic


@agent(Finding, tools=[search])
def research(question: str) -> str:
    """You answer one question from the archive, with your source."""
    return question


@agent(Brief)
def write(topic: str, findings: list[Finding]) -> str:
    """You write a brief of one page for a reader who has five minutes."""
    return "\n".join([topic, *(f"- {finding.text}" for finding in findings)])


@agent(Verdict)
def review(draft: Draft) -> str:
    """You are a strict editor."""
    return f"{draft.brief.title}\n\n{draft.brief.text}"


@agent(Brief)
def improve(draft: Draft) -> str:
    """You rewrite a brief so that the editor likes it."""
    return f"{draft.brief.text}\n\nThe editor says: {draft.remarks}"


@node
def decide(draft: Draft, verdict: Verdict, better: Brief) -> Again[Draft] | Done[Brief]:
    """Go round again until the editor is content."""
    return Done(better) if verdict.good else Again(Draft(brief=better, remarks=verdict.remarks))


@node
def first(brief: Brief) -> Draft:
    """What the loop begins with."""
    return Draft(brief=brief)


@graph
def polish(draft: Draft) -> Again[Draft] | Done[Brief]:
    """One round of review."""
    return decide(draft, review(draft), improve(draft))


@agent(Brief, name="summarise_short")
def short(brief: Brief) -> str:
    """You say it in three sentences."""
    return brief.text


@agent(Brief, name="summarise_plain")
def plain(brief: Brief) -> str:
    """You say it in plain words."""
    return brief.text


@graph
def briefing(topic: str) -> Brief:
    """A brief on a topic."""
    findings = each(research, concurrency=2)(plan(topic).questions)
    polished = loop(polish, rounds=3)(first(write(topic, findings)))
    return race(short, plain)(polished)


QUESTIONS = [f"What did cities learn about {what}?" for what in ("costs", "ridership", "charging", "winters", "noise")]
TEXT = "Electric buses cost more to buy and less to run. " * 12


class Town:
    """The models' answers: how long each takes, and what it says."""

    def __init__(self) -> None:
        self.limited = False
        self.rounds = 0

    def __call__(self, request: Request) -> object:
        """Answer by the instructions of the agent that asks."""
        said = request.system
        brief = Brief(title="Electric buses", text=TEXT)
        if "split a topic" in said:
            return Slow(Say(Outline(questions=QUESTIONS), usage=Tokens(input=420, output=96)), 0.6)
        if "one question" in said:
            return self._research(request)
        if "one page" in said:
            return Slow(Say(brief, usage=Tokens(input=2_310, output=1_480)), 2.4)
        if "strict editor" in said:
            self.rounds += 1
            return Slow(Say(Verdict(good=self.rounds > 1, remarks="Too long."), usage=Tokens(input=1_690, output=60)), 0.5)
        if "rewrite" in said:
            return Slow(Say(brief, usage=Tokens(input=1_750, output=1_320)), 1.3)
        return Slow(Say(brief, usage=Tokens(input=1_530, output=140)), 0.7 if "three" in said else 1.6)

    def _research(self, request: Request) -> object:
        if not request.tool_results:
            return Slow(CallTools([call("search", query=request.last[:40])], usage=Tokens(input=610, output=40)), 0.4)
        if not self.limited:
            self.limited = True
            return RateLimit(retry_after_ms=900)
        return Slow(
            Say(Finding(text="They cost more to buy, less to run."), usage=Tokens(input=1_180, output=210, cached=512)), 0.5
        )


async def example(journal: Path) -> Trace:
    """The run that the pictures show."""
    with ScriptedServer() as server:
        server.answer(Town())
        model = OpenAIModel("gpt-4o-mini", base_url=server.base_url, api_key=server.api_key)
        async with Swarm(model=model, journal=journal) as swarm:
            await swarm.run(short, Brief(title="", text="What is imported at the first call is not to be in the picture."))
            return (await swarm.run(briefing, "Electric buses in mid-size cities")).trace


def chromium() -> str:
    """Where the browser is."""
    found = os.environ.get("SWARMLET_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    return found or sys.exit("there is no chromium: name it by SWARMLET_TEST_CHROMIUM")


def shoot(browser: Browser, file: Path) -> None:
    """All pictures of a report."""
    for name, dark, wide, high in (
        ("report-light", False, 1280, 1000),
        ("report-dark", True, 1280, 1000),
        ("phone", False, 375, 780),
    ):
        at = browser.new_page(viewport={"width": wide, "height": high}, color_scheme="dark" if dark else "light")
        at.goto(file.as_uri())
        at.screenshot(path=HERE / f"{name}.png")
        at.close()
    at = browser.new_page(viewport={"width": 1440, "height": 860})
    at.goto(file.as_uri())
    _timeline(at)
    at.close()


def _timeline(at: Page) -> None:
    """The timeline beside all of one step."""
    at.locator(".row .name", has_text="[0]").first.click()
    at.locator("#panel section").first.wait_for()
    at.locator("#time").evaluate("element => element.scrollIntoView({ behavior: 'instant' })")
    at.screenshot(path=HERE / "timeline.png")


def main() -> None:
    """Make them."""
    with tempfile.TemporaryDirectory() as folder:
        trace = anyio.run(example, Path(folder) / "journal.sqlite")
        file = Path(folder) / "report.html"
        file.write_text(page(trace), "utf-8")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=["--disable-quic", "--disable-sync"])
            shoot(browser, file)
            browser.close()


if __name__ == "__main__":
    main()
