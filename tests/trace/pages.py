"""Runs for pages: hostile ones, large ones, and the browser that looks at them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swarmlet.trace import CallEnded, CallStarted, Noted, RunEnded, RunId, RunStarted, StepEnded, StepStarted, ToolEnded, Trace
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.events import Answered, Asked, Decided, Event, Fault, State, StepRetried, ToolStarted
from swarmlet.trace.record import Recorder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

BIDI = "\u202egnp.exe\u202c \u2066isolated\u2069"
CORPUS: dict[str, str] = {
    "script": "<script>alert('script')</script>",
    "end": "</script><script>alert('end')</script><!-- <script>",
    "comment": "<!--<script>alert('comment')//-->]]>",
    "image": "<img src=x onerror=alert('image')>",
    "svg": "<svg onload=alert('svg')><animate onbegin=alert(1) attributeName=x></svg>",
    "link": "javascript:alert('link')",
    "attribute": "\" onmouseover=alert('attribute') autofocus onfocus=alert(1) x='",
    "style": "</style><style>*{display:none}</style>@import 'http://198.51.100.1/x.css';",
    "remote": "<link rel=stylesheet href=http://198.51.100.1/a.css><iframe src=//198.51.100.1></iframe>",
    "base": "<base href=http://198.51.100.1/><form action=http://198.51.100.1><button>go</button></form>",
    "template": "${alert('template')} {{constructor.constructor('alert(1)')()}} @@data@@ @@script@@",
    "bidi": BIDI,
    "nul": "before\x00after\x1b[31mred\x07",
    "surrogate": "half \ud83d pair \ude00 end",
    "separators": "one\u2028two\u2029three\x85four",
    "invisible": "a\u200bb\u2060c\ufeffd\u00ade\U000e0041f",
    "right": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308",
    "long": "x" * 1_000_000,
    "lines": "\n".join(f"line {number}" for number in range(100_000)),
    "nested": "[" * 900 + "]" * 900,
    "proto": '{"__proto__": {"polluted": 1}, "constructor": 1}',
}
"""What models, users and exceptions may say."""


def hostile_trace() -> Trace:
    """A run in which every text that can be recorded is hostile: names, paths, prompts, replies, tools, notes, errors."""
    recorder = Recorder(RunId("hostile"))
    keep, emit = recorder.keep, recorder.emit
    at = 1_700_000_000.0
    name = CORPUS["end"]
    emit(
        RunStarted(at=at, run=recorder.run, name=name, node=f"app:{name}", version=name, inputs={name: keep(name, to_any_json)})
    )
    for number, (kind, text) in enumerate(CORPUS.items()):
        at += 1
        path = f"{name}/{kind} {text[:80]}"
        value = keep(text, to_any_json)
        message = keep({"role": "user", "content": text, text[:40]: text[:40]}, to_any_json)
        fault = Fault(type=text[:40], message=text)
        emit(StepStarted(at=at, path=path, node=f"app:{text[:40]}", inputs={text[:40]: value}))
        emit(StepRetried(at=at + 0.01, path=path, attempt=1, error=fault, wait=0.01))
        emit(CallStarted(at=at + 0.1, path=path, turn=1, attempt=1, model=text[:40], request=value, messages=(message,)))
        emit(
            CallEnded(
                at=at + 0.4,
                path=path,
                turn=1,
                attempt=1,
                state="finished",
                model=text[:40],
                input_tokens=10,
                output_tokens=1,
                usd="0.001",
                reply=keep({"text": text}, to_any_json),
                finish_reason=text[:40],
                request_id=text[:40],
            )
        )
        emit(ToolStarted(at=at + 0.4, path=path, turn=1, id="t", tool=text[:40], arguments=value))
        emit(ToolEnded(at=at + 0.5, path=path, turn=1, id="t", tool=text[:40], state="failed", result=value, error=fault))
        emit(Noted(at=at + 0.5, path=path, message=text))
        emit(Decided(at=at + 0.5, path=path, by="race", chosen=text[:80], reason=text))
        emit(Asked(at=at + 0.5, path=path, about="answer", question=value, tool=text[:40], arguments=value))
        emit(Answered(at=at + 0.6, path=path, answer=value, by=text[:40]))
        state: State = "failed" if number % 2 else "finished"
        emit(StepEnded(at=at + 0.7, path=path, state=state, output=value, error=fault if number % 2 else None))
    emit(RunEnded(at=at + 1, state="failed", error=Fault(type=name, message=CORPUS["svg"])))
    return Trace(recorder.events, recorder.values)


def large_trace(steps: int) -> Trace:
    """A map over so many items, a hundred at a time, each a small graph; one in a thousand fails."""
    recorder = Recorder(RunId("large"))
    at = 1_700_000_000.0
    events: list[Event] = [RunStarted(at=at, run=recorder.run, name="big", node="app:big", version="0")]
    output = recorder.keep("done", to_any_json)
    for number in range(steps // 2):
        for name in ("fetch", "read"):
            path, begin = f"big/item[{number}]/{name}", at + number // 100 * 0.01 + (0.005 if name == "read" else 0.0)
            events.append(StepStarted(at=begin, path=path, node=f"app:{name}", waited=0.0001))
            failed = number % 1000 == 999 and name == "read"
            state: State = "failed" if failed else "finished"
            fault = Fault(type="ValueError", message="no") if failed else None
            events.append(StepEnded(at=begin + 0.004, path=path, state=state, output=None if failed else output, error=fault))
    events.append(RunEnded(at=events[-1].at + 1, state="finished", output=output))
    return Trace(events, recorder.values)


# The browser


@dataclass
class Watched:
    """A page, and everything on it that must not happen."""

    page: Page
    problems: list[str] = field(default_factory=list[str])
    requests: list[str] = field(default_factory=list[str])

    def elements(self) -> int:
        """How many there are."""
        return int(self.page.evaluate("document.getElementsByTagName('*').length"))


def chromium() -> str:
    """Where the browser is. Skips the test where there is none."""
    pytest.importorskip("playwright.sync_api")
    found = os.environ.get("SWARMLET_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    return found or pytest.skip("needs Chromium, in the path or named by SWARMLET_TEST_CHROMIUM")


@contextmanager
def browser() -> Generator[Browser]:
    """A browser of its own."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=[*flags, "--disable-sync", "--no-first-run"])
        try:
            yield opened
        finally:
            opened.close()


VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error("violation", event.violatedDirective, event.blockedURI);
});
"""


@contextmanager
def watched(opened: Browser, width: int = 1280, height: int = 800, *, dark: bool = False) -> Generator[Watched]:
    """A page on which nothing may run or be loaded that is not ours: what goes wrong is collected."""
    page = opened.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    page.set_default_timeout(10_000)
    found = Watched(page)

    def tell(what: str, text: str) -> None:
        found.problems.append(f"{what}: {text[:300]}")

    def dismiss(dialog: Dialog) -> None:
        tell("dialog", dialog.message)
        dialog.dismiss()

    page.add_init_script(VIOLATIONS)
    page.on("console", lambda message: tell("console", message.text))
    page.on("pageerror", lambda error: tell("error", str(error)))
    page.on("dialog", dismiss)
    page.on("popup", lambda popup: tell("popup", popup.url))
    page.on("request", lambda request: found.requests.append(request.url))
    try:
        yield found
    finally:
        page.close()


def opened_file(found: Watched, folder: Path, text: str) -> None:
    """Open a page from disk."""
    file = folder / "report.html"
    file.write_text(text, "utf-8")
    found.page.goto(file.as_uri())
    found.page.locator("#rows").wait_for()
