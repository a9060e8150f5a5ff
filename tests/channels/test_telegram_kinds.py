"""Every kind of update that Telegram has: what becomes of it, as docs/telegram.md tells it.

The payloads are written after Telegram's documentation, not captured: no test here may reach Telegram. After a change,
`python -m tests.channels.test_telegram_kinds` writes the table anew.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from telegram import Update

from bot import settings as settings_file
from bot.build import Product, build
from bot.channel import Account, Pushed, Request
from bot.channels import CHANNELS
from bot.dialogue import Script
from bot.store import outbox
from bot.store.database import Database, upgrade
from bot.store.inbox import inbox

HERE = Path(__file__).parent
PAYLOADS: list[dict[str, Any]] = json.loads((HERE / "payloads" / "telegram.json").read_text(encoding="utf-8"))
DOC = HERE.parent.parent / "docs" / "telegram.md"
BEGIN, END = "<!-- kinds: begin -->\n", "<!-- kinds: end -->\n"
ENVIRONMENT = {"TINGSU_TELEGRAM_TOKEN": "123456:invented", "TINGSU_TELEGRAM_WEBHOOK_SECRET": "invented-secret"}
SECRET = {"x-telegram-bot-api-secret-token": "invented-secret"}


def post(product: Product, update: Mapping[str, Any]) -> dict[str, Any]:
    """As the door does it. Gives what was stored, what the customer is told, and what Telegram was answered."""
    account: Account = product.accounts["telegram", "main"]
    channel = product.channels[account.id]
    assert isinstance(channel, Pushed)
    answer = channel.receive(Request("POST", {}, SECRET, json.dumps(update).encode()))
    [event] = answer.incoming
    accepted = product.inbox.accept(account, event)
    told = ""
    with product.database.read() as db:
        row = db.execute(select(inbox).order_by(inbox.c.id.desc()).limit(1)).one()
        if accepted.conversation_id is not None:
            written = outbox.history(db, accepted.conversation_id)
            told = written[-1].text_key if written else ""
    body = json.loads(answer.body) if answer.body else {}
    return {
        "kind": row.kind,
        "disposition": row.disposition,
        "files": len(event.attachments),
        "conversation": row.conversation_id is not None,
        "told": told,
        "answer": body.get("method", ""),
        "text": row.text,
    }


def fresh(product: Product, one: Mapping[str, Any]) -> dict[str, Any]:
    """Each payload in a conversation of its own: what it alone brings."""
    number = PAYLOADS.index(dict(one)) + 5000
    whole = json.dumps(one["update"]).replace('"id": 4711', f'"id": {number}')
    return post(product, json.loads(whole))


@pytest.mark.parametrize("one", PAYLOADS, ids=lambda one: str(one["what"]))
def test_every_kind_has_a_row_and_whoever_waits_an_answer(make_telegram: Product, one: Mapping[str, Any]) -> None:
    became = fresh(make_telegram, one)
    assert became["disposition"], "acknowledged means recorded"
    if became["disposition"] == "unsupported":
        assert became["told"] == "system.unsupported"
    if became["files"]:
        assert (became["kind"], became["disposition"]) == ("media", "open")
    assert became["conversation"] or not became["text"], "where others read along no word is kept"


@pytest.fixture
def make_telegram(make_product: Any) -> Product:
    made: Product = make_product(**ENVIRONMENT)
    return made


def test_no_kind_of_the_library_is_missing() -> None:
    seen = {name for one in PAYLOADS for name in one["update"]}
    assert set(Update.ALL_TYPES) <= seen


def test_the_page_tells_what_is_true() -> None:
    page = DOC.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == table()


def test_a_group_is_shown_the_way_once_and_none_of_its_words_are_kept(make_telegram: Product) -> None:
    said = next(one["update"] for one in PAYLOADS if one["what"] == "message in a group")
    first = post(make_telegram, said)
    again = post(make_telegram, said | {"update_id": said["update_id"] + 1})
    assert (first["answer"], again["answer"]) == ("sendMessage", "")
    with make_telegram.database.read() as db:
        kept = [str(row) for row in db.execute(select(inbox))]
    assert len(kept) == 2 and not any("13800138000" in row or "宽带" in row for row in kept)


def test_the_way_is_a_link_when_the_bots_name_is_known(make_product: Any) -> None:
    said = next(one["update"] for one in PAYLOADS if one["what"] == "message in a group")
    for name, expected in (("tingsu_demo_bot", "https://t.me/tingsu_demo_bot?start=group"), ("", "点我的名字")):
        product = make_product(**ENVIRONMENT, TINGSU_TELEGRAM_NAME=name)
        channel = CHANNELS["telegram"](product.accounts["telegram", "main"])
        assert isinstance(channel, Pushed)
        body = json.loads(channel.receive(Request("POST", {}, SECRET, json.dumps(said).encode())).body)
        assert body["chat_id"] == said["message"]["chat"]["id"] and expected in body["text"]


def table() -> str:
    """Made by letting every payload through a product of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {"TINGSU_HOME": folder, "TINGSU_SECRET_KEY": "for this table only, and long enough", **ENVIRONMENT}
        settings = settings_file.read(environ)
        database = Database(settings.database_url)
        upgrade(database)
        database.close()
        product = build(settings, dialogue=Script())
        try:
            rows = [_row(one["what"], fresh(product, one)) for one in PAYLOADS]
        finally:
            product.close()
    return "\n".join(["| what comes | kept as | what follows |", "|---|---|---|", *rows]) + "\n"


_FOLLOWS = {
    "open": "a turn",
    "unsupported": "the customer is told that we cannot read it",
    "replaced": "takes the place of what it corrects",
    "stale_tap": "a tap on a question that is not open: answered with the open question",
}


def _row(what: str, became: Mapping[str, Any]) -> str:
    where = "conversation" if became["conversation"] else "no conversation"
    follows = _FOLLOWS.get(became["disposition"], "nothing")
    if became["answer"] == "sendMessage":
        follows = "the group is told once a day where to write"
    if became["files"]:
        follows = "the file is fetched and checked, then a turn"
    return f"| {what} | {became['kind']}, {became['disposition']}, {where} | {follows} |"


if __name__ == "__main__":
    before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
    DOC.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")
