"""Telegram's other side: lo-bot-api-emulator on a loopback port, with what the bot sent and faults on demand."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from lo_bot_api_emulator import LoBotApiEmulator  # type: ignore[import-untyped]

TOKEN = "123456:synthetic-token-of-the-tests"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Sent:
    """A message that the bot sent and the emulator took. `buttons` are (label, callback data)."""

    chat_id: int
    text: str
    buttons: list[tuple[str, str]]
    message_id: int


class _Recording(LoBotApiEmulator):  # type: ignore[misc]
    """The emulator as it is; it keeps only names of fields, so what passed its checks is written down here."""

    def __init__(self) -> None:
        super().__init__(enable_control=True, allow_insecure_loopback_webhooks=True)
        self.sent: list[Sent] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def validate(self, method: str, fields: dict[str, Any], uploads: dict[str, Any]) -> Any:
        given = dict(fields)
        result = super().validate(method, fields, uploads)
        self.calls.append((method, given))
        if method == "sendMessage":
            rows = json.loads(given.get("reply_markup", "{}")).get("inline_keyboard", [])
            buttons = [(button["text"], button["callback_data"]) for row in rows for button in row]
            self.sent.append(Sent(int(given["chat_id"]), given["text"], buttons, result["message_id"]))
        return result


class TelegramEmulator:
    """What tests do as Telegram and as its customers. `base_url` goes into TINGSU_TELEGRAM_API_URL."""

    def __init__(self) -> None:
        self.token = TOKEN
        self._emulator = _Recording()
        self._faults: list[tuple[str, Handler]] = []
        self._numbers = itertools.count(1000)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._run(self._serve())}"

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(15)

    async def _serve(self) -> int:
        app = self._emulator.app()
        app.middlewares.append(self._faulty)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        method = request.match_info.get("method", "file")
        for fault in self._faults:
            if fault[0] == method:
                self._faults.remove(fault)
                return await fault[1](request)
        return await handler(request)

    def fail_next(self, method: str, handler: Handler) -> None:
        """The next call of this Bot API method ("file" for a download) is answered by `handler` instead."""
        self._faults.append((method, handler))

    def push(self, update: dict[str, Any]) -> int:
        """Any update that the emulator takes; gives its update_id."""
        number: int = self._run(self._emulator.enqueue_update(update, token=self.token))
        return number

    def message(self, chat_id: int, **content: Any) -> dict[str, Any]:
        """An update with a message of a person in a private chat."""
        person = {"id": chat_id, "is_bot": False, "first_name": "小王", "language_code": "zh-hans"}
        chat = {"id": chat_id, "type": "private", "first_name": "小王"}
        return {
            "message": {
                "message_id": next(self._numbers),
                "date": int(time.time()),
                "chat": chat,
                "from": person,
                **content,
            }
        }

    def push_text(self, chat_id: int, text: str) -> int:
        return self.push(self.message(chat_id, text=text))

    def photo(self, chat_id: int, content: bytes, caption: str = "") -> dict[str, Any]:
        """An update with a picture that can be downloaded here."""
        reference = f"photo-{next(self._numbers)}"
        self._emulator.assets[reference] = {"filename": reference, "data": content, "size": len(content)}
        sizes = [
            {"file_id": f"thumb-of-{reference}", "file_unique_id": "t", "width": 90, "height": 60},
            {"file_id": reference, "file_unique_id": "p", "width": 1280, "height": 960, "file_size": len(content)},
        ]
        return self.message(chat_id, photo=sizes, **({"caption": caption} if caption else {}))

    def push_photo(self, chat_id: int, content: bytes, caption: str = "") -> int:
        return self.push(self.photo(chat_id, content, caption))

    def push_tap(self, chat_id: int, data: str, message_id: int) -> int:
        """A tap on a button of the message with this id."""
        message = self.message(chat_id, text="…")["message"] | {"message_id": message_id}
        query = {"id": str(next(self._numbers)), "from": message["from"], "message": message, "chat_instance": "1"}
        return self.push({"callback_query": query | {"data": data}})

    def deliver(self) -> int:
        """Another attempt to post what a webhook has not taken; gives how many it took."""
        taken: int = self._run(self._emulator.deliver_updates(token=self.token))
        return taken

    def sent(self, chat_id: int | None = None) -> list[Sent]:
        """What the bot has sent, in order."""
        return [one for one in list(self._emulator.sent) if chat_id in (None, one.chat_id)]

    def wait_for(
        self, enough: Callable[[list[Sent]], bool], chat_id: int | None = None, seconds: float = 30
    ) -> list[Sent]:
        """What was sent, once it is enough. Raises AssertionError with all of it when that takes too long."""
        deadline = time.monotonic() + seconds
        while not enough(sent := self.sent(chat_id)):
            assert time.monotonic() < deadline, f"only this was sent: {[one.text for one in sent]}"
            time.sleep(0.05)
        return sent

    def calls(self, method: str) -> list[dict[str, Any]]:
        """The fields of every call of a method that the emulator took."""
        return [fields for name, fields in list(self._emulator.calls) if name == method]

    async def _wind_up(self) -> None:
        await self._runner.cleanup()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    def close(self) -> None:
        self._run(self._wind_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture
def telegram_emulator() -> Iterator[TelegramEmulator]:
    emulator = TelegramEmulator()
    yield emulator
    emulator.close()
