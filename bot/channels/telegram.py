"""Telegram: private chats with a bot (https://core.telegram.org/bots/api), through python-telegram-bot.

The library gives types and sends. It does not receive: its webhook server acknowledges what is only in memory.
`receive` runs in the public door and touches no network and no event loop; everything else belongs to the processes
that send and poll.
"""

import hmac
import json
import mimetypes
import os
import threading
import time
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import httpx
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)

from bot import language, texts
from bot.channel import (
    POLL_WAIT,
    SEND_DEADLINE,
    Account,
    Answer,
    Batch,
    Capabilities,
    Media,
    Request,
)
from bot.channels.telegram_line import Call, Closed, Line
from bot.channels.telegram_updates import SPOKEN_IN_GROUP, to_incoming, update_id
from bot.errors import (
    DownloadFailed,
    Forged,
    Malformed,
    SendFailed,
    SendUncertain,
    Throttled,
)
from bot.message import Attachment, Incoming, Kind, Outgoing, Receipt

T = TypeVar("T")

UPDATE_KINDS = ["message", "edited_message", "callback_query", "my_chat_member"]  # what we ask Telegram for
_SHOW_AGAIN = 24 * 3600.0  # seconds
_FILE_LIMIT = 20 * 1024 * 1024  # bytes, https://core.telegram.org/bots/api#getfile
_DOWNLOAD_DEADLINE = 30.0  # seconds
_CONNECT = 3.0  # seconds; well inside SEND_DEADLINE, so that running into the deadline means: it was written
# These mean that nothing of the request has reached Telegram.
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Telegram:
    """One bot. `settings`: api_url, mode (polling or webhook), public_url, webhook_secret, previous_webhook_secret, name."""

    kind = "telegram"
    capabilities = Capabilities(
        text_limit=4096,
        counted_in="utf16",
        buttons=True,
        media_in=True,
        media_out=False,
        public=False,
        pulled=False,
        edits_reported=True,
        per_second=25,  # "about 30 messages a second" (Telegram's bots FAQ); some of it is left to taps and files
    )

    def __init__(self, account: Account) -> None:
        os.environ.setdefault("PTB_TIMEDELTA", "true")  # the library warns of every duration until one says so
        self._account = account
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._closed = False
        self._shown: dict[int, float] = {}  # group -> when it was shown the way, by time.monotonic()

    def receive(self, request: Request) -> Answer:
        """A webhook post. A tap's answer carries the call that stops the spinner on the customer's button."""
        self._check(request.headers.get("x-telegram-bot-api-secret-token", ""))
        incoming = to_incoming(_update(request.body))
        if incoming.kind is Kind.TAP:
            body = {"method": "answerCallbackQuery", "callback_query_id": incoming.raw["callback_query_id"]}
        elif self._shows_the_way(incoming):
            body = {"method": "sendMessage", "chat_id": incoming.raw["chat_id"], "text": self._way(incoming)}
        else:
            return Answer(200, incoming=(incoming,))
        return Answer(200, json.dumps(body), "application/json", (incoming,))

    def _shows_the_way(self, incoming: Incoming) -> bool:
        """Whoever speaks to the bot in a group is told where to write, once a day and group; nothing else is said there."""
        if incoming.detail != SPOKEN_IN_GROUP:
            return False
        group, now = int(str(incoming.raw["chat_id"])), time.monotonic()
        self._shown = {one: at for one, at in self._shown.items() if now - at < _SHOW_AGAIN}
        if group in self._shown:
            return False
        self._shown[group] = now
        return True

    def _way(self, incoming: Incoming) -> str:
        spoken = texts.load()[language.from_tag(str(incoming.raw.get("language", "")))]
        name = self._account.settings.get("name", "")
        if not name:
            return spoken["telegram.private_chat"]
        return spoken["telegram.private_link"].format(link=f"https://t.me/{name}?start=group")

    def _check(self, given: str) -> None:
        settings = self._account.settings
        accepted = [settings.get("webhook_secret", ""), settings.get("previous_webhook_secret", "")]
        # On bytes: compare_digest refuses strings that are not ASCII, and a header may be anything.
        proof = given.encode("utf-8", "replace")
        if not any(hmac.compare_digest(proof, secret.encode()) for secret in accepted if secret):
            raise Forged("wrong or missing secret token")

    def register(self) -> bool:
        """Tells Telegram where updates go; says whether we have to poll for them. Raises SendFailed or Throttled."""
        settings = self._account.settings
        if settings.get("mode") != "webhook":
            self._ask(lambda bot: bot.delete_webhook(), SEND_DEADLINE)
            return True
        secret = settings.get("webhook_secret", "")
        if not secret:
            raise SendFailed("the account has no webhook secret", permanent=True)
        url = f"{settings.get('public_url', '')}/channels/{self.kind}/{self._account.slug}"
        self._ask(lambda bot: bot.set_webhook(url, secret_token=secret, allowed_updates=UPDATE_KINDS), SEND_DEADLINE)
        return False

    def fetch(self, cursor: str) -> Batch:
        """Waits for updates. The cursor is the next update_id: asking with it acknowledges those before it."""
        wanted: dict[str, Any] = {"timeout": int(POLL_WAIT), "allowed_updates": UPDATE_KINDS}
        if cursor:
            wanted["offset"] = int(cursor)
        # Bot.get_updates would parse the batch as a whole: one odd update would cost all the others, and be logged.
        # The double underscore is python-telegram-bot's way past its advice to use that method.
        raws = self._ask(
            lambda bot: bot.do_api_request("get__updates", wanted, read_timeout=POLL_WAIT + _CONNECT),
            POLL_WAIT + 2 * _CONNECT,
        )
        if not isinstance(raws, list):
            raise SendFailed("getUpdates gave no list", permanent=False)
        numbers = [number for raw in raws if (number := update_id(raw)) is not None]
        events = [to_incoming(raw) for raw in raws]
        self._answer_at_once(events)
        return Batch(events, str(max(numbers) + 1) if numbers else cursor)

    def _answer_at_once(self, events: list[Incoming]) -> None:
        """What the answer to a webhook carries: taps lose their spinner, groups are shown the way."""
        for event in events:
            if event.kind is Kind.TAP:
                query = str(event.raw["callback_query_id"])
                self._connected().begin(partial(Bot.answer_callback_query, callback_query_id=query), SEND_DEADLINE)
            elif self._shows_the_way(event):
                group, way = int(str(event.raw["chat_id"])), self._way(event)
                self._connected().begin(partial(Bot.send_message, chat_id=group, text=way), SEND_DEADLINE)

    def send(self, outgoing: Outgoing) -> Receipt:
        """Plain text, so that no character of it can be refused as markup."""
        rows = [[InlineKeyboardButton(button.label, callback_data=button.payload)] for button in outgoing.buttons]
        text = outgoing.text.encode("utf-8", "replace").decode()  # a lone surrogate cannot travel
        markup = InlineKeyboardMarkup(rows) if rows else None
        try:
            sent = self._connected().call(
                lambda bot: bot.send_message(outgoing.recipient, text, reply_markup=markup), SEND_DEADLINE
            )
            return Receipt(str(sent.message_id))
        except Exception as error:  # whatever the library meets: its errors, and surprises in an answer
            raise _send_error(error) from error

    def download(self, attachment: Attachment) -> Media:
        try:
            path, content = self._connected().call(
                lambda bot: _fetch_file(bot, attachment.channel_ref), _DOWNLOAD_DEADLINE
            )
        except DownloadFailed:
            raise
        except Exception as error:
            permanent = isinstance(error, BadRequest | Forbidden)
            raise DownloadFailed(_words(error), permanent=permanent) from error
        return Media(content, attachment.mime or mimetypes.guess_type(path)[0] or "application/octet-stream")

    def close(self) -> None:
        """For good: who is still waiting gets an error at once."""
        with self._lock:
            self._closed = True
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def _connected(self) -> Line:
        with self._lock:
            if self._closed:
                raise Closed
            if self._line is None:
                api_url = self._account.settings.get("api_url") or "https://api.telegram.org"
                self._line = Line(self._account.secret, api_url, patience=SEND_DEADLINE, connect=_CONNECT)
            return self._line

    def _ask(self, ask: Call[T], seconds: float) -> T:
        """A call that changes nothing for customers: every failure is worth another try."""
        try:
            return self._connected().call(ask, seconds)
        except RetryAfter as error:
            raise Throttled(_pause(error)) from error
        except Exception as error:
            raise SendFailed(_words(error), permanent=isinstance(error, InvalidToken)) from error


