"""Debian's chromium, told what to do over a pipe: how a page looks to a person at a phone or a desk.

Chromium speaks the DevTools protocol on the file descriptors 3 and 4: JSON, a zero byte behind each message.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

CHROMIUM = shutil.which("chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
TIMEOUT = 120.0  # seconds for one answer; a machine under load starts a browser slowly

# Maps the width of the window and the least height of letters to what is wrong with the page in it, as lines.
# (A phone's `innerWidth` grows with what is too wide for it.) Text in a closed `details` is not shown.
INSPECT = """
((width, smallest) => {
  const problems = [], root = document.documentElement;
  if (root.scrollWidth > width)
    problems.push(`the page is ${root.scrollWidth} px wide in a window of ${width}`);
  const scrolls = e =>
    e && (['auto', 'scroll'].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  for (const e of document.body.querySelectorAll('*')) {
    const box = e.getBoundingClientRect();
    if (box.width && box.right > width + 1 && !scrolls(e))
      problems.push(`<${e.tagName.toLowerCase()} class="${e.className}"> ends at ${box.right} px`);
  }
  for (const image of document.images) {
    if (!image.alt.trim()) problems.push('an image has no alternative text');
    if (!image.complete || !image.naturalWidth) problems.push(`the image “${image.alt}” is not shown`);
  }
  const numbers = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = c => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => sum + w * linear(c[i] / 255), 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  for (const e of document.body.querySelectorAll('*')) {
    const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join('');
    if (!text || !e.checkVisibility()) continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize);
    if (text.length > 8 && e.getBoundingClientRect().width < 3 * size)
      problems.push(`“${text.slice(0, 40)}” is squeezed`);
    if (size < smallest) problems.push(`“${text.slice(0, 40)}” is ${size} px high`);
    const [light, dark] = [luminance(numbers(style.color)), luminance(behind(e))].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);  // as WCAG 2.1 defines it and demands
    if (contrast < 4.5) problems.push(`“${text.slice(0, 40)}” has a contrast of ${contrast.toFixed(1)}`);
  }
  return [...new Set(problems)];
})
"""


@dataclass(frozen=True)
class Window:
    """How a page is looked at."""

    width: int = 1440
    scheme: str = "light"
    """Light or dark."""
    media: str = "screen"
    """Screen or print."""

    @property
    def smallest(self) -> int:
        """Least height of letters in pixels; ink is sharper."""
        return 12 if self.media == "screen" else 10


WINDOWS = tuple(Window(width, scheme) for width in (375, 1440) for scheme in ("light", "dark"))
PAPER = Window(width=718, media="print")  # A4 less margins of 10 mm at 96 pixels an inch


@dataclass
class Browser:
    """A running browser with one tab."""

    commands: int
    """File descriptor to write to."""
    answers: int
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _rest: bytes = b""

    def flaws(self, page: Path) -> list[str]:
        """Return what is wrong with a page at a phone, at a desk, by day, by night, and on paper."""
        windows = (*WINDOWS, PAPER)
        return [f"{window}: {line}" for window in windows for line in self.problems(page, window)]

    def problems(self, page: Path, window: Window) -> list[str]:
        """Return what is wrong with a page: errors it reports, overflow, texts that cannot be read."""
        self.show(page, window)
        found = [str(line) for line in self.evaluate(f"{INSPECT}({window.width}, {window.smallest})")]
        return self._errors() + found

    def show(self, page: Path, window: Window) -> None:
        """Load a page into a window."""
        self.events.clear()
        features = [{"name": "prefers-color-scheme", "value": window.scheme}]
        self.send("Emulation.setEmulatedMedia", media=window.media, features=features)
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=window.width, height=900, deviceScaleFactor=1, mobile=window.width < 600,
        )  # fmt: skip
        self.send("Page.navigate", url=page.resolve().as_uri())
        self._wait("Page.loadEventFired")
        self.send("Runtime.evaluate", expression="document.fonts.ready.then(() => 1)", awaitPromise=True)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"]["value"]

    def screenshot(self, path: Path) -> None:
        """Save the whole page as it is shown, as PNG; for people."""
        height = self.evaluate("document.documentElement.scrollHeight")
        width = self.evaluate("window.innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its answer."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def _wait(self, event: str) -> None:
        while not any(each["method"] == event for each in self.events):
            self._receive()

    def _receive(self) -> dict[str, Any]:
        """Read one message; events are kept."""
        end = monotonic() + TIMEOUT
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.answers], [], [], max(0.0, end - monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self.answers, 1 << 20)
            assert data, "the browser has ended"
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def _errors(self) -> list[str]:
        """Return what the page wrote on the console as a warning or error."""
        found = []
        for event in self.events:
            about = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(f"exception: {about['exceptionDetails']['text']}")
            if event["method"] == "Log.entryAdded" and about["entry"]["level"] in ("warning", "error"):
                found.append(f"console: {about['entry']['text']}")
            if event["method"] == "Runtime.consoleAPICalled" and about["type"] in ("warning", "error"):
                found.append(f"console: {about['args']}")
        return found


@contextmanager
def started() -> Iterator[Browser]:
    """Start chromium with an empty profile, and end it afterwards."""
    assert CHROMIUM is not None
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        script = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        process = subprocess.Popen(
            ["bash", "-c", script, *command],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield attached(Browser(ours_out, ours_in))
        finally:
            os.close(ours_out)  # the browser ends when nobody can give it commands
            process.terminate()
            process.wait(TIMEOUT)
            os.close(ours_in)


def attached(browser: Browser) -> Browser:
    """Open a tab and listen to it."""
    target = browser.send("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log"):
        browser.send(f"{domain}.enable")
    return browser
