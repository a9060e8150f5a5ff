"""The door as it runs: gunicorn with a gevent worker in its own process, on both databases."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from bot.build import Product
from tests.talking import Hands
from tests.webchat.doors import door, worker
from tests.webchat.visitor import new_id

pytestmark = pytest.mark.real

VISITORS = 20


@pytest.fixture
def address(environ: dict[str, str], product: Product) -> Iterator[str]:
    """A door, and a worker with the scripted dialogue beside it, on the same database."""
    with door(environ) as address, worker(product):
        yield address


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{address}/chat/v1", timeout=20) as client:
        token = client.post("/sessions", json={"language": "zh"}).json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def _say(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/messages", json={"id": new_id(), "text": text})


def _listen(client: httpx.Client, after: int, count: int, **headers: str) -> list[dict[str, Any]]:
    """So many message events, then the connection is dropped in the middle."""
    found: list[dict[str, Any]] = []
    with client.stream("GET", "/events", params={"after": after}, headers=headers) as response:
        kind = ""
        for line in response.iter_lines():
            kind = line.removeprefix("event: ") if line.startswith("event: ") else kind
            if line.startswith("data: ") and kind == "message":
                found.append(json.loads(line.removeprefix("data: ")))
                if len(found) == count:
                    break
    return found


def test_a_reply_arrives_while_listening_and_a_reconnect_resumes(client: httpx.Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_listen, client, 0, 2)
        for text in ("one", "two", "three"):
            assert _say(client, text).status_code == 202
            time.sleep(0.3)
        assert [message["stream"] for message in first.result(10)] == [1, 2]
    assert [message["stream"] for message in _listen(client, 0, 1, **{"Last-Event-ID": "2"})] == [3]


def test_streams_do_not_hold_up_messages(address: str, client: httpx.Client) -> None:
    """Forty open pages cost forty greenlets, and a message still takes milliseconds."""
    streams = []
    for _ in range(40):
        one = httpx.Client(base_url=f"{address}/chat/v1", timeout=20)
        token = one.post("/sessions", json={}).json()["token"]
        one.headers["Authorization"] = f"Bearer {token}"
        _say(one, "hello")
        streams.append((one, one.send(one.build_request("GET", "/events"), stream=True)))
    started = time.monotonic()
    statuses = [_say(client, f"message {number}").status_code for number in range(10)]
    took = time.monotonic() - started
    for one, response in streams:
        response.close()
        one.close()
    assert statuses == [202] * 10
    print(f"10 messages beside 40 open streams: {took * 100:.1f} ms each")
    assert took < 5


def test_many_visitors_at_once_on_one_process(address: str) -> None:
    """With SQLite every writer shares one thread: nothing may yield inside a write transaction."""

    def visit(number: int) -> list[int]:
        with httpx.Client(base_url=f"{address}/chat/v1", timeout=30) as one:
            token = one.post("/sessions", json={}).json()["token"]
            one.headers["Authorization"] = f"Bearer {token}"
            return [_say(one, f"message {number}.{part}").json()["sequence"] for part in range(5)]

    with ThreadPoolExecutor(VISITORS) as pool:
        assert list(pool.map(visit, range(VISITORS))) == [[1, 2, 3, 4, 5]] * VISITORS


def test_a_reader_that_stops_reading_is_cut(
    environ: dict[str, str], product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never reads its socket; the door lets go of it, and a second connection gets every message once."""
    with (
        door(environ, app="tests.webchat.impatient:create_app()") as address,
        httpx.Client(base_url=f"{address}/chat/v1", timeout=20) as client,
    ):
        token = client.post("/sessions", json={}).json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        _say(client, "hello")
        hands = Hands(product)
        hands.work()
        mute = _mute_reader(address, token)
        count = _flood(product)
        hands.work()
        _wait_for_cut(mute)
        mute.close()
        got = [message["stream"] for message in _listen(client, 0, count + 1)]
    assert got == list(range(1, count + 2))


def _mute_reader(address: str, token: str) -> socket.socket:
    host, port = urlsplit(address).netloc.split(":")
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect((host, int(port)))
    request = f"GET /chat/v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    reader.sendall(request.encode())
    return reader


def _flood(product: Product) -> int:
    """Far more than the sockets between us buffer."""
    from bot import outbox
    from bot.store import conversations

    with product.database.write() as db:
        talk = conversations.recent(db)[0]
        for number in range(100):
            outbox.agent(db, talk, _agent(product, db), f"flood-{number:04}", "长" * 20_000)
    return 100


def _agent(product: Product, db: Any) -> int:
    from bot.store import users

    found = users.by_name(db, "flood")
    made = found.id if found else users.add(db, "flood", "-", "agent")
    assert made is not None
    return made


def _wait_for_cut(reader: socket.socket) -> None:
    """The door closes its side: after what was buffered, there is an end."""
    time.sleep(4)
    reader.settimeout(10)
    while reader.recv(1 << 20):
        pass
