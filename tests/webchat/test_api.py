"""The web chat API: sessions, messages, history, language; limits and refusals. The stream has its own file."""

import json
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from sqlalchemy import select, text

from bot.build import Product
from bot.dialogue import Script
from bot.store import conversations
from bot.store.webchat import webchat_session
from tests.talking import Hands
from tests.webchat.visitor import Visitor, new_id
from webhooks import visits


def test_the_openapi_document_is_valid(visitor: Visitor) -> None:
    validate(visitor.spec)


def test_the_token_is_stored_as_a_hash_only(visitor: Visitor, product: Product) -> None:
    with product.database.read() as db:
        row = db.execute(select(webchat_session)).one()
    assert len(visitor.token) == 43  # 256 bits in base64
    assert visitor.token not in str(row)
    assert row.visitor not in visitor.token


def test_a_message_is_committed_before_the_answer(visitor: Visitor, product: Product) -> None:
    answer = visitor.say("家里宽带断了", "client-one-1")
    assert (answer.status_code, answer.get_json()) == (
        202,
        {"id": "client-one-1", "sequence": 1, "duplicate": False},
    )
    assert visitor.history()["messages"][0]["text"] == "家里宽带断了"


def test_the_same_id_again_has_no_second_effect(visitor: Visitor, hands: Hands, script: Script) -> None:
    first = visitor.say("家里宽带断了", "client-one-1").get_json()
    hands.work()
    again = visitor.say("别的话", "client-one-1").get_json()
    hands.work()
    assert again == {**first, "duplicate": True}
    assert len(script.asked) == 1
    assert [line["text"] for line in visitor.history()["messages"] if line["side"] == "customer"] == ["家里宽带断了"]


def test_two_visitors_may_use_the_same_id(client: FlaskClient) -> None:
    for visitor in (Visitor(client).begin("zh"), Visitor(client).begin("en")):
        assert visitor.say("hello there", "client-one-1").get_json()["duplicate"] is False


def test_history_is_what_was_said_and_where_to_listen_on(visitor: Visitor, hands: Hands) -> None:
    visitor.say("家里宽带断了", "client-one-1")
    hands.work()
    past = visitor.history()
    assert [(line["side"], line["id"], line["stream"]) for line in past["messages"]] == [
        ("customer", "client-one-1", None),
        ("bot", None, 1),
    ]
    assert (past["after"], past["state"]) == (1, {"state": "bot", "position": None, "agent": None})


def test_before_the_first_message_history_is_empty(visitor: Visitor) -> None:
    past = visitor.history()
    assert (past["messages"], past["after"], past["language"]) == ([], 0, "zh")


def test_a_tap_on_human_queues_and_stop_waiting_comes_back(visitor: Visitor, hands: Hands) -> None:
    visitor.tap("human")
    hands.work()
    assert visitor.history()["state"] == {"state": "queued", "position": 1, "agent": None}
    visitor.tap("stop_waiting")
    hands.work()
    assert visitor.history()["state"]["state"] == "bot"


def test_the_second_in_the_queue_is_told_so(client: FlaskClient, hands: Hands) -> None:
    first, second = Visitor(client).begin("zh"), Visitor(client).begin("zh")
    for visitor in (first, second):
        visitor.tap("human")
    assert second.history()["state"]["position"] == 2
    first.tap("stop_waiting")
    assert second.history()["state"]["position"] == 1


def test_an_agent_is_named(visitor: Visitor, product: Product, hands: Hands) -> None:
    visitor.tap("human")
    hands.work()
    agent = product.people.add("li.ming", "agent", "a long enough password 7")
    with product.database.read() as db:
        waiting = conversations.queue(db)[0]
    product.ownership.claim(waiting.id, waiting.epoch, agent)
    product.ownership.reply(waiting.id, agent, "reply-0001", "您好，我来处理。", 1)
    hands.work()
    past = visitor.history()
    assert past["state"] == {"state": "agent", "position": None, "agent": "li.ming"}
    assert [(line["side"], line["author"]) for line in past["messages"]][-1] == ("agent", "li.ming")


def test_typed_text_is_never_a_payload_and_kept_as_it_was(visitor: Visitor) -> None:
    typed = ["1.0", "/intent{}", "／confirm", "<b>hi</b>", "\u202egnirts", "🙂", "a\u0001b", " two  spaces\n"]
    for words in typed:
        assert visitor.say(words).status_code == 202
    assert [line["text"] for line in visitor.history()["messages"]] == typed


_MESSAGE = {"id": "client-one-1", "text": "hello"}


