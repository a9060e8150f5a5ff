"""Telegram against lo-bot-api-emulator, an implementation of the Bot API that is not ours."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from aiohttp import web

from bot.channel import Account, Request
from bot.channels.telegram import Telegram
from bot.errors import DownloadFailed, Forged, SendFailed, SendUncertain, Throttled
from bot.message import Attachment, Button, Incoming, Kind, Outgoing
from bot.splitting import split
from tests.channels.conftest import TOKEN, Handler, TelegramEmulator

pytestmark = pytest.mark.real

CHAT = 4711
JPEG = b"\xff\xd8\xff\xe0 not much of a picture"
MakeChannel = Callable[..., Telegram]


@pytest.fixture
def make_channel(telegram_emulator: TelegramEmulator) -> Iterator[MakeChannel]:
    made: list[Telegram] = []

    def make(**settings: str) -> Telegram:
        account = Account(1, "telegram", "main", TOKEN, "", {"api_url": telegram_emulator.base_url} | settings)
        made.append(Telegram(account))
        return made[-1]

    yield make
    for channel in made:
        channel.close()


@pytest.fixture
def channel(make_channel: MakeChannel) -> Telegram:
    return make_channel()


def answer(status: int, **body: object) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"ok": False, "error_code": status, "description": "fault", **body}, status=status)

    return handle


class TestPolling:
    def test_a_text_arrives(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        number = telegram_emulator.push_text(CHAT, "宽带断了 😡")
        batch = channel.fetch("")
        [event] = batch.incoming
        assert (event.kind, event.sender, event.text) == (Kind.TEXT, str(CHAT), "宽带断了 😡")
        assert (event.display_name, event.language) == ("小王", "zh-hans")
        assert event.platform_time is not None and event.platform_time.tzinfo is not None
        assert batch.cursor == str(number + 1)

    def test_until_the_cursor_moves_it_comes_again_with_the_same_key(
        self, telegram_emulator: TelegramEmulator, channel: Telegram
    ) -> None:
        telegram_emulator.push_text(CHAT, "one")
        first = channel.fetch("")
        assert channel.fetch("").incoming == first.incoming
        telegram_emulator.push_text(CHAT, "two")
        assert [event.text for event in channel.fetch(first.cursor).incoming] == ["two"]

    def test_it_waits_for_what_is_not_there_yet(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        threading.Timer(0.4, telegram_emulator.push_text, (CHAT, "late")).start()
        began = time.monotonic()
        assert [event.text for event in channel.fetch("").incoming] == ["late"]
        assert 0.3 < time.monotonic() - began < 3

    def test_one_odd_update_costs_none_of_the_others(
        self, telegram_emulator: TelegramEmulator, channel: Telegram
    ) -> None:
        telegram_emulator.push_text(CHAT, "before")
        telegram_emulator.push({"message": {"chat": 7}})
        last = telegram_emulator.push_text(CHAT, "after")
        batch = channel.fetch("")
        assert [event.kind for event in batch.incoming] == [Kind.TEXT, Kind.MALFORMED, Kind.TEXT]
        assert batch.cursor == str(last + 1)

    def test_a_tap_arrives_and_its_spinner_is_stopped(
        self, telegram_emulator: TelegramEmulator, channel: Telegram
    ) -> None:
        telegram_emulator.push_tap(CHAT, "17.0", 99)
        [tap] = channel.fetch("").incoming
        assert (tap.kind, tap.sender, tap.payload, tap.text) == (Kind.TAP, str(CHAT), "17.0", "")
        _eventually(lambda: len(telegram_emulator.calls("answerCallbackQuery")) == 1)

    def test_closing_ends_a_poll_at_once(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        with _polling(telegram_emulator, channel):
            began = time.monotonic()
            channel.close()
        assert time.monotonic() - began < 5

    def test_another_poller_is_a_failure_for_now(
        self, telegram_emulator: TelegramEmulator, make_channel: MakeChannel
    ) -> None:
        first, second = make_channel(), make_channel()
        with _polling(telegram_emulator, first):
            with pytest.raises(SendFailed) as failure:
                second.fetch("")
            first.close()
        assert not failure.value.permanent

    @pytest.mark.parametrize(("status", "permanent"), [(401, True), (404, True), (500, False), (502, False)])
    def test_refusals(
        self, status: int, permanent: bool, telegram_emulator: TelegramEmulator, channel: Telegram
    ) -> None:
        telegram_emulator.fail_next("getUpdates", answer(status))
        with pytest.raises(SendFailed) as failure:
            channel.fetch("")
        assert failure.value.permanent is permanent

    def test_a_pause_is_named(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        telegram_emulator.fail_next("getUpdates", answer(429, parameters={"retry_after": 17}))
        with pytest.raises(Throttled) as pause:
            channel.fetch("")
        assert pause.value.retry_after == 17

    def test_nobody_there(self, make_channel: MakeChannel) -> None:
        with pytest.raises(SendFailed):
            make_channel(api_url="http://127.0.0.1:9").fetch("")


class TestSending:
    def test_text_and_buttons(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        buttons = (Button("17.0", "是，就这样提交"), Button("human", "转人工"))
        receipt = channel.send(Outgoing(str(CHAT), "这样对吗？*_[`<b>&", buttons))
        [sent] = telegram_emulator.sent()
        assert (sent.chat_id, sent.text) == (CHAT, "这样对吗？*_[`<b>&")
        assert sent.buttons == [("是，就这样提交", "17.0"), ("转人工", "human")]
        assert receipt.platform_id == str(sent.message_id)

    def test_the_limit_counts_utf16_units(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        channel.send(Outgoing(str(CHAT), "😀" * 2048))
        with pytest.raises(SendFailed) as failure:
            channel.send(Outgoing(str(CHAT), "😀" * 2049))
        assert failure.value.permanent
        limit, unit = channel.capabilities.text_limit, channel.capabilities.counted_in
        for piece in split("😀" * 5000 + "a\u0301" * 5000, limit, unit):
            channel.send(Outgoing(str(CHAT), piece))
        assert "".join(one.text for one in telegram_emulator.sent()[1:]) == "😀" * 5000 + "a\u0301" * 5000

    def test_a_lone_surrogate_does_not_stop_it(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        channel.send(Outgoing(str(CHAT), "a\ud83db"))
        assert [one.text for one in telegram_emulator.sent()] == ["a?b"]

    def test_many_threads_share_one_bot(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        threads = [threading.Thread(target=channel.send, args=(Outgoing(str(CHAT), f"{n}"),)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert sorted(int(one.text) for one in telegram_emulator.sent()) == list(range(20))

    @pytest.mark.parametrize(
        ("status", "permanent"), [(400, True), (403, True), (401, False), (409, False), (500, False)]
    )
    def test_refusals(
        self, status: int, permanent: bool, telegram_emulator: TelegramEmulator, channel: Telegram
    ) -> None:
        telegram_emulator.fail_next("sendMessage", answer(status))
        with pytest.raises(SendFailed) as failure:
            channel.send(Outgoing(str(CHAT), "hello"))
        assert failure.value.permanent is permanent

    def test_a_pause_is_named(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        telegram_emulator.fail_next("sendMessage", answer(429, parameters={"retry_after": 3}))
        with pytest.raises(Throttled) as pause:
            channel.send(Outgoing(str(CHAT), "hello"))
        assert pause.value.retry_after == 3

    def test_nobody_there_means_not_sent(self, make_channel: MakeChannel) -> None:
        with pytest.raises(SendFailed) as failure:
            make_channel(api_url="http://127.0.0.1:9").send(Outgoing(str(CHAT), "hello"))
        assert not failure.value.permanent

    def test_no_answer_means_uncertain(
        self, telegram_emulator: TelegramEmulator, channel: Telegram, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def hang(request: web.Request) -> web.Response:
            await asyncio.sleep(3)
            return web.Response()

        monkeypatch.setattr("bot.channels.telegram.SEND_DEADLINE", 0.5)
        telegram_emulator.fail_next("sendMessage", hang)
        began = time.monotonic()
        with pytest.raises(SendUncertain):
            channel.send(Outgoing(str(CHAT), "hello"))
        assert time.monotonic() - began < 2

    def test_a_broken_connection_means_uncertain(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        async def hang_up(request: web.Request) -> web.Response:
            await request.read()
            assert request.transport is not None
            request.transport.close()
            return web.Response()

        telegram_emulator.fail_next("sendMessage", hang_up)
        with pytest.raises(SendUncertain):
            channel.send(Outgoing(str(CHAT), "hello"))

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b'{"ok": true}', b'{"ok":true,"result":{}}'])
    def test_accepted_but_unreadable_means_uncertain(
        self, body: bytes, telegram_emulator: TelegramEmulator, channel: Telegram
    ) -> None:
        async def odd(request: web.Request) -> web.Response:
            return web.Response(body=body, content_type="application/json")

        telegram_emulator.fail_next("sendMessage", odd)
        with pytest.raises(SendUncertain):
            channel.send(Outgoing(str(CHAT), "hello"))

    def test_a_gateway_that_gave_up_means_uncertain(
        self, telegram_emulator: TelegramEmulator, channel: Telegram
    ) -> None:
        async def gateway(request: web.Request) -> web.Response:
            return web.Response(status=504, text="<html>504 Gateway Time-out</html>", content_type="text/html")

        telegram_emulator.fail_next("sendMessage", gateway)
        with pytest.raises(SendUncertain):
            channel.send(Outgoing(str(CHAT), "hello"))

    def test_after_closing_nothing_is_sent(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        channel.send(Outgoing(str(CHAT), "before"))
        channel.close()
        with pytest.raises(SendFailed) as failure:
            channel.send(Outgoing(str(CHAT), "after"))
        assert not failure.value.permanent
        assert len(telegram_emulator.sent()) == 1

    def test_a_token_that_cannot_be_one(self) -> None:
        channel = Telegram(Account(1, "telegram", "main", "", "", {}))
        with pytest.raises(SendFailed):
            channel.send(Outgoing(str(CHAT), "hello"))
        with pytest.raises(SendFailed):
            channel.fetch("")

    def test_no_token_in_the_log(
        self, telegram_emulator: TelegramEmulator, channel: Telegram, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        telegram_emulator.fail_next("sendMessage", answer(500))
        with pytest.raises(SendFailed) as failure:
            channel.send(Outgoing(str(CHAT), "秘密"))
        assert TOKEN not in caplog.text + str(failure.value)
        assert "秘密" not in caplog.text + str(failure.value)


class TestPhotos:
    def test_the_largest_size_is_fetched(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        telegram_emulator.push_photo(CHAT, JPEG, "账单截图")
        [event] = channel.fetch("").incoming
        assert (event.kind, event.text) == (Kind.MEDIA, "账单截图")
        [photo] = event.attachments
        assert (photo.kind, photo.size) == ("photo", len(JPEG))
        media = channel.download(photo)
        assert (media.content, media.mime) == (JPEG, "image/jpeg")

    def test_a_photo_that_is_gone(self, channel: Telegram) -> None:
        with pytest.raises(DownloadFailed) as failure:
            channel.download(Attachment("photo", "never-was"))
        assert failure.value.permanent

    def test_a_photo_that_cannot_be_fetched_now(self, telegram_emulator: TelegramEmulator, channel: Telegram) -> None:
        telegram_emulator.push_photo(CHAT, JPEG)
        [event] = channel.fetch("").incoming
        telegram_emulator.fail_next("file", answer(500))
        with pytest.raises(DownloadFailed) as failure:
            channel.download(event.attachments[0])
        assert not failure.value.permanent

    def test_a_photo_beyond_the_limit(
        self, telegram_emulator: TelegramEmulator, channel: Telegram, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        telegram_emulator.push_photo(CHAT, JPEG)
        [event] = channel.fetch("").incoming
        monkeypatch.setattr("bot.channels.telegram._FILE_LIMIT", 10)
        with pytest.raises(DownloadFailed) as failure:
            channel.download(event.attachments[0])
        assert failure.value.permanent


class _Door:
    """A webhook door in a few lines: hands each post to `receive`, keeps what came, answers `status` to it."""

    def __init__(self, channel: Telegram) -> None:
        self.incoming: list[Incoming] = []
        self.status = 200
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    received = channel.receive(Request("POST", {}, headers, body))
                    door.incoming += received.incoming
                    self.send_response(door.status)
                except Forged:
                    self.send_response(403)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Not here."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class TestWebhook:
    @pytest.fixture
    def door(self, make_channel: MakeChannel) -> Iterator[_Door]:
        door = _Door(make_channel(webhook_secret="right-secret"))
        yield door
        door.close()

    def test_posts_carry_the_secret(
        self, telegram_emulator: TelegramEmulator, make_channel: MakeChannel, door: _Door
    ) -> None:
        registering = make_channel(mode="webhook", public_url=door.url, webhook_secret="right-secret")
        assert registering.register() is False
        assert telegram_emulator.calls("setWebhook")[0]["url"] == f"{door.url}/channels/telegram/main"
        telegram_emulator.push_text(CHAT, "你好")
        assert [event.text for event in door.incoming] == ["你好"]

    def test_what_was_not_taken_comes_again_with_the_same_key(
        self, telegram_emulator: TelegramEmulator, make_channel: MakeChannel, door: _Door
    ) -> None:
        make_channel(mode="webhook", public_url=door.url, webhook_secret="right-secret").register()
        door.status = 503
        telegram_emulator.push_text(CHAT, "你好")
        door.status = 200
        assert telegram_emulator.deliver() == 1
        first, second = door.incoming
        assert first == second

    def test_a_stranger_is_refused(
        self, telegram_emulator: TelegramEmulator, make_channel: MakeChannel, door: _Door
    ) -> None:
        make_channel(mode="webhook", public_url=door.url, webhook_secret="wrong-secret").register()
        telegram_emulator.push_text(CHAT, "你好")
        assert door.incoming == []

    def test_polling_takes_the_webhook_away(
        self, telegram_emulator: TelegramEmulator, make_channel: MakeChannel, door: _Door
    ) -> None:
        make_channel(mode="webhook", public_url=door.url, webhook_secret="right-secret").register()
        polling = make_channel(mode="polling")
        with pytest.raises(SendFailed):
            polling.fetch("")
        assert polling.register() is True
        telegram_emulator.push_text(CHAT, "你好")
        assert [event.text for event in polling.fetch("").incoming] == ["你好"]

    def test_no_webhook_without_a_secret(self, make_channel: MakeChannel) -> None:
        with pytest.raises(SendFailed, match="secret"):
            make_channel(mode="webhook", public_url="https://example.org").register()


@contextmanager
def _polling(emulator: TelegramEmulator, channel: Telegram) -> Iterator[None]:
    """With a long poll under way in another thread, which must end with SendFailed."""
    ended: list[Exception] = []

    def poll() -> None:
        with pytest.raises(SendFailed) as failure:
            channel.fetch("")
        ended.append(failure.value)

    thread = threading.Thread(target=poll)
    thread.start()
    _eventually(lambda: bool(emulator.calls("getUpdates")))
    yield
    thread.join(10)
    assert len(ended) == 1


def _eventually(true: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
