"""The console in a real browser: a waiting chat appears by itself, is claimed, answered and released; two people at once."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from werkzeug.serving import make_server

from bot.build import Product
from bot.dialogue import Script
from console import create_app
from tests.console.test_letters import stop
from tests.talking import Hands, complaint_talk

pytestmark = pytest.mark.browser

PASSWORD = "a long password 1"
VENDOR = Path(__file__).parents[2] / "console/static/vendor/htmx.js"
# Without these a browser that cannot reach the network keeps trying.
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None or not VENDOR.exists():
        missing = "chromium" if path is None else "static/vendor (make setup)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs {missing}")
        pytest.skip(f"no {missing} here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def database_url(tmp_path: Path, sqlite_template: Path) -> str:
    """On SQLite only: what a browser does is the same on PostgreSQL, where tests/console looks at the answers."""
    shutil.copy(sqlite_template, tmp_path / "tingsu.sqlite3")
    return f"sqlite:///{tmp_path / 'tingsu.sqlite3'}"


@pytest.fixture
def address(product: Product) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(product), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hands(product: Product, script: Script) -> Hands:
    script.answer = complaint_talk
    return Hands(product)


@pytest.fixture
def log_in(chromium: Browser, product: Product, address: str) -> Iterator[Callable[..., Page]]:
    """A page of a person of this name; at the end no page may have complained (a refused script, an exception)."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def enter(name: str, role: str = "agent", **how: object) -> Page:
        product.people.add(name, role, PASSWORD)
        context = chromium.new_context(locale="zh-CN", **how)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
        page.goto(address)
        page.get_by_label("用户名").fill(name)
        page.get_by_label("密码").fill(PASSWORD)
        page.get_by_label("密码").press("Enter")
        expect(page.locator("#waiting")).to_be_visible()
        return page

    yield enter
    for context in contexts:
        context.close()
    assert complaints == []


def test_an_agents_day(log_in: Callable[..., Page], hands: Hands) -> None:
    li, wang = log_in("li"), log_in("wang")
    expect(li.locator("#waiting")).to_contain_text("现在没有人在等")
    hands.say("customer", "我家宽带断了三天")
    hands.say("customer", "转人工")
    for page in (li, wang):  # without reload
        expect(page.locator("#waiting-list li")).to_have_count(1)
        expect(page.locator("#counts")).to_contain_text("1 待接入")
    wang.locator("#waiting-list a.cover").click()
    li.locator("#waiting-list").get_by_role("button", name="接入").click()
    expect(li.locator("#banner")).to_contain_text("已接入")
    expect(wang.locator("#overview")).to_contain_text("li")  # the other sees it at once
    expect(wang.locator("#act-claim")).to_have_count(0)

    box = li.get_by_label("回复", exact=True).and_(li.locator("textarea"))
    box.fill("您好，正在为您查")
    hands.say("customer", "还在吗")
    expect(li.locator("#transcript")).to_contain_text("还在吗")
    expect(li.locator("#transcript")).to_contain_text("未答复")
    expect(box).to_have_value("您好，正在为您查")  # a refresh leaves what is being typed alone
    box.press("Control+Enter")
    expect(li.locator("#transcript .agent")).to_contain_text("您好，正在为您查")
    expect(box).to_have_value("")
    expect(li.locator(".mark.hot")).to_have_count(0)
    hands.work()
    expect(li.locator("#transcript .agent .mark")).to_have_text("已送出")
    expect(wang.locator("#transcript .agent")).to_contain_text("您好，正在为您查")
    assert hands.heard("customer")[-1] == "您好，正在为您查"

    li.get_by_role("button", name="交还机器人").click()
    expect(li.locator("#banner")).to_contain_text("已交还机器人")
    assert hands.conversation("customer").state == "bot"
    li.keyboard.press("g")
    expect(li.locator("#mine")).to_contain_text("您还没有接入会话")


