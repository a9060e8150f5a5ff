"""Who may do what: every route with every role, refused writes, and the headers of every answer."""

from collections.abc import Callable

import pytest
from flask import Flask

from bot.build import Product
from bot.users import ROLES
from console import access, create_app
from tests.console.seats import Seat, hidden, words

WRITES = ["claim", "reply", "release", "close", "held", "again", "leave"]

# Every route as a request, with what it needs. {c}: a conversation.
REQUESTS = {
    "static": ("GET", "/static/console.css"),
    "live": ("GET", "/live"),
    "figures.metrics": ("GET", "/metrics"),
    "login.form": ("GET", "/login"),
    "login.enter": ("POST", "/login"),
    "login.leave": ("POST", "/logout"),
    "login.account": ("GET", "/account"),
    "login.language": ("POST", "/account/language"),
    "queue.inbox": ("GET", "/"),
    "queue.live": ("GET", "/inbox/live"),
    "queue.numbers": ("GET", "/inbox/counts"),
    "stream.events": ("GET", "/stream?conversation=999"),
    "chat.show": ("GET", "/conversations/{c}"),
    "chat.live": ("GET", "/conversations/{c}/live"),
    "chat.attachment": ("GET", "/conversations/{c}/attachments/1"),
    **{f"chat.{what}": ("POST", f"/conversations/{{c}}/{what}") for what in WRITES},
    "complaints.state": ("POST", "/complaints/1/state"),
    "letters.page": ("GET", "/letters"),
    "letters.live": ("GET", "/letters/live"),
    "letters.replay": ("POST", "/letters/message-1/replay"),
    "letters.discard": ("POST", "/letters/message-1/discard"),
}


def test_the_table_names_every_route_and_no_other(app: Flask) -> None:
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == access.ACCESS.keys() == REQUESTS.keys()


def test_a_route_without_an_entry_stops_the_start(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {name: roles for name, roles in access.ACCESS.items() if name != "chat.held"}
    monkeypatch.setattr(access, "ACCESS", fewer)
    with pytest.raises(RuntimeError, match=r"chat\.held"):
        create_app(product)


@pytest.mark.parametrize("role", ROLES)
def test_every_route_with_every_role(seat: Callable[..., Seat], waiting: int, role: str) -> None:
    person = seat("someone", role)
    for endpoint, (method, path) in REQUESTS.items():
        if endpoint in ("login.leave", "login.enter"):
            continue
        url = path.format(c=waiting)
        answer = person.get(url) if method == "GET" else person.press(url)
        allowed = access.ACCESS[endpoint] in (access.ANYONE, access.MACHINES) or role in access.ACCESS[endpoint]
        assert (answer.status_code != 403) is allowed, f"{role} {endpoint}: {answer.status_code}"
        assert answer.status_code < 500
        answer.close()


def test_without_a_login_only_the_login_page_is_there(app: Flask, waiting: int) -> None:
    client = app.test_client()
    for endpoint, (method, path) in REQUESTS.items():
        answer = client.open(path.format(c=waiting), method=method)
        answer.close()
        if access.ACCESS[endpoint] in (access.ANYONE, access.MACHINES):
            continue
        if endpoint == "stream.events":
            assert answer.status_code == 401
        else:
            assert answer.status_code == 303
            assert answer.location.startswith("/login?next=")


def test_marketing_reads_no_conversation(seat: Callable[..., Seat], waiting: int) -> None:
    person = seat("brand", "marketing")
    for path in ("/", f"/conversations/{waiting}", "/stream"):
        page = person.get(path, headers={"Accept-Language": "zh"})
        assert page.status_code == 403
        assert "没有权限" in page.text
        assert "宽带" not in page.text


def test_a_page_that_refreshes_itself_is_sent_to_the_login(app: Flask, waiting: int) -> None:
    answer = app.test_client().get(
        f"/conversations/{waiting}/live",
        headers={"HX-Request": "true", "HX-Current-URL": f"http://localhost/conversations/{waiting}"},
    )
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == f"/login?next=/conversations/{waiting}"


@pytest.mark.parametrize("what", WRITES)
def test_writes_need_the_token(agent: Seat, waiting: int, what: str) -> None:
    for csrf in ("", "x", agent.csrf + "x", "名"):
        answer = agent.press(f"/conversations/{waiting}/{what}", csrf=csrf, seen_epoch=2)
        assert answer.status_code == 403
    with agent.product.database.read() as db:
        from bot.store import conversations

        found = conversations.read(db, waiting)
    assert found is not None and found.state == "queued"


def test_the_token_of_another_session_does_not_do(seat: Callable[..., Seat], waiting: int) -> None:
    one, other = seat("one"), seat("other")
    assert one.press(f"/conversations/{waiting}/claim", csrf=other.csrf, seen_epoch=2).status_code == 403


def test_the_token_may_come_as_a_header(agent: Seat) -> None:
    answer = agent.client.post("/account/language", data={"language": "en"}, headers={"X-CSRF-Token": agent.csrf})
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "origin", ["null", "https://evil.example", "http://localhost.evil.example", "http://localhost:1"]
)
def test_writes_from_elsewhere_are_refused(agent: Seat, origin: str) -> None:
    data = {"csrf": agent.csrf, "language": "en"}
    assert agent.client.post("/account/language", data=data, headers={"Origin": origin}).status_code == 403