def _update(body: bytes) -> dict[str, Any]:
    """Raises Malformed unless this is an update with a number to know it by."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None
    if update_id(raw) is None:
        raise Malformed("the body is not an update")
    assert isinstance(raw, dict)  # noqa: S101 - only a dict has an update_id
    return raw


async def _fetch_file(bot: Bot, file_id: str) -> tuple[str, bytes]:
    """Its path, which hints at its type, and its bytes."""
    file = await bot.get_file(file_id)
    if (file.file_size or 0) > _FILE_LIMIT:
        raise DownloadFailed("larger than 20 MB", permanent=True)
    content = bytes(await file.download_as_bytearray(read_timeout=_DOWNLOAD_DEADLINE))
    if len(content) > _FILE_LIMIT:
        raise DownloadFailed("larger than 20 MB", permanent=True)
    return file.file_path or "", content


def _send_error(error: BaseException) -> SendFailed | SendUncertain | Throttled:
    """What became of the message: refused for good, not taken now, or nobody knows."""
    if isinstance(error, RetryAfter):
        return Throttled(_pause(error))
    if isinstance(error, Forbidden | BadRequest | ChatMigrated):
        return SendFailed(_words(error), permanent=True)
    if isinstance(error, InvalidToken | Closed) or isinstance(error.__cause__, _NEVER_LEFT):
        return SendFailed(_words(error), permanent=False)
    if _answered(error):
        return SendFailed(_words(error), permanent=False)
    return SendUncertain(_words(error))


def _answered(error: BaseException) -> bool:
    """Whether Telegram answered with a refusal (5xx, 409 …): the library gives these no httpx error as their cause.

    504 says that the request went on and no answer came back; a 2xx that cannot be read is a plain TelegramError.
    """
    refusal = isinstance(error, TelegramError) and type(error) is not TelegramError
    return refusal and not isinstance(error.__cause__, httpx.HTTPError) and "Gateway Timeout" not in str(error)


def _pause(error: RetryAfter) -> float:
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)


def _words(error: BaseException) -> str:
    """For logs: the kind of error, and Telegram's own short description where it refused."""
    refused = isinstance(error, BadRequest | Forbidden | InvalidToken)
    return f"{type(error).__name__}: {str(error)[:120]}" if refused else type(error).__name__
