"""The pages as they are served: both languages, nothing inline, nothing unescaped, problems said kindly."""

import json
import re
from collections.abc import Callable
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from webhooks import pages

PAGES = ["/chat?lang=zh", "/chat?lang=en", "/privacy?lang=zh", "/nowhere?lang=en"]


def test_the_root_leads_to_the_chat(client: FlaskClient) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/chat")


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_inline_and_the_policy_says_so(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", answer.text)
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("header", "cookie_language", "expected"),
    [("en-GB,en;q=0.9", "", "en"), ("zh-CN", "", "zh-CN"), ("fr", "", "zh-CN"), ("en", "zh", "zh-CN")],
)
def test_the_language_is_the_sessions_or_the_browsers(
    app: Flask, header: str, cookie_language: str, expected: str
) -> None:
    client = app.test_client()
    if cookie_language:
        own = {"Origin": "http://localhost"}
        client.post("/chat/v1/sessions", json={"language": cookie_language}, headers=own)
    page = client.get("/chat", headers={"Accept-Language": header}).text
    assert f'<html lang="{expected}">' in page


def test_the_scripts_get_every_text_that_they_say(client: FlaskClient) -> None:
    for language in ("zh", "en"):
        page = client.get(f"/chat?lang={language}").text
        found = re.search(r'data-texts="([^"]*)"', page)
        assert found is not None
        texts = json.loads(unescape(found[1]))
        assert set(texts) == set(pages._LIVE)
        assert "{position}" in texts["queued"] and "{name}" in texts["agent"]


def test_what_scripts_say_is_in_the_list(app: Flask) -> None:
    folder = app.root_path + "/static/chat"
    from pathlib import Path

    said = {key for file in Path(folder).glob("*.js") for key in re.findall(r'\bsay\("(\w+)"', file.read_text())}
    assert said <= set(pages._LIVE)


def test_an_operators_name_cannot_break_the_page(app_with: Callable[..., Flask]) -> None:
    page = app_with(TINGSU_OPERATOR_EN='<b>"Evil"</b>').test_client().get("/chat?lang=en").text
    assert "<b>" not in page.replace('<b class="unseen">', "")


def test_a_hotline_and_a_policy_are_shown_if_there_are_any(app_with: Callable[..., Flask], client: FlaskClient) -> None:
    assert "10000" not in client.get("/privacy").text
    more = {"TINGSU_HOTLINE": "10000", "TINGSU_PRIVACY_URL": "https://operator.example/privacy"}
    page = app_with(**more).test_client().get("/privacy").text
    assert "10000" in page and "https://operator.example/privacy" in page


def test_problems_are_a_page_for_people_and_json_for_programs(client: FlaskClient) -> None:
    page = client.get("/nowhere?lang=en")
    assert page.status_code == 404 and page.mimetype == "text/html"
    assert "There is no such page." in page.text and "没有这个页面。" in page.text
    answer = client.get("/chat/v1/nowhere")
    assert answer.status_code == 404 and answer.get_json()["error"]["code"] == "not_found"


def test_origins_that_may_frame_the_page_are_named(app_with: Callable[..., Flask]) -> None:
    client = app_with(TINGSU_WEBCHAT_ORIGINS="https://www.operator.example").test_client()
    policy = client.get("/chat").headers["Content-Security-Policy"]
    assert policy.endswith("frame-ancestors 'self' https://www.operator.example")


def test_over_https_browsers_are_told_to_stay_there(client: FlaskClient) -> None:
    assert "Strict-Transport-Security" not in client.get("/chat").headers
    assert "max-age=" in client.get("/chat", base_url="https://localhost").headers["Strict-Transport-Security"]


def test_scripts_are_served_as_scripts(client: FlaskClient) -> None:
    with client.get("/static/chat/chat.js") as answer:
        assert answer.status_code == 200 and answer.mimetype == "text/javascript"
