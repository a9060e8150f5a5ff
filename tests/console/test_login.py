"""Logging in and out: what is said, where it leads, and the account page."""

from collections.abc import Callable

import pytest
from flask import Flask

from bot import users
from tests.console.seats import PASSWORD, Seat, token, words


def _enter(app: Flask, name: str, password: str, **more: str) -> tuple[int, str]:
    client = app.test_client()
    form = client.get("/login", query_string=more).text
    answer = client.post("/login", data={"csrf": token(form), "name": name, "password": password} | more)
    return answer.status_code, answer.location or words(answer.text)


def test_unknown_and_wrong_get_the_same_answer(app: Flask, agent: Seat) -> None:
    unknown = _enter(app, "nobody", PASSWORD)
    wrong = _enter(app, "li.ting", "not this one")
    assert unknown == (401, wrong[1].replace("li.ting", "nobody"))
    assert "用户名或密码不正确" in unknown[1]


def test_incomplete(app: Flask) -> None:
    for name, password in (("", ""), ("a", ""), (" ", "b")):
        status, said = _enter(app, name, password)
        assert status == 400 and "请填写" in said


def test_throttled_says_how_long_to_wait(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "NAME_LIMIT", 1)
    _enter(app, "nobody", "guess")
    status, said = _enter(app, "nobody", "guess")
    assert status == 429 and "请等 15 分钟" in said


@pytest.mark.parametrize("target", ["/account", "/conversations/3?x=1"])
def test_login_leads_where_one_wanted_to_go(app: Flask, agent: Seat, target: str) -> None:
    assert _enter(app, "li.ting", PASSWORD, next=target) == (303, target)


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\t//evil.example", ""],
)
def test_login_leads_nowhere_else(app: Flask, agent: Seat, target: str) -> None:
    assert _enter(app, "li.ting", PASSWORD, next=target) == (303, "/")


def test_marketing_is_led_to_its_account(app: Flask, seat: Callable[..., Seat]) -> None:
    seat("brand", "marketing")
    assert _enter(app, "brand", PASSWORD) == (303, "/account")


def test_who_is_logged_in_needs_no_form(agent: Seat) -> None:
    assert agent.get("/login").location == "/"


def test_logout_ends_the_session_on_the_server(agent: Seat) -> None:
    kept = agent.client.get_cookie("tingsu_console_8001")
    assert kept is not None
    assert agent.press("/logout").status_code == 303
    agent.client.set_cookie("tingsu_console_8001", kept.value)
    assert agent.get("/").status_code == 303


def test_the_language_is_the_logins_own(agent: Seat) -> None:
    assert "我的账号" in agent.get("/account").text
    assert agent.press("/account/language", language="en", next="/account").location == "/account"
    page = agent.get("/account")
    assert "My account" in page.text and '<html lang="en">' in page.text
    assert agent.press("/account/language", language="xx").status_code == 400


def test_the_login_page_speaks_what_the_browser_asks_for(app: Flask) -> None:
    client = app.test_client()
    assert "Log in" in client.get("/login", headers={"Accept-Language": "en-GB,en;q=0.9"}).text
    assert "登录" in client.get("/login", headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}).text
    assert "登录" in client.get("/login", headers={"Accept-Language": "fr"}).text
    assert "Log in" in client.get("/login?language=en", headers={"Accept-Language": "zh-CN"}).text


def test_a_language_switched_on_the_login_page_stays(app: Flask, agent: Seat) -> None:
    _enter(app, "li.ting", PASSWORD, language="en", switched="en")
    assert "My account" in agent.get("/account").text


def test_the_name_is_kept_and_escaped(app: Flask) -> None:
    client = app.test_client()
    form = client.get("/login").text
    page = client.post("/login", data={"csrf": token(form), "name": '"><b>x', "password": "y"}).text
    assert 'value="&#34;&gt;&lt;b&gt;x"' in page
