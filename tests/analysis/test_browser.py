"""The page in a real browser: opened from disk, searched, sorted, paged and driven by keyboard, nothing loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.analysis.analysis_browser import Browser, find
from tests.analysis.analysis_build import EVIL, page_data

PROGRAM = find()
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="the report in a real browser: no chromium here (apt-get install chromium)"
)
TABLE = "[...document.querySelectorAll('#slices tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
WIDTHS = {"phone": 390, "desktop": 1280}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM is not None
    with Browser(PROGRAM) as one:
        yield one


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.events.clear()
    browser.open(page)
    return browser


def column(browser: Browser, title: str) -> list[str]:
    titles = browser.js("[...document.querySelectorAll('#slices thead button')].map(b => b.textContent)")
    position = next(i for i, t in enumerate(titles) if t.split(" ▲")[0].split(" ▼")[0] == title)
    return [row[position] for row in browser.js(TABLE)]


def press_header(browser: Browser, title: str) -> None:
    browser.js(
        f"[...document.querySelectorAll('#slices thead button')].find(b => b.textContent.startsWith('{title}')).click()"
    )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_without_errors_or_requests(
    browser: Browser, page: Path, width: str, dark: bool, tmp_path: Path
) -> None:
    browser.events.clear()
    browser.open(page, width=WIDTHS[width], dark=dark)
    browser.screenshot(tmp_path / "page.png")
    requested = [e["request"]["url"] for e in browser.of("Network.requestWillBeSent")]
    assert not [url for url in requested if not url.startswith(("file:", "data:"))]
    assert not browser.of("Runtime.exceptionThrown", "Log.entryAdded")
    assert not [e for e in browser.of("Runtime.consoleAPICalled") if e["type"] in ("error", "warning", "assert")]
    assert browser.js("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the screen"
    assert (tmp_path / "page.png").stat().st_size > 10_000
    background = browser.js("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == dark


def test_file_names_run_no_script(opened: Browser) -> None:
    assert opened.js("document.querySelectorAll('img[src=x]').length") == 0
    opened.js("document.querySelector('#tsearch').focus()")
    opened.type("onerror=alert")
    (row,) = opened.js(TABLE)
    assert row[0] == f"{EVIL}.tif"


def test_search_counts_and_filters(opened: Browser, page: Path) -> None:
    total = len(page_data(page)["rows"])
    assert opened.js("document.querySelector('#tcount').textContent") == f"{total} of {total} slices"
    opened.js("document.querySelector('#tsearch').focus()")
    opened.type("no contrast")
    shown = column(opened, "Class")
    assert shown
    assert set(shown) == {"no contrast"}
    opened.js("document.querySelector('#tsearch').value = 'nothing like it'")
    opened.js("document.querySelector('#tsearch').dispatchEvent(new Event('input'))")
    assert opened.js(TABLE) == []
    opened.js("document.querySelector('[data-filter]').click()")
    assert opened.js("document.querySelector('#tsearch').value") != "nothing like it"
    assert opened.js(TABLE)


def test_columns_sort_both_ways_empty_cells_last(opened: Browser) -> None:
    for title in ("Mean", "Age", "Slice"):
        press_header(opened, title)
        up = column(opened, title)
        press_header(opened, title)
        down = column(opened, title)
        filled = [v for v in up if v]
        if title != "Slice":
            numbers = [float(v.replace(",", "")) for v in filled]
            assert numbers == sorted(numbers)
        assert [v for v in down if v] == filled[::-1] or title == "Age"
        assert up[len(filled) :] == [""] * (len(up) - len(filled))
    assert opened.js("document.querySelectorAll('[aria-sort=descending]').length") == 1


def test_keyboard_reaches_everything(opened: Browser) -> None:
    """Tab walks through every control that is shown, in order, and none is out of reach."""
    reachable = opened.js(
        "[...document.querySelectorAll('a[href],button,select,input,summary,[tabindex=\"0\"]')]"
        ".filter(e => !e.disabled && e.checkVisibility() && !e.closest('dialog') "
        "&& !(e.closest('details:not([open])') && e.tagName !== 'SUMMARY')).length"
    )
    opened.js("window.seen = new Set(); document.addEventListener('focusin', e => seen.add(e.target))")
    opened.js("document.activeElement.blur()")
    for _ in range(reachable + 2):
        opened.press("Tab", 9)
    assert opened.js("seen.size") >= reachable


def test_the_viewer_by_keyboard(opened: Browser) -> None:
    opened.js("document.querySelector('#gtiles button').focus()")
    opened.press("Enter", 13)
    assert opened.js("document.querySelector('#viewer').open")
    first = opened.js("document.querySelector('#vtitle').textContent")
    opened.press("ArrowRight", 39)
    assert opened.js("document.querySelector('#vtitle').textContent") != first
    assert opened.js("[...document.querySelectorAll('#vbody img')].every(i => i.alt && i.src.startsWith('data:'))")
    opened.press("Escape", 27)
    assert not opened.js("document.querySelector('#viewer').open")
    assert opened.js("document.activeElement.closest('#gtiles') !== null"), "the focus goes back to where it was"


def test_gallery_and_scatter(opened: Browser, page: Path) -> None:
    kinds = page_data(page)["kinds"]
    tissues = next(i for i, k in enumerate(kinds) if k["legend"])
    choose = "(id, v) => { const e = document.getElementById(id); e.value = v; e.dispatchEvent(new Event('change')); }"
    assert not opened.js("document.querySelector('#glegend').checkVisibility()")
    opened.js(f"({choose})('gkind', '{tissues}')")
    assert opened.js("document.querySelector('#glegend').checkVisibility()")
    shown = opened.js("[...document.querySelectorAll('#gtiles img')].map(i => i.alt)")
    assert shown
    assert all(alt.endswith("tissues by HU") for alt in shown)
    points = opened.js("document.querySelectorAll('#splot circle').length")
    assert points == len(page_data(page)["rows"])
    options = opened.js("[...document.querySelector('#sx').options].map(o => [o.value, o.textContent])")
    age = next(value for value, name in options if name == "Age")
    opened.js(f"({choose})('sx', '{age}')")
    assert opened.js("document.querySelectorAll('#splot circle').length") == 10


def test_theme_button_and_links_to_closed_flags(opened: Browser) -> None:
    dark = "getComputedStyle(document.body).backgroundColor"
    before = opened.js(dark)
    opened.js("document.querySelector('#theme').click()")
    assert opened.js(dark) != before
    assert opened.js("document.querySelector('#theme').getAttribute('aria-pressed')") == "true"
    closed = opened.js("document.querySelector('details.flag:not([open])').id")
    opened.js(f"location.hash = '#{closed}'; new Promise(r => setTimeout(r, 100))")
    assert opened.js(f"document.getElementById('{closed}').open")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast(opened: Browser, theme: str) -> None:
    """WCAG 2 AA: 4.5 to 1 for all text colours of the style sheet on both backgrounds."""
    opened.js(f"document.documentElement.dataset.theme = '{theme}'")
    names = ["--ink", "--muted", "--accent", "--warning", "--check", "--note"]
    style = "getComputedStyle(document.documentElement)"
    colors = opened.js(f"{[*names, '--back', '--card']}.map(n => {style}.getPropertyValue(n).trim())")
    for name, color in zip(names, colors, strict=False):
        for back in colors[-2:]:
            assert ratio(color, back) >= 4.5, f"{name} {color} on {back}, {theme}"


def ratio(first: str, second: str) -> float:
    """WCAG contrast of two hex colours."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)