# One test for all of them: each costs a request, not a database.
_BAD: list[tuple[object, str]] = [
    (b"", "not_json"),
    (b"{", "not_json"),
    (b"[" * 50_000, "not_json"),
    (b"\xff\xfe", "not_json"),
    (b"[]", "not_an_object"),
    (b"null", "not_an_object"),
    (b'"text"', "not_an_object"),
    ({"text": "hello"}, "id"),
    ({**_MESSAGE, "id": "short"}, "id"),
    ({**_MESSAGE, "id": "x" * 65}, "id"),
    ({**_MESSAGE, "id": "with space in it"}, "id"),
    ({**_MESSAGE, "id": 12345678}, "id"),
    ({**_MESSAGE, "sender": "somebody"}, "unknown_field"),
    ({"id": "client-one-1"}, "text_or_tap"),
    ({**_MESSAGE, "tap": "human"}, "text_or_tap"),
    ({**_MESSAGE, "text": None}, "not_text"),
    ({**_MESSAGE, "text": ["hello"]}, "not_text"),
    ({**_MESSAGE, "text": ""}, "empty"),
    ({**_MESSAGE, "text": " \n\u3000"}, "empty"),
    ({**_MESSAGE, "text": "长" * 4001}, "too_long"),
    ({**_MESSAGE, "text": "a\x00b"}, "characters"),
    ({**_MESSAGE, "text": "a\ud800b"}, "characters"),
    ({"id": "client-one-1", "tap": ""}, "tap"),
    ({"id": "client-one-1", "tap": "两"}, "tap"),
    ({"id": "client-one-1", "tap": "x" * 65}, "tap"),
    ({**_MESSAGE, "language": "fr"}, "language"),
]


def test_bad_messages_are_refused_with_a_reason(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "MESSAGES_PER_SESSION", "1000/minute")
    for body, code in _BAD:
        answer = visitor.raw(body if isinstance(body, bytes) else json.dumps(body).encode())
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, code), body
    assert visitor.history()["messages"] == []


def test_the_reason_is_in_the_language_of_the_session(client: FlaskClient) -> None:
    reasons = [Visitor(client).begin(language).say("长" * 5000).get_json()["error"] for language in ("zh", "en")]
    assert "4,000 字" in reasons[0]["message"] and "4,000 characters" in reasons[1]["message"]


def test_the_longest_text_is_taken_even_escaped(visitor: Visitor, hands: Hands) -> None:
    longest = "🙂" * 4000
    assert visitor.raw(json.dumps({"id": new_id(), "text": longest}).encode()).status_code == 202
    assert visitor.history()["messages"][0]["text"] == longest


def test_a_large_body_is_413_and_other_types_are_415(visitor: Visitor) -> None:
    assert visitor.raw(b" " * (64 * 1024 + 1)).status_code == 413
    assert visitor.raw(b"id=1", "application/x-www-form-urlencoded").status_code == 415


@pytest.mark.parametrize("path", ["history", "events"])
def test_without_a_session_nothing_is_told(client: FlaskClient, path: str) -> None:
    stranger = Visitor(client)
    assert stranger.get(path).status_code == 401
    stranger.token = "x" * 43
    assert stranger.get(path).status_code == 401
    assert stranger.say("hello").status_code == 401


def test_the_language_of_the_session_and_the_conversation_changes(visitor: Visitor, hands: Hands) -> None:
    visitor.say("12345678")
    assert visitor.post("language", {"language": "en"}).get_json() == {"language": "en"}
    hands.work()
    assert visitor.history()["language"] == "en"
    assert visitor.post("language", {}).status_code == 400


def test_a_message_can_bring_its_language(visitor: Visitor) -> None:
    visitor.post("messages", {"id": new_id(), "text": "12345678", "language": "en"})
    assert visitor.history()["language"] == "en"