def test_the_slower_one_is_told_and_keeps_the_text(
    log_in: Callable[..., Page], hands: Hands, product: Product, address: str
) -> None:
    li, wang = log_in("li"), log_in("wang")
    hands.say("customer", "乱扣费")
    hands.say("customer", "转人工")
    number = hands.conversation("customer").id
    for page in (li, wang):
        page.goto(f"{address}/conversations/{number}")
        page.locator("#text").fill("我来处理")
    wang.route("**/stream?*", lambda route: route.abort())  # a page that has lost its live updates
    wang.reload()
    expect(wang.locator("#text")).to_have_value("我来处理")  # kept over a reload
    expect(wang.locator("#offline")).to_be_visible()
    li.locator("#transcript").focus()
    li.keyboard.press("c")
    expect(li.locator("#banner")).to_contain_text("已接入")
    wang.locator("#act-claim").click()
    expect(wang.locator("#banner")).to_contain_text("“li”")
    expect(wang.locator("#text")).to_have_value("我来处理")
    expect(wang.locator("#reply .send")).to_be_hidden()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out(log_in: Callable[..., Page], hands: Hands, address: str, width: int) -> None:
    page = log_in("li", viewport={"width": width, "height": 740})
    hands.say("customer", "a" * 500 + " مرحبا \u202eabc" + "啊" * 300, display_name="很长的名字" * 12)
    hands.say("customer", "转人工")
    for path in ("/", f"/conversations/{hands.conversation('customer').id}", "/account"):
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


def test_everything_by_keyboard(log_in: Callable[..., Page], hands: Hands) -> None:
    page = log_in("li")
    hands.say("customer", "没有信号")
    hands.say("customer", "人工")
    expect(page.locator("#waiting-list li")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator("#waiting-list a.cover")).to_be_focused()
    page.keyboard.press("c")
    expect(page.locator("#banner")).to_contain_text("已接入")
    page.wait_for_load_state("load")  # by then the page's script hears keys
    page.keyboard.press("r")
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.type("cjk 收到")  # letters are text in the box, not commands
    page.keyboard.press("Control+Enter")
    expect(page.locator("#transcript .agent")).to_contain_text("cjk 收到")


def test_a_supervisor_decides_what_stopped(log_in: Callable[..., Page], hands: Hands, product: Product) -> None:
    hands.say("customer", "我家宽带断了三天", display_name="王女士")
    page = log_in("zhao", role="supervisor", viewport={"width": 1280, "height": 860})
    expect(page.locator(".count.bad")).to_have_count(0)
    stopped = [stop(product, hands.conversation("customer").id, state) for state in ("dead", "uncertain")]
    product.bell.ring("live")
    page.get_by_role("link", name="未送达").first.click()
    expect(page.locator("#letters-list li")).to_have_count(2)
    first = page.locator(f"#message-{stopped[0]}")
    first.get_by_text("再发一次…").click()
    first.get_by_role("button", name="确认再来一次").click()
    expect(page.locator("#banner")).to_contain_text("已安排再来一次")
    expect(page.locator("#letters-list li")).to_have_count(1)
    page.locator("#letters-list").get_by_text("不再处理…").click()
    page.get_by_label("为什么").select_option("told otherwise")
    page.get_by_role("button", name="确认不再处理").click()
    expect(page.locator("#letters-empty")).to_contain_text("现在没有异常")
    hands.work()
    assert "您的投诉有进展" in hands.heard("customer")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_of_what_stopped_fits(
    log_in: Callable[..., Page], hands: Hands, product: Product, address: str, width: int
) -> None:
    hands.say("customer", "宽带断了", display_name="很长的名字" * 12)
    stop(product, hands.conversation("customer").id, text="a" * 500, reason="x" * 64)
    page = log_in("zhao", role="supervisor", viewport={"width": width, "height": 740})
    page.goto(f"{address}/letters")
    page.get_by_text("不再处理…").click()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
