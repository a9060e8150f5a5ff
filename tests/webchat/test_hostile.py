"""Big and hostile input at real doors: refused quickly, nothing stored, memory bounded (catalogue L3)."""

import gzip
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import func, select

from bot.build import Product
from bot.store.inbox import inbox
from tests.webchat.doors import door

pytestmark = pytest.mark.real

MB = 1024 * 1024
ROOM = 64 * MB  # by which a door's memory may grow over all of this
SECRET = "a webhook secret"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
DEADLINE = 30.0  # seconds that no answer may take; none takes long


def _deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def _keys(count: int) -> bytes:
    return json.dumps({f"k{n}": n for n in range(count)}).encode()


# What is sent as a body, and how it is announced.
BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "10 MB of text": (json.dumps({"id": "message-1", "text": "长" * 3_500_000}, ensure_ascii=False).encode(), {}),
    "gzip bomb": (gzip.compress(b'{"text":"' + b"a" * 20 * MB), {"Content-Encoding": "gzip"}),
    "1,000 deep": (_deep(1_000), {}),
    "20,000 deep": (_deep(20_000), {}),
    "a million keys": (_keys(1_000_000), {}),
    "invalid UTF-8": (b'{"id": "message-1", "text": "\xff\xfe"}', {}),
    "NUL": (b'{"id": "message-1", "text": "a\\u0000b"}', {}),
    "lone surrogate": (b'{"id": "message-1", "text": "\\ud800"}', {}),
    "huge integer": (b'{"id": "message-1", "text": ' + b"9" * 50_000 + b"}", {}),
    "NaN": (b'{"id": "message-1", "text": NaN}', {}),
    "infinity as id": (b'{"update_id": 1e999, "id": Infinity, "text": "a"}', {}),
    "null": (b"null", {}),
    "a number": (b"7", {}),
    "nothing": (b"", {}),
}


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return environ | {
        "TINGSU_TELEGRAM_TOKEN": "123456:ABC-DEF",
        "TINGSU_TELEGRAM_MODE": "webhook",
        "TINGSU_TELEGRAM_WEBHOOK_SECRET": SECRET,
        "TINGSU_PUBLIC_URL": "https://chat.example.com",
    }


@pytest.fixture
def public(environ: dict[str, str], product: Product) -> Iterator[str]:
    with door(environ) as address:
        yield address


@pytest.fixture
def console(environ: dict[str, str], product: Product) -> Iterator[str]:
    with door(environ, app="console:create_app()") as address:
        yield address


@pytest.fixture
def token(public: str) -> str:
    return str(httpx.post(f"{public}/chat/v1/sessions", json={}).json()["token"])


def memory_of(address: str) -> int:
    """Bytes of the gunicorn worker that listens there: the largest process with this port in its command."""
    port = urlsplit(address).port
    sizes = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"127.0.0.1:{port}" in (folder / "cmdline").read_text().replace("\0", " "):
                sizes.append(int((folder / "statm").read_text().split()[1]) * 4096)
        except OSError:
            continue
    return max(sizes)


