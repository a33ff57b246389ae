"""The page in a real browser: nothing that was recorded runs, large runs stay small in it, and all can use it."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swarmlet.trace.page import page
from tests.trace.example import trace_of
from tests.trace.pages import CORPUS, browser, hostile_trace, large_trace, opened_file, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FORBIDDEN = (
    "img, iframe, object, embed, base, form, link[rel=stylesheet], [onload], [onerror], [onmouseover], [href^=javascript]"
)


@pytest.fixture(scope="module")
def chrome() -> Generator[Browser]:
    with browser() as opened:
        yield opened


def test_hostile_records_run_nothing_and_load_nothing(chrome: Browser, tmp_path: Path) -> None:
    with watched(chrome) as seen:
        opened_file(seen, tmp_path, page(hostile_trace(), full=True))
        seen.page.get_by_role("button", name="Open all").click()
        rows = seen.page.locator("#rows")
        told = 0
        for _ in range(int(rows.get_attribute("aria-rowcount") or 0) - 1):
            rows.press("ArrowDown")
            rows.press("Enter")
            seen.page.locator("#panel .facts").wait_for()
            told += seen.page.locator("#panel .work").count()
        assert told == 2 * len(CORPUS)
        assert seen.page.locator("script").count() == 2
        assert seen.page.locator("style").count() == 1
        assert seen.page.locator(FORBIDDEN).count() == 0
        assert seen.page.evaluate("({}).polluted") is None
        assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == []
        assert seen.problems == []


def test_hidden_characters_are_shown_and_turn_nothing_around_them(chrome: Browser, tmp_path: Path) -> None:
    with watched(chrome) as seen:
        opened_file(seen, tmp_path, page(hostile_trace()))
        seen.page.get_by_role("searchbox").fill("gnp.exe")
        seen.page.keyboard.press("Enter")
        seen.page.keyboard.press("Enter")
        output = seen.page.get_by_role("group", name="Output", exact=True)
        assert output.inner_text().startswith("U+202Egnp.exeU+202C")
        assert "\u202e" not in seen.page.locator("body").inner_text()
        assert output.evaluate("element => getComputedStyle(element).unicodeBidi") == "isolate"


def test_a_giant_text_is_folded_and_can_be_unfolded(chrome: Browser, tmp_path: Path) -> None:
    with watched(chrome) as seen:
        opened_file(seen, tmp_path, page(hostile_trace(), full=True))
        seen.page.get_by_role("searchbox").fill("long xxx")
        seen.page.keyboard.press("Enter")
        seen.page.keyboard.press("Enter")
        output = seen.page.get_by_role("group", name="Output", exact=True)
        assert len(output.inner_text()) == 20_000
        seen.page.get_by_role("button", name="Show more (980,000 characters)").first.click()
        assert seen.page.evaluate("[...document.querySelectorAll('#panel pre')].some(pre => pre.textContent.length === 220000)")
        assert not seen.page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_of_ten_thousand_steps_only_those_in_sight_are_in_the_page(chrome: Browser, tmp_path: Path) -> None:
    with watched(chrome) as seen:
        opened_file(seen, tmp_path, page(large_trace(10_000)))
        assert seen.elements() < 1_500
        seen.page.get_by_role("button", name="Open all").click()
        assert seen.page.locator("#rows").get_attribute("aria-rowcount") == str(10_000 + 5_000 + 2)
        assert seen.page.locator(".space .row").count() < 60
        assert seen.elements() < 2_500
        seen.page.locator("#rows").focus()
        seen.page.keyboard.press("End")
        assert "read" in seen.page.locator(".row.selected").inner_text()
        seen.page.get_by_role("searchbox").fill("failed")
        seen.page.get_by_text("5 steps", exact=True).wait_for()
        assert seen.page.locator(".row .badge.bad").count() == 5
        assert seen.problems == []


def test_a_run_of_more_steps_than_have_their_details_opens(chrome: Browser, tmp_path: Path) -> None:
    with watched(chrome) as seen:
        opened_file(seen, tmp_path, page(large_trace(30_000)))
        assert "20,000 steps have their details here" in seen.page.locator(".notice").inner_text()
        seen.page.get_by_role("button", name="Open all").click()
        assert seen.elements() < 2_500
        assert seen.problems == []


def test_the_keyboard_reaches_everything(chrome: Browser, tmp_path: Path) -> None:
    with watched(chrome) as seen:
        opened_file(seen, tmp_path, page(trace_of("0001-solve")))
        keys, rows, panel = seen.page.keyboard, seen.page.locator("#rows"), seen.page.locator("#panel")
        keys.press("?")
        assert seen.page.get_by_role("dialog", name="Keys").is_visible()
        keys.press("Escape")
        keys.press("/")
        keys.type("write")
        keys.press("Enter")
        assert rows.evaluate("element => element === document.activeElement")
        keys.press("Enter")
        assert panel.get_by_role("heading", name="solve/write").is_visible()
        assert "RateLimited tried again after 500 ms" in panel.inner_text()
        assert "return a + b" in panel.inner_text()
        panel.get_by_role("button", name="Close").press("Enter")
        assert not panel.is_visible()
        keys.press("Enter")
        keys.press("Escape")
        assert not panel.is_visible()
        keys.press("Home")
        keys.press("ArrowLeft")
        assert seen.page.locator(".row.selected").get_attribute("aria-expanded") in ("false", "true")
        keys.press("c")
        assert panel.is_visible()
        assert seen.problems == []


def test_a_phone_needs_no_sideways_scrolling(chrome: Browser, tmp_path: Path) -> None:
    with watched(chrome, 375, 720) as seen:
        opened_file(seen, tmp_path, page(hostile_trace()))
        assert seen.page.evaluate("document.documentElement.scrollWidth") == 375
        seen.page.locator("#rows").focus()
        seen.page.keyboard.press("End")
        seen.page.keyboard.press("Enter")
        seen.page.locator("#panel section").first.wait_for()
        assert seen.page.evaluate("document.documentElement.scrollWidth") == 375


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(chrome: Browser, tmp_path: Path, dark: bool) -> None:
    axe = os.environ.get("SWARMLET_TEST_AXE")
    if not axe:
        pytest.skip("needs axe-core: SWARMLET_TEST_AXE names its axe.min.js")
    with watched(chrome, dark=dark) as seen:
        opened_file(seen, tmp_path, page(trace_of("0001-solve")))
        seen.page.keyboard.press("c")
        seen.page.evaluate(Path(axe).read_text("utf-8"))
        found = seen.page.evaluate("axe.run()")
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"][:200] for node in one["nodes"][:4]]) for one in serious] == []