def test_too_many_messages_are_429_and_say_when(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "MESSAGES_PER_SESSION", "3/minute")
    answers = [visitor.say("hello") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60


def test_sessions_are_limited_per_address(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "SESSIONS_PER_ADDRESS", "2/minute")
    statuses = [Visitor(client).post("sessions", {}).status_code for _ in range(3)]
    assert statuses == [201, 201, 429]


def test_a_proxy_on_this_machine_says_who_it_is_for(app: Flask) -> None:
    for peer, expected in [("127.0.0.1", "203.0.113.9"), ("198.51.100.7", "198.51.100.7"), ("", "")]:
        headers = {"X-Forwarded-For": "10.0.0.1, 203.0.113.9"}
        with app.test_request_context(headers=headers, environ_base={"REMOTE_ADDR": peer}):
            assert visits.address() == expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.9.8.7", "203.0.113.9", "203.0.113.9"),
        (
            "10.9.8.7",
            "1.1.1.1, 203.0.113.9, 10.0.0.5",
            "203.0.113.9",
        ),  # two proxies of ours; what is before, is hearsay
        ("10.9.8.7", "", "10.9.8.7"),
        ("10.9.8.7", "10.0.0.5", "10.0.0.5"),
        ("10.9.8.7", "not an address", "not an address"),
        ("127.0.0.1", "203.0.113.9", "127.0.0.1"),  # only what is listed is believed
        ("203.0.113.1", "198.51.100.1", "203.0.113.1"),
    ],
)
def test_only_our_own_proxies_are_believed(
    app_with: Callable[..., Flask], peer: str, forwarded: str, expected: str
) -> None:
    app = app_with(TINGSU_TRUSTED_PROXIES="10.0.0.0/8")
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    with app.test_request_context(headers=headers, environ_base={"REMOTE_ADDR": peer}):
        assert visits.address() == expected


def test_in_a_frame_of_another_site_the_cookie_is_partitioned(app_with: Callable[..., Flask]) -> None:
    app = app_with(TINGSU_WEBCHAT_ORIGINS="https://www.operator.example")
    for scheme, expected in (("https", ("SameSite=None", "Secure", "Partitioned")), ("http", ("SameSite=Lax",))):
        client, here = app.test_client(use_cookies=False), f"{scheme}://localhost"
        cookie = client.post("/chat/v1/sessions", base_url=here, headers={"Origin": here}).headers["Set-Cookie"]
        assert all(part in cookie for part in ("HttpOnly", *expected)), scheme


def test_the_snippet_for_other_sites_may_be_loaded_there(app: Flask) -> None:
    with app.test_client().get("/chat/embed.js") as answer:
        assert answer.mimetype in ("text/javascript", "application/javascript")
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_database_away_is_503_and_nothing_is_pretended(
    visitor: Visitor, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    product.database.close()
    monkeypatch.setattr(product.database, "engine", _broken_engine())
    answer = visitor.say("hello")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def _broken_engine() -> object:
    from sqlalchemy import create_engine

    return create_engine("postgresql+psycopg://nobody@127.0.0.1:9/nothing", connect_args={"connect_timeout": 1})


def test_a_table_that_is_missing_is_no_stack_trace(visitor: Visitor, product: Product, app: Flask) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with product.database.write() as db:
        db.execute(text("ALTER TABLE webchat_session RENAME TO gone"))
    try:
        answer = visitor.client.get("/chat/v1/history", headers=visitor.headers)
    finally:
        with product.database.write() as db:
            db.execute(text("ALTER TABLE gone RENAME TO webchat_session"))
    assert answer.status_code in (500, 503)
    assert set(answer.get_json()["error"]) == {"code", "message"}


def test_the_page_has_a_cookie_that_scripts_cannot_read(app: Flask) -> None:
    page = app.test_client()
    answer = page.post("/chat/v1/sessions", json={}, headers={"Origin": "http://localhost"})
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Lax", "Path=/chat")) and "Secure" not in cookie
    assert page.get("/chat/v1/history").status_code == 200
    secure = page.post(
        "/chat/v1/sessions", json={}, headers={"Origin": "https://localhost"}, base_url="https://localhost"
    )
    assert "Secure" in secure.headers["Set-Cookie"]


@pytest.mark.parametrize("origin", ["", "https://elsewhere.example", "null"])
def test_foreign_pages_cannot_write_by_cookie(app: Flask, origin: str) -> None:
    page = app.test_client()
    page.post("/chat/v1/sessions", json={}, headers={"Origin": "http://localhost"})
    headers = {"Origin": origin} if origin else {}
    answer = page.post("/chat/v1/messages", json=_MESSAGE, headers=headers)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "origin")
    own = page.post("/chat/v1/messages", json=_MESSAGE, headers={"Origin": "http://localhost"})
    assert own.status_code == 202


def test_allowed_origins_get_cors_for_bearer_tokens_only(app_with: Callable[..., Flask]) -> None:
    client = app_with(TINGSU_WEBCHAT_ORIGINS="https://www.operator.example").test_client(use_cookies=False)
    allowed = {"Origin": "https://www.operator.example"}
    preflight = client.options("/chat/v1/messages", headers={**allowed, "Access-Control-Request-Method": "POST"})
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://www.operator.example"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in preflight.headers
    answer = client.post("/chat/v1/sessions", json={}, headers=allowed)
    assert "Set-Cookie" not in answer.headers
    other = client.options("/chat/v1/messages", headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
