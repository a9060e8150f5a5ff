"""The line to Telegram: python-telegram-bot's Bot, and the one thread and event loop that it lives on.

A Bot that is used from one asyncio.run() after the other fails every second time ("Event loop is closed").
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from telegram import Bot
from telegram.error import TelegramError
from telegram.request import HTTPXRequest

T = TypeVar("T")
Call = Callable[[Bot], Coroutine[Any, Any, T]]

_POOL = 1.0  # seconds to wait for a free connection


class Closed(Exception):
    """The line was closed: nothing was asked."""


class Line:
    """Runs calls of the Bot for threads that know nothing of asyncio.

    `patience`: seconds for one answer where a call does not say; `connect`: seconds for making a connection.
    Raises InvalidToken for a token that cannot be one.
    """

    def __init__(self, token: str, api_url: str, *, patience: float, connect: float) -> None:
        # httpx logs whole URLs, bot token included, and the library logs payloads that it cannot read.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("telegram").setLevel(logging.CRITICAL)
        self._requests = [
            HTTPXRequest(connect_timeout=connect, pool_timeout=_POOL, read_timeout=patience, write_timeout=patience)
            for _ in range(2)
        ]
        self._bot = Bot(
            token,
            base_url=f"{api_url}/bot",
            base_file_url=f"{api_url}/file/bot",
            request=self._requests[0],
            get_updates_request=self._requests[1],
        )
        self._lock = threading.Lock()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="telegram", daemon=True)
        self._thread.start()

    def call(self, ask: Call[T], seconds: float) -> T:
        """Runs it there and waits here. Raises Closed, TimeoutError, its own error, or CancelledError when closed."""

        async def in_time() -> T:
            return await asyncio.wait_for(ask(self._bot), seconds)

        return self._submit(in_time).result(seconds + 1)

    def begin(self, ask: Call[object], seconds: float) -> None:
        """Runs it there and does not look back."""

        async def quietly() -> None:
            with suppress(TelegramError, TimeoutError):
                await asyncio.wait_for(ask(self._bot), seconds)

        self._submit(quietly)

    def _submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """What gets in before `close` is cancelled by it; nothing gets in after it, and waits there for ever."""
        with self._lock:
            if self._closed:
                raise Closed
            return asyncio.run_coroutine_threadsafe(work(), self._loop)

    def close(self) -> None:
        """Calls under way are cancelled."""
        with self._lock:
            self._closed = True
            closing = asyncio.run_coroutine_threadsafe(self._wind_up(), self._loop)
        with suppress(Exception):  # the process ends, or the account is gone: nobody can do anything about it
            closing.result(2.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2.0)
        if not self._thread.is_alive():
            self._loop.close()

    async def _wind_up(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for request in self._requests:
            await request.shutdown()
        await self._loop.shutdown_asyncgens()
        await asyncio.sleep(0)  # transports are gone one round of the loop after they were closed