def test_writes_from_here_and_from_named_origins_pass(
    make_product: Callable[..., Product], seat: Callable[..., Seat], agent: Seat
) -> None:
    data = {"csrf": agent.csrf, "language": "en"}
    here = agent.client.post("/account/language", data=data, headers={"Origin": "http://localhost"})
    assert here.status_code == 303
    named = create_app(make_product(TINGSU_CONSOLE_ORIGINS="https://desk.example"))
    person = Seat(named, "behind-a-proxy")
    data["csrf"] = person.csrf
    there = person.client.post("/account/language", data=data, headers={"Origin": "https://desk.example"})
    assert there.status_code == 303


def test_the_login_form_needs_its_token(app: Flask) -> None:
    client = app.test_client()
    client.get("/login")
    assert client.post("/login", data={"name": "a", "password": "b"}).status_code == 403
    stranger = app.test_client()
    stolen = hidden(client.get("/login").text, "csrf")
    assert stranger.post("/login", data={"csrf": stolen, "name": "a", "password": "b"}).status_code == 403


def test_every_answer_carries_the_headers(agent: Seat, waiting: int) -> None:
    for path in ("/", f"/conversations/{waiting}", "/account", "/nothing", "/conversations/999"):
        headers = agent.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "same-origin"


def test_pages_have_nothing_inline(agent: Seat, waiting: int) -> None:
    for path in ("/", f"/conversations/{waiting}", "/account", "/nothing"):
        page = agent.get(path).text
        assert "style=" not in page and " on" + "click" not in page and "<style" not in page
        assert page.count("<script") == page.count("<script defer src=")


def test_the_session_cookie_is_for_the_browser_only(app: Flask, seat: Callable[..., Seat]) -> None:
    Seat(app, "someone")
    client = app.test_client()
    form = client.get("/login").text
    answer = client.post(
        "/login", data={"csrf": hidden(form, "csrf"), "name": "someone", "password": "a long password 1"}
    )
    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("tingsu_console_"))
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie


def test_the_session_cookie_is_secure_behind_https(make_product: Callable[..., Product]) -> None:
    app = create_app(make_product(TINGSU_CONSOLE_ORIGINS="https://desk.example"))
    answer = app.test_client().get("/login")
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(("language", "title"), [("zh", "没有这个页面"), ("en", "There is no such page")])
def test_problems_speak_the_readers_language(agent: Seat, language: str, title: str) -> None:
    agent.press("/account/language", language=language)
    page = agent.get("/conversations/999")
    assert page.status_code == 404
    assert title in words(page.text)


def test_a_broken_view_says_so_and_nothing_else(app: Flask, agent: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr("console.queue.gather", lambda *_: 1 / 0)
    page = agent.get("/")
    assert page.status_code == 500
    assert "系统出错了" in page.text and "ZeroDivision" not in page.text


def test_numbers_that_no_database_takes_are_not_there(agent: Seat) -> None:
    for number in ("0", "99999999999999999999999999", "-1", "x"):
        assert agent.get(f"/conversations/{number}").status_code == 404
