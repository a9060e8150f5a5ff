"""The web chat page in a real browser: a complaint, buttons, a lost network, the keyboard, both languages."""

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, ViewportSize, expect

from bot import settings as settings_file
from bot.build import Product, build
from bot.dialogue import Script
from bot.store import conversations
from bot.store.users import User
from tests import files
from tests.browser.test_webchat_chromium import chromium
from tests.running import free_port
from tests.talking import complaint_talk
from tests.webchat.doors import door, worker

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WHAT = {"zh": "家里宽带从昨晚开始一直断", "en": "My broadband keeps dropping since last night"}
SIZES: dict[str, ViewportSize] = {"phone": {"width": 390, "height": 844}, "desk": {"width": 1280, "height": 800}}
SHOP = free_port()  # of the other site that has the chat in a frame
SHOTS = os.environ.get("TINGSU_SHOTS", "")  # a folder: the pictures are kept there


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Product]:
    """One product for all tests here; every visitor is a new one."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(sqlite_template, home / "tingsu.sqlite3")
    environ = {"TINGSU_HOME": str(home), "TINGSU_SECRET_KEY": "for tests only, and long enough to pass"}
    made = build(settings_file.read(environ), dialogue=Script(complaint_talk))
    yield made
    made.close()


@pytest.fixture(scope="module")
def agent(product: Product) -> User:
    return product.people.add("li.ming", "agent", "a long enough password 7")


@pytest.fixture(scope="module")
def address(product: Product) -> Iterator[str]:
    environ = {
        "TINGSU_HOME": str(product.settings.home),
        "TINGSU_SECRET_KEY": product.settings.secret_key,
        "TINGSU_WEBCHAT_ORIGINS": f"http://127.0.0.1:{SHOP}",
    }
    with door(environ) as address, worker(product):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page as a new visitor; an error in a script or a refusal by the content policy fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_page(language: str = "zh", size: str = "phone", **more: Any) -> Page:
        locale = {"zh": "zh-CN", "en": "en-GB"}[language]
        context = browser.new_context(
            viewport=SIZES[size], locale=locale, timezone_id="Asia/Shanghai", reduced_motion="reduce", **more
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(f"{address}/chat")
        expect(page.locator("#log")).to_have_attribute("aria-busy", "false")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def say(page: Page, text: str) -> None:
    page.locator("#text").fill(text)
    page.keyboard.press("Enter")


def bots(page: Page) -> Any:
    return page.locator(".message.bot")


def keep(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


@pytest.mark.parametrize(("language", "size", "theme"), [
    ("zh", "phone", "light"),
    ("zh", "phone", "dark"),
    ("en", "phone", "light"),
    ("zh", "desk", "dark"),
    ("en", "desk", "light"),
])  # fmt: skip
def test_a_complaint_from_the_first_word_to_the_receipt(
    visit: Callable[..., Page], language: str, size: str, theme: str
) -> None:
    page = visit(language, size, color_scheme=theme)
    keep(page, f"{language}-{size}-{theme}-1-empty")
    say(page, WHAT[language])
    expect(bots(page)).to_have_count(1)
    say(page, "13800138000")
    expect(bots(page)).to_have_count(2)
    keep(page, f"{language}-{size}-{theme}-2-question")
    bots(page).last.locator(".choices button").first.click()
    expect(page.locator(".reference")).to_have_text(re.compile(r"^TS-\w{4}-\w{4}-\w$"))
    expect(page.locator("#messages .choices button:enabled")).to_have_count(0)
    page.locator("#human").click()
    expect(page.locator("#state")).to_have_class(re.compile("queued"))
    keep(page, f"{language}-{size}-{theme}-3-queued")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out sideways"
    page.locator("#stop").click()
    expect(page.locator("#state")).not_to_have_class(re.compile("shown"))


def test_a_reload_shows_what_was_said(visit: Callable[..., Page]) -> None:
    page = visit()
    say(page, WHAT["zh"])
    expect(bots(page)).to_have_count(1)
    before = page.locator("#messages").inner_text()
    page.reload()
    expect(bots(page)).to_have_count(1)
    assert page.locator("#messages").inner_text() == before
    bots(page).locator(".choices button").first.click()  # the open question can still be answered
    expect(bots(page)).to_have_count(2)


def test_what_was_written_offline_goes_out_once_in_order(visit: Callable[..., Page], product: Product) -> None:
    page = visit()
    say(page, WHAT["zh"])
    expect(bots(page)).to_have_count(1)
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_have_class(re.compile("shown"))
    say(page, "第一条")
    say(page, "第二条")
    expect(page.locator(".fate.unsent").first).to_be_visible()
    keep(page, "zh-phone-light-4-offline")
    page.context.set_offline(False)
    expect(page.locator(".fate")).to_have_count(0)
    expect(page.locator("#connection")).not_to_have_class(re.compile("shown"))
    assert _said_by_customer(page) == [WHAT["zh"], "第一条", "第二条"]


def _said_by_customer(page: Page) -> list[str]:
    """As the server has it."""
    past = page.evaluate("fetch('/chat/v1/history').then((answer) => answer.json())")
    return [line["text"] for line in past["messages"] if line["side"] == "customer"]


def test_an_answer_that_got_lost_is_no_second_message(visit: Callable[..., Page]) -> None:
    page = visit()
    say(page, WHAT["zh"])
    expect(bots(page)).to_have_count(1)
    dropped: list[str] = []

    def drop_the_answer(route: Any) -> None:
        if dropped:
            route.continue_()
            return
        dropped.append(route.request.post_data)
        route.fetch()  # the server takes it, the page never hears
        route.abort()

    page.route("**/chat/v1/messages", drop_the_answer)
    say(page, "13800138000")
    expect(bots(page)).to_have_count(2)
    expect(page.locator(".fate")).to_have_count(0)
    assert _said_by_customer(page) == [WHAT["zh"], "13800138000"]


def test_a_reload_while_offline_keeps_what_was_not_sent(visit: Callable[..., Page]) -> None:
    page = visit()
    say(page, WHAT["zh"])
    expect(bots(page)).to_have_count(1)
    page.route("**/chat/v1/messages", lambda route: route.abort())
    say(page, "13800138000")
    expect(page.locator(".fate.unsent")).to_be_visible()
    page.locator("#text").fill("还没写完")
    page.unroute("**/chat/v1/messages")
    page.reload()
    expect(bots(page)).to_have_count(2)
    expect(page.locator("#text")).to_have_value("还没写完")
    assert _said_by_customer(page) == [WHAT["zh"], "13800138000"]


def test_a_person_answers_and_is_named(visit: Callable[..., Page], product: Product, agent: User) -> None:
    page = visit("en")
    page.locator("#human").click()
    expect(page.locator("#state")).to_have_class(re.compile("queued"))
    with product.database.read() as db:
        waiting = conversations.queue(db)[-1]
    claimed = product.ownership.claim(waiting.id, waiting.epoch, agent)
    product.ownership.reply(waiting.id, agent, "reply-0001", "Hello, I am looking at it.", 1)
    expect(page.locator("#state")).to_contain_text("li.ming")
    expect(page.locator(".message.agent")).to_contain_text("I am looking at it")
    expect(page.locator("#human")).to_be_disabled()
    keep(page, "en-phone-light-5-agent")
    product.ownership.release(waiting.id, agent, claimed.epoch, 1)
    expect(page.locator("#human")).to_be_enabled()


def test_the_language_can_be_switched_without_losing_anything(visit: Callable[..., Page]) -> None:
    page = visit("zh")
    say(page, WHAT["zh"])
    expect(bots(page)).to_have_count(1)
    page.locator("#text").fill("half a sentence")
    page.locator("#language").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#human")).to_have_text("Talk to a person")
    expect(page.locator("#text")).to_have_value("half a sentence")
    expect(bots(page)).to_have_count(1)


def test_markup_stays_text(visit: Callable[..., Page]) -> None:
    page = visit()
    say(page, "<img src=x onerror=alert(1)>")
    expect(page.locator(".mine .bubble")).to_have_text("<img src=x onerror=alert(1)>")
    assert page.locator("#messages img").count() == 0


def test_the_keyboard_alone_is_enough(visit: Callable[..., Page]) -> None:
    page = visit("en", "desk")
    order = []
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", order[-1]
    expected = [
        "language",
        "human",
        "log",
        "I want to make a complaint",
        "How is my complaint going?",
        "attach",
        "text",
    ]
    assert order[: len(expected)] == expected
    page.locator("#text").focus()
    page.keyboard.type("line one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("line two")
    page.keyboard.press("Enter")
    expect(page.locator(".mine .bubble")).to_have_text("line one\nline two")
    expect(bots(page)).to_have_count(1)
    page.locator("#messages .choices button").first.focus()
    page.keyboard.press("Enter")
    expect(bots(page)).to_have_count(2)
    assert page.evaluate("document.activeElement.id") == "log", "the focus does not fall off the page"


def test_enter_that_ends_an_input_methods_word_does_not_send(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator("#text").fill("宽带")
    for details in ("isComposing: true", "keyCode: 229"):
        page.evaluate(
            "document.getElementById('text').dispatchEvent("
            f"new KeyboardEvent('keydown', {{key: 'Enter', bubbles: true, cancelable: true, {details}}}))"
        )
    expect(page.locator(".message")).to_have_count(0)
    expect(page.locator("#text")).to_have_value("宽带")


def test_too_long_is_said_before_it_is_sent(visit: Callable[..., Page]) -> None:
    page = visit()
    say(page, "长" * 4003)
    expect(page.locator("#count")).to_contain_text("3")
    expect(page.locator("#text")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".message")).to_have_count(0)


def test_what_a_screen_reader_meets(visit: Callable[..., Page]) -> None:
    page = visit("en")
    say(page, WHAT["en"])
    expect(bots(page)).to_have_count(1)
    expect(page.get_by_role("log", name="Conversation")).to_have_attribute("aria-live", "polite")
    expect(page.get_by_role("textbox", name="Your message")).to_be_visible()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Talk to a person")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Tingsu")
    expect(page.locator(".who p")).to_contain_text("bot")
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, a, textarea')].filter((e) => !e.hidden"
        " && !(e.textContent.trim() || e.labels?.length || e.ariaLabel)).length"
    )
    assert nameless == 0
    assert page.evaluate("document.querySelectorAll('img:not([alt])').length") == 0
    small = page.evaluate(
        "[...document.querySelectorAll('button')].filter((e) => e.offsetParent && e.offsetHeight < 44).length"
    )
    assert small == 0, "a finger needs 44 pixels"


def test_a_server_that_is_away_is_said_and_can_be_tried_again(visit: Callable[..., Page]) -> None:
    page = visit("en")
    say(page, WHAT["en"])
    expect(bots(page)).to_have_count(1)
    page.route("**/chat/v1/history", lambda route: route.fulfill(status=503, json={"error": {}}))
    page.reload()
    expect(page.locator("#failed")).to_be_visible()
    page.unroute("**/chat/v1/history")
    page.locator("#again").click()
    expect(bots(page)).to_have_count(1)
    expect(page.locator("#failed")).to_be_hidden()


def test_privacy_is_explained_in_both_languages(visit: Callable[..., Page]) -> None:
    page = visit("en")
    page.goto(page.url.replace("/chat", "/privacy?lang=en"))
    expect(page.get_by_role("heading", level=1)).to_have_text(["Privacy", "隐私说明"])
    keep(page, "en-phone-light-6-privacy")


def chooses(page: Page, *chosen: tuple[str, bytes]) -> None:
    """As the file dialogue gives them."""
    page.locator("#file").set_input_files(
        [FilePayload(name=name, mimeType="application/octet-stream", buffer=content) for name, content in chosen]
    )


def test_files_are_uploaded_shown_and_sent(visit: Callable[..., Page]) -> None:
    page = visit()
    chooses(page, ("光猫.jpg", files.photo_with_place()), ("drawing.svg", files.SVG), ("bill.pdf", files.PDF))
    expect(page.locator("#files li.done")).to_have_count(2)
    expect(page.locator("#files li.refused")).to_contain_text("这类文件不能收")
    keep(page, "zh-phone-light-7-files")
    page.get_by_role("button", name="移除 bill.pdf").click()
    say(page, WHAT["zh"])
    expect(page.locator("#files li")).to_have_count(0)
    expect(page.locator(".mine .sent-files li")).to_have_text(["光猫.jpg"])
    expect(bots(page)).to_have_count(1)
    page.reload()
    with page.expect_download() as saved:
        page.locator(".mine .sent-files a").click()
    content = Path(saved.value.path()).read_bytes()
    assert content.startswith(b"\xff\xd8\xff") and b"anary" not in content
    keep(page, "zh-phone-light-8-file-sent")


def test_a_picture_alone_is_a_message(visit: Callable[..., Page]) -> None:
    page = visit("en")
    chooses(page, ("screenshot.png", files.picture("PNG")))
    expect(page.locator("#files li.done")).to_have_count(1)
    page.locator("#send").click()
    expect(bots(page)).to_have_count(1)
    assert _said_by_customer(page) == [""]


def test_nothing_is_sent_while_a_file_is_on_its_way(visit: Callable[..., Page]) -> None:
    page = visit()
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/chat/v1/files", hold)
    chooses(page, ("a.pdf", files.PDF))
    expect(page.locator("#files li.uploading")).to_have_count(1)
    say(page, WHAT["zh"])
    expect(page.locator("#text")).to_have_value(WHAT["zh"])
    expect(page.locator(".message")).to_have_count(0)
    held[0].continue_()
    expect(page.locator("#files li.done")).to_have_count(1)
    page.locator("#send").click()
    expect(bots(page)).to_have_count(1)


def test_an_upload_that_failed_can_be_tried_again(visit: Callable[..., Page]) -> None:
    page = visit("en")
    page.route("**/chat/v1/files", lambda route: route.abort())
    chooses(page, ("a.pdf", files.PDF))
    expect(page.locator("#files li.refused")).to_contain_text("check the network")
    page.unroute("**/chat/v1/files")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#files li.done")).to_have_count(1)


def test_another_tab_shows_the_same_conversation_as_it_goes_on(visit: Callable[..., Page]) -> None:
    first = visit()
    say(first, WHAT["zh"])
    expect(bots(first)).to_have_count(1)
    second = first.context.new_page()
    second.goto(first.url)
    expect(bots(second)).to_have_count(1)
    say(first, "13800138000")
    expect(bots(second)).to_have_count(2)
    expect(second.locator(".mine .bubble")).to_have_text([WHAT["zh"], "13800138000"])
    expect(first.locator(".mine .bubble")).to_have_text([WHAT["zh"], "13800138000"])


def test_what_came_while_looking_elsewhere_is_counted_in_the_title(
    visit: Callable[..., Page], product: Product, agent: User
) -> None:
    page = visit()
    title = page.title()
    say(page, WHAT["zh"])
    expect(bots(page)).to_have_count(1)
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.evaluate(
        "fetch('/chat/v1/messages', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        " body: JSON.stringify({id: 'from-elsewhere', text: '13800138000'})})"
    )
    expect(page).to_have_title(f"(1) {title}")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(page).to_have_title(title)


def test_the_conversation_can_be_downloaded(visit: Callable[..., Page]) -> None:
    page = visit("en")
    expect(page.locator("#transcript")).to_be_hidden()
    say(page, WHAT["en"])
    expect(bots(page)).to_have_count(1)
    with page.expect_download() as saved:
        page.locator("#transcript").click()
    assert WHAT["en"] in Path(saved.value.path()).read_text(encoding="utf-8")


@pytest.fixture
def other_site(address: str) -> Iterator[str]:
    """A page of somebody else's that carries the snippet, under a policy without inline anything."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = f'<!doctype html><title>shop</title><script src="{address}/chat/embed.js" data-language="en" async></script>'
            policy = f"default-src 'none'; script-src {address}; frame-src {address}; style-src 'none'"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", SHOP), Site) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{SHOP}/"
        server.shutdown()


def test_another_site_opens_the_chat_in_a_frame(visit: Callable[..., Page], other_site: str) -> None:
    page = visit("en", "desk")
    page.goto(other_site)
    opener = page.get_by_role("button", name="Complaints and help")
    opener.click()
    frame = page.frame_locator("iframe")
    frame.locator("#text").fill(WHAT["en"])
    frame.locator("#send").click()
    expect(frame.locator(".message.bot")).to_have_count(1)
    keep(page, "en-desk-light-9-embedded")
    page.get_by_role("button", name="Close").click()
    expect(page.locator("iframe")).to_be_hidden()
    opener.click()
    expect(frame.locator(".message.bot")).to_have_count(1)
