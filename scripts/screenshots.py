"""Makes the pictures in docs/screenshots/: real talks with the running product, photographed in Chromium.

`.venv/bin/python -m scripts.screenshots` after `make setup`; needs Chromium and a Chinese font on the machine.
Everybody in the pictures is invented.
"""

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.running import Running, WebCustomer, running, wait_for

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
LARGEST = 300_000  # bytes of one picture
QUIET = 1.5  # seconds without a new line after which the bot has said everything
PASSWORD = "an invented password"  # noqa: S105 - of a login that lives as long as this script

# Without them Chromium looks up hosts of its maker at every start.
_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Story:
    """What a customer says. `answers` maps a pattern in the bot's question to the answer."""

    complaint: str
    answers: Mapping[str, str]
    read_back: str  # in the question whose first button submits
    receipt: str  # in the receipt


ZH = Story(
    complaint="我家宽带从昨晚八点就断网了，光猫一直亮红灯，报修电话打了三次都没人来",
    answers={
        "哪个号码": "13800138000",
        "什么时候": "昨晚八点左右",
        "什么地方": "宁海市青禾区桂花苑3栋",
        "怎么解决": "今天派人上门修好，并减免断网期间的费用",
    },
    read_back="请核对",
    receipt="受理编号",
)
EN = Story(
    complaint="I was charged 38 yuan this month for a video pack that I never ordered",
    answers={
        "Which number": "13900139000",
        "When did": "on the 3rd of this month",
        "How much": "38 yuan",
        "Where": "online, I have not been to a shop",
        "like us to do": "cancel the pack and refund the 38 yuan",
    },
    read_back="Please check",
    receipt="reference",
)
BACKGROUND = "营业厅说好送的路由器，两个月了还没给我"


class Visitor:
    """A customer at the chat page."""

    def __init__(self, page: Page, chat: str) -> None:
        self._page = page
        page.goto(chat)
        page.wait_for_selector("#log[aria-busy=false]")

    def _lines(self) -> Locator:
        return self._page.locator("#messages .message:not(.mine)")

    def _answered(self, before: int) -> str:
        """The bot's last words, once it has fallen silent."""
        wait_for("an answer", lambda: self._lines().count() > before)
        seen, since = 0, time.monotonic()
        while time.monotonic() - since < QUIET:
            if (now := self._lines().count()) != seen:
                seen, since = now, time.monotonic()
            self._page.wait_for_timeout(100)
        return str(self._lines().last.locator(".bubble").inner_text())

    def say(self, words: str) -> str:
        before = self._lines().count()
        self._page.fill("#text", words)
        self._page.click("#send")
        return self._answered(before)

    def tap_first(self) -> str:
        before = self._lines().count()
        self._lines().last.locator(".choices button").first.click()
        return self._answered(before)

    def complain(self, story: Story) -> None:
        """From the first words to the receipt."""
        heard = self.say(story.complaint)
        for _ in range(len(story.answers) + 2):
            if story.read_back in heard:
                heard = self.tap_first()
                break
            heard = self.say(_answer(story, heard))
        if story.receipt not in heard:
            raise RuntimeError(f"no receipt came of this talk; the last words were: {heard}")

    def photograph(self, name: str) -> None:
        self._page.mouse.move(0, 0)
        _photograph(self._page, name)


def _answer(story: Story, question: str) -> str:
    for asked, answer in story.answers.items():
        if re.search(asked, question):
            return answer
    raise RuntimeError(f"the story has no answer to: {question}")


def _photograph(page: Page, name: str) -> None:
    page.wait_for_timeout(400)  # transitions end
    file = PICTURES / f"{name}.png"
    page.screenshot(path=file)
    size = file.stat().st_size
    print(f"{file.name}: {size // 1000} kB")
    if size > LARGEST:
        raise RuntimeError(f"{file.name} has {size} bytes, more than {LARGEST}")


def _page(browser: Browser, width: int, height: int, *, phone: bool = False, language: str = "zh-CN") -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=2 if phone else 1,
        is_mobile=phone,
        has_touch=phone,
        locale=language,
        timezone_id="Asia/Shanghai",
    )
    return context.new_page()


def _customers(product: Running, browser: Browser) -> None:
    """Two complain and ask for a person; a third one has only begun."""
    phone = Visitor(_page(browser, 390, 844, phone=True), f"{product.public}/chat")
    phone.complain(ZH)
    phone.photograph("chat-phone-zh")
    phone.say("转人工")
    begun = WebCustomer(product.public)
    begun.say(BACKGROUND)
    begun.hear(".+")
    begun.close()
    desktop = Visitor(_page(browser, 1100, 820, language="en-GB"), f"{product.public}/chat")
    desktop.complain(EN)
    desktop.say("How is my complaint going?")
    desktop.photograph("chat-desktop-en")
    desktop.say("I want to talk to a person")


def _agent(product: Running, browser: Browser) -> None:
    """Logs in, sees who waits, takes the first one and answers."""
    product.add_user("lin", password=PASSWORD)
    page = _page(browser, 1280, 860)
    page.goto(f"{product.console}/login")
    page.fill("#name", "lin")
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_selector("#waiting-list")
    page.set_viewport_size({"width": 1280, "height": 420})
    _photograph(page, "console-inbox")
    page.set_viewport_size({"width": 1280, "height": 860})
    page.locator("#waiting-list button.primary").first.click()
    page.wait_for_selector("#mode[data-mine=yes]", state="attached")
    page.fill("#text", "您好，我是投诉专员小林。已加急派单，师傅今天下午三点前上门，断网期间的月租会按天退还。")
    page.click("#reply .send")
    page.wait_for_selector("#transcript .line.agent")
    _photograph(page, "console-conversation")


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("Chromium is not there (Debian, Ubuntu: apt install chromium fonts-noto-cjk).", file=sys.stderr)
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to run as root otherwise
    with (
        tempfile.TemporaryDirectory(prefix="tingsu-pictures-") as home,
        running(Path(home)) as product,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS + as_root)
        _customers(product, browser)
        _agent(product, browser)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
