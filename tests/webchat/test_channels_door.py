"""The door for platforms: what is forged leaves no trace, what is verified is committed before the answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from bot.build import Product
from bot.channel import Account, Answer, Request
from bot.channels import CHANNELS
from bot.channels.webchat import WebChat
from bot.errors import Forged, Malformed
from bot.message import Incoming, Kind
from bot.store.inbox import inbox
from webhooks import create_app
from webhooks.channels import LARGEST_BODY

URL = "/channels/platform/main"


class Platform(WebChat):
    """A pushed channel in a few lines: the header `x-secret` proves it; the body lists texts."""

    def receive(self, request: Request) -> Answer:
        if request.headers.get("x-secret") != self.account.secret:
            raise Forged("secret")
        if request.method == "GET":
            return Answer(200, request.query["echo"])
        try:
            texts = json.loads(request.body)
        except ValueError:
            raise Malformed("not JSON") from None
        events = [Incoming(f"update:{words}", Kind.TEXT, "someone", text=words) for words in texts]
        return Answer(200, "success", incoming=events)


@pytest.fixture
def platform(product: Product, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """The web chat's account row serves under another name."""
    main = product.accounts["webchat", "main"]
    account = Account(main.id, "platform", "main", secret="s3cret")
    monkeypatch.setitem(CHANNELS, "platform", Platform)
    monkeypatch.setitem(product.accounts, ("platform", "main"), account)
    monkeypatch.setitem(product.channels._made, main.id, Platform(account))
    return create_app(product).test_client()


def _post(client: FlaskClient, body: bytes, secret: str = "s3cret") -> Any:
    return client.post(URL, data=body, headers={"X-Secret": secret})


def _rows(product: Product) -> list[Any]:
    with product.database.read() as db:
        return list(
            db.execute(select(inbox.c.kind, inbox.c.text, inbox.c.sequence, inbox.c.detail).order_by(inbox.c.id))
        )


def test_a_batch_is_committed_in_order_and_answered_as_the_platform_wants(
    platform: FlaskClient, product: Product
) -> None:
    answer = _post(platform, b'["one", "two"]')
    assert (answer.status_code, answer.text) == (200, "success")
    assert [(row.text, row.sequence) for row in _rows(product)] == [("one", 1), ("two", 2)]


def test_a_repeat_changes_nothing(platform: FlaskClient, product: Product) -> None:
    for _ in range(3):
        assert _post(platform, b'["one"]').status_code == 200
    assert len(_rows(product)) == 1


def test_a_forged_post_leaves_no_row_and_nothing_in_the_log(
    platform: FlaskClient, product: Product, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert _post(platform, b'["my number is 13800138000"]', "wrong").status_code == 403
    assert _post(platform, b'["my number is 13800138000"]', "\xff").status_code == 403
    assert _rows(product) == []
    captured = capsys.readouterr()
    assert "13800138000" not in captured.out + captured.err + caplog.text


def test_a_malformed_post_of_the_platform_is_recorded_once(platform: FlaskClient, product: Product) -> None:
    for _ in range(2):
        assert _post(platform, b"{").status_code == 200
    assert [(row.kind, row.detail, row.sequence) for row in _rows(product)] == [("malformed", "not JSON", None)]


def test_a_get_is_the_channels_business(platform: FlaskClient) -> None:
    answer = platform.get(f"{URL}?echo=hello", headers={"X-Secret": "s3cret"})
    assert (answer.status_code, answer.text) == (200, "hello")


def test_too_large_is_413_before_it_is_looked_at(platform: FlaskClient, product: Product) -> None:
    assert _post(platform, b" " * (LARGEST_BODY + 1), "wrong").status_code == 413
    assert _rows(product) == []


@pytest.mark.parametrize("path", ["/channels/platform/other", "/channels/nothing/main", "/channels/webchat/main"])
def test_unknown_accounts_and_channels_that_are_not_pushed_are_404(platform: FlaskClient, path: str) -> None:
    if "webchat" in path:
        platform = create_app(platform.application.extensions["tingsu"]).test_client()
        platform.application.extensions["tingsu"].channels._made.clear()
    assert platform.post(path, data=b"[]").status_code == 404


def test_database_away_is_503_so_that_the_platform_repeats(
    platform: FlaskClient, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.webchat.test_live import _Away

    monkeypatch.setattr(product.database, "engine", _Away())
    answer = _post(platform, b'["one"]')
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0


def test_other_methods_are_405(platform: FlaskClient) -> None:
    answer = platform.put(URL)
    assert answer.status_code == 405 and "POST" in answer.headers["Allow"]


def test_ready_says_what_works(app_with: Callable[..., Flask]) -> None:
    client = app_with(TINGSU_REDIS_URL="redis://127.0.0.1:9/0").test_client()
    answer = client.get("/ready")
    assert (answer.status_code, answer.get_json()["degraded"]) == (200, ["redis"])
    assert client.get("/live").get_json() == {"live": True}


def test_not_ready_without_a_database(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.webchat.test_live import _Away

    client = create_app(product).test_client()
    monkeypatch.setattr(product.database, "engine", _Away())
    answer = client.get("/ready")
    assert (answer.status_code, answer.get_json()["checks"]) == (
        503,
        {"staying": True, "migrations": False, "write": False},
    )
    assert client.get("/live").status_code == 200
