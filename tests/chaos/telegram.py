"""Telegram's part in chaos: updates in Telegram's shape, posted by the driver, and an emulator that notes when what came."""

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Mapping

from aiohttp import web

from tests.channels.conftest import Handler, TelegramEmulator
from tests.chaos.ledgers import Delivery, Driver

SECRET = "the-webhook-secret-of-the-chaos-tests"
SLOW = 0.15  # seconds, at most, that a message needs to Telegram; and its answer back
_updates = itertools.count(1)


class TimedEmulator(TelegramEmulator):
    """Writes the third ledger. `names` maps chat ids to the driver's names of chats."""

    def __init__(self, driver: Driver) -> None:
        self.names: dict[int, str] = {}
        self._driver = driver
        self._noted = 0
        self._noting = threading.Lock()
        super().__init__()

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Slow on both ways, so that kills and claims meet sends; notes what came before the bot hears of it."""

        async def take(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(random.uniform(0, SLOW))
            answer = await handler(request)
            self._note()
            await asyncio.sleep(random.uniform(0, SLOW))
            return answer

        return await super()._faulty(request, take)

    def _note(self) -> None:
        with self._noting:
            for one in self.sent()[self._noted :]:
                self._noted += 1
                name = self.names.get(one.chat_id, str(one.chat_id))
                self._driver.arrived.append(Delivery(name, time.time(), one.message_id, one.text))


def text_update(emulator: TelegramEmulator, chat_id: int, text: str) -> tuple[str, Mapping[str, object]]:
    """The event key that a message has for us, and the update."""
    update = emulator.message(chat_id, text=text)
    message = update["message"]
    key = f"m:{chat_id}:{message['message_id']}:{message['date']}"
    return key, {"update_id": next(_updates), **update}


def tap_update(
    emulator: TelegramEmulator, chat_id: int, data: str, message_id: int
) -> tuple[str, Mapping[str, object]]:
    message = emulator.message(chat_id, text="…")["message"]
    query_id = str(next(_updates))
    query = {
        "id": query_id,
        "from": message["from"],
        "message": message | {"message_id": message_id},
        "chat_instance": "1",
        "data": data,
    }
    return f"c:{query_id}", {"update_id": next(_updates), "callback_query": query}