def post(address: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    """The status. A door may cut a body that it will not take while it is still being sent."""
    try:
        return httpx.post(f"{address}{path}", content=body, headers=headers, timeout=DEADLINE).status_code
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return 413


def chunked(address: str, path: str, headers: dict[str, str], size: int) -> int:
    """So many bytes without a content-length: the status, or 413 when the door hung up."""

    def parts() -> Iterator[bytes]:
        for _ in range(size // (64 * 1024)):
            yield b"a" * 64 * 1024

    try:
        return httpx.post(f"{address}{path}", content=parts(), headers=headers, timeout=DEADLINE).status_code
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return 413


def stored(product: Product) -> int:
    with product.database.read() as db:
        return int(db.scalar(select(func.count()).select_from(inbox)) or 0)


def test_the_chat_api(public: str, token: str, product: Product) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON}
    before = memory_of(public)
    for path in ("/chat/v1/messages", "/chat/v1/language", "/chat/v1/sessions"):
        for name, (body, more) in BODIES.items():
            expected = {201} if path.endswith("sessions") and name == "nothing" else {400, 413, 415}
            assert post(public, path, body, headers | more) in expected, f"{path}: {name}"
        assert chunked(public, path, headers, 200 * MB) == 413
    assert stored(product) == 0
    grown = memory_of(public) - before
    print(f"memory of the public door: {grown / MB:+.1f} MB")
    assert grown < ROOM
    assert post(public, "/chat/v1/messages", b'{"id": "message-1", "text": "hello"}', headers) == 202


def test_a_platforms_webhook(public: str, product: Product) -> None:
    """Forged: 403 and no row. Verified but unreadable: taken once, without its content, or the platform repeats it."""
    path, before = "/channels/telegram/main", memory_of(public)
    for name, (body, more) in BODIES.items():
        assert post(public, path, body, more | {"Content-Type": JSON}) in (403, 413), name
    assert chunked(public, path, {"Content-Type": JSON}, 200 * MB) == 413
    assert stored(product) == 0
    verified = {"Content-Type": JSON, "X-Telegram-Bot-Api-Secret-Token": SECRET}
    for name, (body, more) in BODIES.items():
        assert post(public, path, body, verified | more) in (200, 413), name
    with product.database.read() as db:
        rows = db.execute(select(inbox.c.kind, inbox.c.text, inbox.c.raw)).all()
    assert {(row.kind, row.text) for row in rows} == {("malformed", "")}
    assert memory_of(public) - before < ROOM


def test_unknown_channels_and_pages(public: str) -> None:
    for path in ("/channels/nobody/main", "/chat", "/privacy", "/nowhere", "/live"):
        for name, (body, more) in BODIES.items():
            assert post(public, path, body, more | {"Content-Type": JSON}) in (400, 404, 405, 413), f"{path}: {name}"


def test_the_consoles_forms(console: str, product: Product) -> None:
    before = memory_of(console)
    for path in ("/login", "/logout", "/account/language", "/conversations/1/reply", "/complaints/1/state"):
        for kind in (FORM, "multipart/form-data; boundary=x"):
            for name, (body, more) in BODIES.items():
                status = post(console, path, body, more | {"Content-Type": kind})
                assert status in (303, 400, 403, 404, 413, 415), f"{path} {kind}: {name}"
            assert chunked(console, path, {"Content-Type": kind}, 200 * MB) in (303, 413)
    fields = "&".join(f"a{n}=1" for n in range(20_000)).encode()
    assert post(console, "/login", fields, {"Content-Type": FORM}) in (400, 403, 413)
    grown = memory_of(console) - before
    print(f"memory of the console: {grown / MB:+.1f} MB")
    assert grown < ROOM


def test_a_post_that_drips_in_is_ended(public: str) -> None:
    _drip(public, "/channels/telegram/main")


def test_a_form_that_drips_in_is_ended(console: str) -> None:
    _drip(console, "/login")


def _drip(address: str, path: str) -> None:
    """Faster than any timeout between two bytes, slower than any honest sender; others are served meanwhile."""
    host, port = urlsplit(address).netloc.split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 60000\r\n\r\n".encode())
        slow.settimeout(0.5)
        began, answer = time.monotonic(), b""
        while not answer and time.monotonic() - began < 60:
            try:
                slow.sendall(b"a")
                answer = slow.recv(100)
            except TimeoutError:
                assert httpx.get(f"{address}/live", timeout=DEADLINE).status_code == 200
            except OSError:
                break
        assert time.monotonic() - began < 60, "the door waited for ever"
        assert not answer or re.match(rb"HTTP/1.1 (400|403|408) ", answer)


def test_the_body_cap_is_the_doors_own(product: Product) -> None:
    """Without a server: the cap holds for a body of known and of unknown length."""
    from webhooks import create_app

    client = create_app(product).test_client(use_cookies=False)
    headers = {"Authorization": f"Bearer {client.post('/chat/v1/sessions', json={}).get_json()['token']}"}
    body = json.dumps({"id": "message-1", "text": "a" * 100, "language": "zh" + " " * 70_000})
    answer = client.post("/chat/v1/messages", data=body, headers=headers, content_type=JSON)
    assert answer.status_code == 413
    assert client.post("/channels/telegram/main", data=b"a" * 2 * MB).status_code in (404, 413)
    assert stored(product) == 0
