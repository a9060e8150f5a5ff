"""Files at the web chat API: looked into at once, good for their own session only, hung on a message, given back."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from bot.build import Product
from bot.dialogue import Script
from bot.inspection import LARGEST
from bot.store import blobs, inbox
from tests import files
from tests.running import free_port
from tests.talking import Hands, complaint_talk
from tests.webchat.visitor import Visitor, check, new_id
from webhooks import uploads, visits


def upload(visitor: Visitor, content: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    given = {**visitor.headers, "Content-Type": "image/png", **headers}
    response = visitor.client.post("/chat/v1/files", data=content, headers=given)
    check(visitor.spec, response)
    return response.status_code, response.get_json()


def uploaded(visitor: Visitor, content: bytes = files.PDF) -> str:
    status, body = upload(visitor, content)
    assert status == 201, body
    return str(body["file"])


def test_a_file_goes_with_a_message_and_comes_back(visitor: Visitor, product: Product) -> None:
    file = uploaded(visitor, files.photo_with_place())
    sent = visitor.post("messages", {"id": new_id(), "text": "看图", "files": [{"file": file, "name": "光猫.jpg"}]})
    assert sent.status_code == 202
    [line] = visitor.history()["messages"]
    assert (line["text"], line["files"][0]["name"], line["files"][0]["mime"]) == ("看图", "光猫.jpg", "image/jpeg")
    back = visitor.get(f"files/{line['files'][0]['number']}")
    assert back.data.startswith(b"\xff\xd8\xff") and b"anary" not in back.data
    assert back.headers["Content-Disposition"].startswith("attachment; filename=photo-")
    assert back.headers["X-Content-Type-Options"] == "nosniff"
    assert back.headers["Content-Security-Policy"].startswith("sandbox")
    with product.database.read() as db:
        [kept] = inbox.attachments(db, 1) if product.database.sqlite else inbox.attachments(db, _conversation(product))
    assert (kept.kind, kept.state, kept.mime) == ("photo", "stored", "image/jpeg")


def _conversation(product: Product) -> int:
    from bot.store.conversations import conversation

    with product.database.read() as db:
        return int(db.scalar(select(conversation.c.id)) or 0)


def test_a_file_without_words_is_a_message(visitor: Visitor, hands: Hands, script: Script) -> None:
    script.answer = complaint_talk
    assert visitor.post("messages", {"id": new_id(), "files": [{"file": uploaded(visitor)}]}).status_code == 202
    hands.work()
    said = [line["text"] for line in visitor.history()["messages"] if line["side"] == "bot"]
    assert len(said) == 1 and said[0].endswith(hands.product.texts.render("system.photo_alone", "zh"))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (files.SVG, "file_type"),
        (files.HTML, "file_type"),
        (files.archive_bomb(), "file_type"),
        (files.PROGRAM, "file_type"),
        (files.picture_bomb(), "file_size"),
        (files.picture("PNG", (900, 900))[:800], "file_damaged"),
    ],
)
def test_a_bad_file_is_refused_at_once_with_a_reason(
    visitor: Visitor, product: Product, content: bytes, code: str
) -> None:
    status, body = upload(visitor, content)
    error = body["error"]
    assert isinstance(error, dict) and (status, error["code"]) == (422, code)
    assert error["message"] == product.texts.render(f"webchat.refused.{code}", "zh")
    assert count_blobs(product) == 0
    assert visitor.say("宽带断了").status_code == 202, "the talk goes on"


def count_blobs(product: Product) -> int:
    with product.database.read() as db:
        return int(db.scalar(select(func.count()).select_from(blobs.blob)) or 0)


def test_a_file_that_is_too_big_is_not_even_read(visitor: Visitor, product: Product) -> None:
    status, _ = upload(visitor, b"\xff\xd8\xff" + bytes(LARGEST))
    assert status == 413 and count_blobs(product) == 0


@pytest.fixture
def scanned(app_with: Callable[..., Flask]) -> Iterator[Visitor]:
    with files.scanner_twin() as address:
        yield Visitor(app_with(TINGSU_CLAMD=address).test_client(use_cookies=False)).begin("en")


def test_an_infected_file_is_refused(scanned: Visitor) -> None:
    status, body = upload(scanned, files.PDF + files.EICAR)
    error = body["error"]
    assert isinstance(error, dict) and (status, error["code"]) == (422, "file_infected")
    assert upload(scanned, files.PDF)[0] == 201


def test_without_its_scanner_nothing_is_kept(app_with: Callable[..., Flask]) -> None:
    app = app_with(TINGSU_CLAMD=f"127.0.0.1:{free_port()}")
    visitor = Visitor(app.test_client(use_cookies=False)).begin("zh")
    assert upload(visitor, files.PDF)[0] == 503


def test_a_file_belongs_to_whoever_uploaded_it(client: FlaskClient, visitor: Visitor) -> None:
    file = uploaded(visitor)
    eve = Visitor(client).begin("zh")
    stolen = eve.post("messages", {"id": new_id(), "files": [{"file": file}]})
    assert (stolen.status_code, stolen.get_json()["error"]["code"]) == (400, "file")
    visitor.post("messages", {"id": new_id(), "files": [{"file": file}]})
    number = visitor.history()["messages"][0]["files"][0]["number"]
    eve.say("你好")
    assert visitor.get(f"files/{number}").status_code == 200
    assert eve.get(f"files/{number}").status_code == 404
    assert eve.get(f"files/{2**70}").status_code == 404


@pytest.mark.parametrize(
    "given",
    [
        [],
        "x",
        [7],
        [{}],
        [{"file": 7}],
        [{"file": "1." + "0" * 32}],
        [{"file": "9" * 19 + "." + "0" * 32}],
        [{"file": "x", "name": "y"}],
        [{"file": "1." + "0" * 32, "more": 1}],
        [{"file": "1." + "0" * 32, "name": 7}],
        [{"file": "1." + "0" * 32}] * 6,
    ],
)
def test_what_names_no_file_is_refused(visitor: Visitor, given: object) -> None:
    assert visitor.post("messages", {"id": new_id(), "files": given}).status_code == 400
    assert visitor.history()["messages"] == []


def test_the_same_file_twice_in_a_message_is_refused(visitor: Visitor) -> None:
    file = {"file": uploaded(visitor)}
    assert visitor.post("messages", {"id": new_id(), "files": [file, file]}).status_code == 400


def test_a_tap_carries_no_files(visitor: Visitor) -> None:
    tap = {"id": new_id(), "tap": "human", "files": [{"file": uploaded(visitor)}]}
    assert visitor.post("messages", tap).status_code == 400


def test_names_are_kept_short_and_printable(visitor: Visitor) -> None:
    name = "../../a\x00b\u202e" + "x" * 300
    visitor.post("messages", {"id": new_id(), "files": [{"file": uploaded(visitor), "name": name}]})
    kept = visitor.history()["messages"][0]["files"][0]["name"]
    assert kept.startswith("../../ab") and len(kept) == 128 and "\u202e" not in kept


def test_uploads_are_limited(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "UPLOADS_PER_SESSION", "2/hour")
    assert [upload(visitor, files.PDF)[0] for _ in range(3)] == [201, 201, 429]


def test_only_so_many_files_are_in_memory_at_once(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    from gevent.lock import BoundedSemaphore

    busy = BoundedSemaphore(1)
    assert busy.acquire()
    monkeypatch.setattr(uploads, "_turns", busy)
    monkeypatch.setattr(uploads, "PATIENCE", 0.01)
    assert upload(visitor, files.PDF)[0] == 503


def test_without_a_session_nothing_is_read(client: FlaskClient) -> None:
    assert upload(Visitor(client), files.PDF, Authorization="Bearer wrong")[0] == 401


def test_the_conversation_can_be_taken_home(visitor: Visitor, hands: Hands, script: Script) -> None:
    assert visitor.get("transcript").status_code == 404, "nothing said yet"
    script.answer = complaint_talk
    visitor.post(
        "messages", {"id": new_id(), "text": "宽带断了", "files": [{"file": uploaded(visitor), "name": "a.pdf"}]}
    )
    hands.work()
    answer = visitor.get("transcript")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=tingsu-")
    assert "您\n宽带断了\n[a.pdf]" in answer.text
    assert hands.product.texts.render("system.photo_alone", "zh") in answer.text
