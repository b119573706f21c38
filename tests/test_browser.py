"""The report in a real browser: it plays, filters, sorts and links, by mouse and by keyboard.

Needs Chromium on this machine (Debian's package `chromium`); `.ci/run` installs it where it can.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_report import CLIP, build, report

CHROMIUM = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "<img src=x onerror=document.title='hit'>\"'&0"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of two objects; one has a name that is markup."""
    folder = tmp_path_factory.mktemp("browser")
    build(folder / "work", folder / "data", ["a_0", HOSTILE], scored=True)
    report(folder / "work", folder / "page.html", ["a_0", HOSTILE])
    return folder / "page.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, page_file) -> Iterator[object]:
    """The open page; what it logs or throws fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    trouble: list[str] = []
    opened.on("console", lambda message: trouble.append(message.text))
    opened.on("pageerror", lambda error: trouble.append(str(error)))
    opened.goto(page_file.as_uri())
    yield opened
    opened.close()
    assert not trouble


def open_object(page, key: str) -> None:
    page.locator(f'[id="objects"] [data-open="{key}"]').click()
    page.locator("#player h2").filter(has_text=key.split("/")[0]).wait_for()


def state(page) -> tuple[str, str, str]:
    """Picture, outline and cursor, as they are drawn."""
    return (
        page.locator(".screen img").first.get_attribute("src")[-40:],
        page.locator(".screen path.mask").first.get_attribute("d"),
        page.locator("#curves .cursor").get_attribute("x1"),
    )


def frame(page) -> int:
    return int(page.locator("#time").input_value())


def wait_until(page, holds: Callable[[], bool]) -> None:
    """Playwright's own wait evaluates text, which the page's policy forbids."""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("waited five seconds in vain")


def test_scrubbing_moves_picture_outline_and_cursor_together(page) -> None:
    open_object(page, "a_0/2")
    before = state(page)
    box = page.locator("#curves").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 7.5 / CLIP.frames, box["y"] + 20)
    assert frame(page) == 7
    after = state(page)
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert after[2] == "7.5"
    page.locator("#time").fill("3")
    assert frame(page) == 3 and state(page)[2] == "3.5"


def test_keys_step_jump_and_play(page) -> None:
    open_object(page, "a_0/2")
    page.locator("#player").focus()
    for key, expected in (("ArrowRight", 1), (".", 2), (",", 1), ("ArrowLeft", 0), ("End", 13)):
        page.keyboard.press(key)
        assert frame(page) == expected, key
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")  # the first anchor
    assert frame(page) == 5 and "anchor" in page.locator("#frame").inner_text()
    page.keyboard.press("ArrowUp")
    assert frame(page) == 0
    page.keyboard.press(" ")
    wait_until(page, lambda: frame(page) > 1)
    page.keyboard.press(" ")
    stopped = frame(page)
    page.wait_for_timeout(250)
    assert frame(page) == stopped


def test_events_are_buttons(page) -> None:
    open_object(page, "a_0/2")
    page.get_by_role("button", name=re.compile("worst frame")).click()
    assert frame(page) == 10  # the masks of the fixture are empty there
    assert "no mask" in page.locator(".stage figcaption").first.inner_text()


def test_two_recipes_in_a_wipe(page) -> None:
    open_object(page, "a_0/2")
    assert page.locator(".stage").count() == 2
    page.locator("#mode").select_option("wipe")
    assert page.locator(".stage").count() == 1 and page.locator(".screen svg").count() == 2
    page.locator("#wipe").focus()
    page.keyboard.press("Home")
    clip = "document.querySelectorAll('.screen svg')[0].style.clipPath"
    assert page.evaluate(clip) == "inset(0px 100% 0px 0px)"
    page.locator("#side-b").select_option("prompted once")
    assert page.locator(".stage figcaption").inner_text().count("prompted once") == 2


def test_truth_given_and_anchors_can_be_switched_off(page) -> None:
    open_object(page, "a_0/2")
    page.get_by_role("button", name=re.compile("anchor .00005")).click()
    for kind, box in (("truth", "#show-truth"), ("anchor", "#show-anchors")):
        drawn = page.locator(f".screen path.{kind}").last
        assert drawn.get_attribute("d")
        page.locator(box).uncheck()
        assert not drawn.get_attribute("d")


def test_filters_live_in_the_address(page, page_file) -> None:
    rows = page.locator("#objects tbody tr:visible")
    assert rows.count() == 4
    page.locator('[name="video"]').fill("A_0")
    assert rows.count() == 2 and page.locator("#count").inner_text() == "2 objects"
    score = float(rows.first.locator("td").nth(3).inner_text())
    page.locator('[name="below"]').fill(str(score + 0.01))
    left = rows.count()
    assert left in (1, 2)
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    assert rows.count() == left and page.locator('[name="video"]').input_value() == "A_0"
    page.get_by_role("button", name="Show all").click()
    wait_until(page, lambda: rows.count() == 4)
    page.locator('[name="change"]').select_option("loss")
    assert rows.count() == 0
    assert page.locator("#scatter [data-off]").count() == page.locator("#scatter a").count()


def test_columns_sort_by_mouse_and_keyboard(page) -> None:
    head = page.locator("#objects thead th button").nth(4)
    values = "[...document.querySelectorAll('#objects tbody tr')].map(r => +r.cells[4].textContent)"
    head.click()
    up = page.evaluate(values)
    assert up == sorted(up)
    head.focus()
    page.keyboard.press("Enter")
    assert page.evaluate(values) == up[::-1]


def test_a_point_opens_its_player_and_a_link_its_frame(page) -> None:
    point = page.locator("#scatter a").first
    key = point.get_attribute("data-key")
    point.click()
    video, _, number = key.rpartition("/")
    assert page.locator("#player h2").inner_text() == f"{video}, object {number}"
    page.locator("#time").fill("6")
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    assert page.locator("#player h2").inner_text() == f"{video}, object {number}"
    assert frame(page) == 6


def test_hostile_names_do_nothing(page) -> None:
    page.locator("#objects [data-open]").filter(has_text="onerror").first.click()
    assert page.locator("#player h2").inner_text() == f"{HOSTILE}, object 1"
    assert page.title() == "demo: segmentation report"
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(page, width, tmp_path) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_object(page, "a_0/1")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unnamed = "[...document.querySelectorAll('img')].filter(i => !i.alt).length"
    assert page.evaluate(unnamed) == 0
    page.screenshot(path=tmp_path / "view.png", full_page=True)
