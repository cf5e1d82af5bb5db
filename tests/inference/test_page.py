"""The page in a real browser: drop, choose, paste or photograph a picture, and read the answer."""

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import make_site, photo, running

from onnx_models import HEADER

playwright = pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
TOKEN = "a-token-of-some-length"

# What a person does with a mouse, as the page hears of it.
DROP = """([content, name]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  const event = name === "pasted"
    ? new ClipboardEvent("paste", { clipboardData: dataTransfer, bubbles: true })
    : new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.getElementById("stage").dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(make_site(tmp_path_factory.mktemp("page"), max_body_mb=0.5)) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(base_url=address)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
    opened.on("request", lambda asked: problems.append(asked.url) if is_foreign(asked.url, address) else None)
    opened.goto("/")
    yield opened
    context.close()
    assert problems == []  # no error, nothing forbidden by the policy, no request to anywhere else


def is_foreign(url: str, address: str) -> bool:
    return not url.startswith((address, "blob:", "data:"))


def drop(page: Page, content: bytes, name: str = "photo.png") -> None:
    page.evaluate(DROP, [base64.b64encode(content).decode(), name])


def is_answered(page: Page) -> None:
    expect(page.locator("#answer")).to_be_visible()
    expect(page.locator("#classes li")).to_have_count(5)


def test_the_page_says_what_the_network_knows(page: Page) -> None:
    expect(page.locator("#about")).to_contain_text(f"The network {HEADER.spec.name} knows 6 classes: ant, ")


@pytest.mark.parametrize("name", ["photo.png", "pasted"])
def test_a_dropped_or_pasted_file_is_answered(page: Page, name: str) -> None:
    drop(page, photo(), name)
    is_answered(page)
    best = page.locator("#best").inner_text()
    expect(page.locator("#status")).to_contain_text(best)  # a screen reader says it
    expect(page.locator("#sure")).to_contain_text("% sure")
    expect(page.locator("#picture")).to_have_attribute("alt", f"The chosen picture: {best}")
    expect(page.locator("#problem")).to_be_hidden()


def test_a_chosen_file_is_answered_and_another_one_after_it(page: Page, tmp_path: Path) -> None:
    for seed in range(2):
        (tmp_path / f"{seed}.png").write_bytes(photo(seed=seed))
        page.set_input_files("#file", tmp_path / f"{seed}.png")
        is_answered(page)
    expect(page.locator("#choose")).to_have_text("Another image")


def test_bars_are_as_long_as_the_probabilities(page: Page) -> None:
    drop(page, photo())
    is_answered(page)
    row = page.locator("#classes li").first
    expect(row.locator(".bar")).to_have_attribute("style", re.compile(r"--share: 0\.\d+"))
    length = float(str(row.locator(".bar").get_attribute("style")).strip(" ;").rpartition(" ")[2])
    assert float(row.locator(".percent").inner_text().removesuffix("%")) == pytest.approx(
        100 * length, abs=0.06
    )


def test_the_map_lies_on_the_part_that_was_seen(page: Page) -> None:
    drop(page, photo(size=(80, 40)))
    is_answered(page)
    expect(page.locator("#map")).to_be_visible()
    picture, laid = page.locator("#picture").bounding_box(), page.locator("#map").bounding_box()
    assert picture is not None
    assert laid is not None
    assert laid["height"] == pytest.approx(laid["width"], rel=0.06)
    assert laid["height"] == pytest.approx(picture["height"] * HEADER.preprocess.crop, rel=0.1)
    assert laid["x"] + laid["width"] / 2 == pytest.approx(picture["x"] + picture["width"] / 2, abs=4)


def test_the_map_of_another_class_is_chosen_by_keyboard_and_the_map_can_go(page: Page) -> None:
    drop(page, photo())
    is_answered(page)
    laid = page.locator("#map")
    first, called = laid.get_attribute("src"), str(laid.get_attribute("alt"))
    assert called.startswith("Where the network sees ")
    page.locator("#classes input").first.focus()
    page.keyboard.press("ArrowDown")
    expect(laid).not_to_have_attribute("alt", called)
    assert laid.get_attribute("src") != first
    page.locator("#show").press("Space")
    expect(page.locator("#map")).to_be_hidden()


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_file_can_be_chosen_by_keyboard(page: Page, key: str, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(photo())
    page.on("filechooser", lambda chooser: chooser.set_files(tmp_path / "photo.png"))
    expect(page.locator("#about")).to_contain_text("knows")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Choose an image")).to_be_focused()
    page.keyboard.press(key)
    is_answered(page)


def test_what_is_no_image_is_said_in_words_and_the_old_answer_goes(page: Page) -> None:
    drop(page, photo())
    is_answered(page)
    drop(page, b"hello", "letter.txt")
    expect(page.get_by_role("alert")).to_contain_text("This is not an image that can be read here.")
    expect(page.locator("#answer")).to_be_hidden()
    drop(page, photo())
    is_answered(page)
    expect(page.locator("#problem")).to_be_hidden()


def test_a_damaged_image_is_said_in_words(page: Page) -> None:
    drop(page, photo("JPEG", (200, 200))[:-1000])
    expect(page.get_by_role("alert")).to_contain_text("Damaged image: image file is truncated")


def test_an_empty_file_is_said_in_words(page: Page) -> None:
    drop(page, b"")
    expect(page.get_by_role("alert")).to_have_text("This file is empty. Choose another one.")


def test_a_file_that_is_too_large_is_not_even_sent(page: Page) -> None:
    expect(page.locator("#about")).to_contain_text("knows")
    drop(page, bytes(600_000))
    expect(page.get_by_role("alert")).to_have_text(
        "This file has 0.6 MB; the server takes 0.5 MB. Choose a smaller image."
    )


def test_a_picture_that_the_browser_cannot_show_is_answered_all_the_same(page: Page) -> None:
    drop(page, photo("TIFF"), "scan.tif")
    is_answered(page)
    expect(page.locator("#unseen")).to_be_visible()
    expect(page.locator("#map")).to_be_hidden()
    expect(page.locator("#show")).to_be_hidden()  # no map is promised
    expect(page.locator("#hint")).to_be_hidden()
    drop(page, photo())
    is_answered(page)
    expect(page.locator("#show")).to_be_visible()


def test_text_that_is_dropped_is_explained(page: Page) -> None:
    page.evaluate(
        """() => document.dispatchEvent(new DragEvent("drop", { dataTransfer: new DataTransfer() }))"""
    )
    expect(page.get_by_role("alert")).to_contain_text("That was not a file.")


def test_the_camera_takes_a_picture(page: Page) -> None:
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").click()
    is_answered(page)
    expect(page.locator("#video")).to_be_hidden()


def test_the_camera_takes_no_picture_before_its_first(page: Page) -> None:
    page.evaluate(
        """() => {
          const play = HTMLMediaElement.prototype.play;
          HTMLMediaElement.prototype.play = async function () {
            await new Promise((done) => (window.warmUp = done));
            return play.call(this);
          };
        }"""
    )
    page.get_by_role("button", name="Use the camera").click()
    expect(page.get_by_role("button", name="Take the picture")).to_be_disabled()
    close = page.get_by_role("button", name="Close the camera")
    before = close.bounding_box()
    assert before is not None
    page.evaluate("() => window.warmUp()")
    expect(page.get_by_role("button", name="Take the picture")).to_be_enabled()
    after = close.bounding_box()
    assert after is not None
    assert after["y"] == before["y"]  # or whoever presses it then misses it
    page.get_by_role("button", name="Take the picture").click()
    is_answered(page)


def test_the_camera_can_be_closed(page: Page) -> None:
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Close the camera").click()
    expect(page.locator("#video")).to_be_hidden()
    expect(page.get_by_role("button", name="Use the camera")).to_be_focused()


def test_the_token_is_asked_for_and_kept_for_the_session(browser: Browser, tmp_path: Path) -> None:
    with running(make_site(tmp_path, token=TOKEN)) as port, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_label("This server asks for a token.").fill("wrong")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_have_text("The server does not take this token.")
        page.get_by_label("This server asks for a token.").fill(TOKEN)
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#about")).to_contain_text("knows 6 classes")
        page.reload()
        drop(page, photo())
        is_answered(page)


def test_a_server_that_is_gone_is_said_in_words(browser: Browser, tmp_path: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        with running(make_site(tmp_path)) as port:
            page.goto(f"http://127.0.0.1:{port}/")
            expect(page.locator("#about")).to_contain_text("knows")
        drop(page, photo())
        expect(page.get_by_role("alert")).to_have_text("The server does not answer. Is it still running?")


@pytest.mark.parametrize("width", [320, 375, 1440])
def test_nothing_is_wider_than_the_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    drop(page, photo(size=(400, 50)))
    is_answered(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_reduced_motion_moves_nothing(browser: Browser, address: str) -> None:
    with browser.new_context(reduced_motion="reduce") as context:
        page = context.new_page()
        page.goto(address)
        drop(page, photo())
        is_answered(page)
        bar = page.locator("#classes .bar").first
        assert bar.evaluate("(bar) => getComputedStyle(bar).transitionDuration") == "0s"
