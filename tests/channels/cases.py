"""One case per channel: how its platform's words look, for the contract test. A new channel adds one entry."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.channel import Account, Channel, Pushed, Request
from bot.channels.screen import tapped, typed
from bot.channels.webchat import incoming as webchat_incoming
from bot.message import Attachment, Incoming, Kind

SECRET = "the-webhook-secret"
CHAT = 4711


@dataclass(frozen=True)
class Case:
    """`say` and `tap` give what the channel makes of a customer's words and taps, each under a message number.

    `post` takes raw bytes as they come from outside (None: nothing comes by HTTP); `forged` lists requests that must
    be refused; `table` has platform words and what must be seen of them.
    """

    account: Account
    say: Callable[[Channel, str, int], Incoming]
    tap: Callable[[Channel, str, int], Incoming] | None  # None: a channel without buttons
    post: Callable[[Channel, bytes], Sequence[Incoming]] | None = None
    forged: Sequence[Request] = ()
    table: Sequence[tuple[Any, dict[str, Any]]] = field(default_factory=list)


# Telegram ---------------------------------------------------------------------------------------------------------


def request(body: bytes, secret: str = SECRET) -> Request:
    return Request("POST", {}, {"x-telegram-bot-api-secret-token": secret}, body)


def post_update(channel: Channel, update: Any) -> Incoming:
    assert isinstance(channel, Pushed)
    [event] = channel.receive(request(json.dumps(update).encode())).incoming
    return event


PERSON = {"id": CHAT, "is_bot": False, "first_name": "小", "last_name": "王", "language_code": "zh-hans"}
PRIVATE = {"id": CHAT, "type": "private"}
FILE = {"file_id": "F", "file_unique_id": "U"}


def message(number: int = 7, **content: Any) -> dict[str, Any]:
    base = {"message_id": number, "date": 1_700_000_000, "chat": PRIVATE, "from": PERSON}
    return base | content


def update(number: int = 70, **content: Any) -> dict[str, Any]:
    return {"update_id": number} | content


def callback(number: int = 9, data: Any = "17.0", **more: Any) -> dict[str, Any]:
    query = {"id": f"{number}", "from": PERSON, "chat_instance": "1", "message": message(text="?"), "data": data}
    return update(callback_query=query | more)


MEDIA = {"kind": Kind.MEDIA, "sender": str(CHAT), "wants_answer": False}
OTHER = {"kind": Kind.OTHER, "sender": str(CHAT), "wants_answer": True}
UNREADABLE = OTHER | {"detail": "unreadable"}
SILENT = {"kind": Kind.OTHER, "sender": "", "wants_answer": False, "text": ""}
MALFORMED = {"kind": Kind.MALFORMED, "sender": "", "event_key": "u:70"}
GROUP = {"id": -5, "type": "group", "title": "neighbours"}
BOT = {"id": 1, "is_bot": True, "first_name": "bot"}
MEMBER = {
    "chat": PRIVATE,
    "from": PERSON,
    "date": 1_700_000_000,
    "old_chat_member": {"user": BOT, "status": "member"},
    "new_chat_member": {"user": BOT, "status": "kicked", "until_date": 0},
}
KEY = f"m:{CHAT}:7:1700000000"
TELEGRAM_TABLE: list[tuple[Any, dict[str, Any]]] = [
    (
        update(message=message(text="宽带断了")),
        {
            "kind": Kind.TEXT,
            "sender": str(CHAT),
            "text": "宽带断了",
            "event_key": KEY,
            "display_name": "小 王",
            "language": "zh-hans",
        },
    ),
    (update(message=message(text="/complain{now}")), {"kind": Kind.TEXT, "text": "/complain{now}", "payload": ""}),
    (update(message=message(text="{}\x00\ud800\u202e")), {"kind": Kind.TEXT, "text": "{}\x00\ud800\u202e"}),
    (update(message=message(text="hi") | {"from": None}), {"kind": Kind.TEXT, "sender": str(CHAT)}),
    (
        update(message=message(photo=[FILE | {"width": 1, "height": 1}], caption="账单", media_group_id="G")),
        {"kind": Kind.MEDIA, "text": "账单", "wants_answer": False},
    ),
    (
        update(
            message=message(document=FILE | {"file_name": "账单.pdf", "mime_type": "application/pdf"}, caption="see")
        ),
        MEDIA | {"attachments": (Attachment("document", "F", "账单.pdf", "application/pdf"),), "text": "see"},
    ),
    (
        update(message=message(voice=FILE | {"duration": 3, "file_size": 9})),
        MEDIA | {"attachments": (Attachment("voice", "F", "", "audio/ogg", 9),), "detail": "voice"},
    ),
    (
        update(message=message(audio=FILE | {"duration": 3, "mime_type": "audio/flac"})),
        MEDIA | {"attachments": (Attachment("audio", "F", "", "audio/flac"),)},
    ),
    (
        update(message=message(video=FILE | {"duration": 3, "width": 1, "height": 1, "file_name": "a\x00\u202eb"})),
        MEDIA | {"attachments": (Attachment("video", "F", "ab", "video/mp4"),)},
    ),
    (
        update(message=message(location={"latitude": 31.2, "longitude": 121.5})),
        {"kind": Kind.TEXT, "text": "geo:31.20000,121.50000"},
    ),
    (
        update(message=message(contact={"phone_number": "+8613800138000", "first_name": "a"})),
        {"kind": Kind.TEXT, "text": "a +8613800138000", "detail": "contact"},
    ),
    (update(message=message(dice={"emoji": "🎲", "value": 3})), OTHER | {"detail": "dice"}),
    (update(message=message(newer_than_us={"x": 1})), OTHER | {"detail": "unknown"}),
    (update(message=message(new_chat_title="t")), {"kind": Kind.OTHER, "wants_answer": False}),
    (
        update(edited_message=message(text="改一下", edit_date=1_700_000_050)),
        {"kind": Kind.EDIT, "text": "改一下", "replaces": KEY, "event_key": "u:70", "sender": str(CHAT)},
    ),
    (
        update(edited_message=message(location={"latitude": 1, "longitude": 2}, edit_date=1_700_000_050)),
        SILENT | {"detail": "edited_message"},
    ),
    (callback(), {"kind": Kind.TAP, "payload": "17.0", "text": "", "sender": str(CHAT), "event_key": "c:9"}),
    (callback(data=None), SILENT),
    (callback(data="x" * 65), SILENT),
    (callback(data="人工"), SILENT),
    (callback(data="a\x00b"), SILENT),
    (callback(data=["human"]), SILENT),
    (callback(message=None), SILENT),
    (callback(message=message(chat=GROUP)), SILENT),
    (callback(message={"chat": PRIVATE, "message_id": 7, "date": 0}), {"kind": Kind.TAP, "payload": "17.0"}),
    (callback(id=9), MALFORMED),
    (update(message=message(text="hi all", chat=GROUP)), SILENT | {"detail": "spoken to in a group"}),
    (update(message=message(text="beep") | {"from": PERSON | {"is_bot": True}}), SILENT),
    (
        update(channel_post=message(text="news", chat={"id": -6, "type": "channel"})),
        SILENT | {"detail": "channel_post"},
    ),
    (update(my_chat_member={"chat": PRIVATE}), MALFORMED),
    (
        update(my_chat_member=MEMBER),
        {"kind": Kind.OTHER, "sender": str(CHAT), "detail": "blocked", "wants_answer": False},
    ),
    (update(my_chat_member=MEMBER | {"chat": GROUP}), SILENT | {"detail": "my_chat_member"}),
    (update(a_kind_of_next_year={"id": 1}), SILENT | {"detail": "a_kind_of_next_year"}),
    (update(**{"\x00\ud800" * 99: 1}), SILENT | {"detail": ""}),
    (update(), SILENT | {"detail": "empty"}),
    (update(message=7), MALFORMED),
    (update(message=[]), MALFORMED),
    (update(message=message(text=5)), UNREADABLE),
    (update(message=message(text="x", date="now")), MALFORMED),
    (update(message=message(text="x", date=10**30)), MALFORMED),
    (update(message=message(text="x", chat=None)), MALFORMED),
    (update(message=message(text="x", chat=PRIVATE | {"id": "4711"})), MALFORMED),
    (update(message=message(number=10**30, text="x")), MALFORMED),
    (update(message=message(photo=[])), OTHER | {"detail": "unknown"}),
    (update(message=message(photo=[FILE])), UNREADABLE),
    (update(message=message(photo=[FILE | {"width": 1, "height": 1, "file_id": "a\x00b"}])), UNREADABLE),
    (update(message=message(poll={"of": "next year"}, text="好")), UNREADABLE | {"text": "好", "event_key": KEY}),
]

TELEGRAM = Case(
    account=Account(
        1, "telegram", "main", "1:t", "", {"webhook_secret": SECRET, "previous_webhook_secret": "the-one-before"}
    ),
    say=lambda channel, text, number: post_update(channel, update(number, message=message(number, text=text))),
    tap=lambda channel, payload, number: post_update(channel, callback(number, payload)),
    post=lambda channel, body: channel.receive(request(body)).incoming,  # type: ignore[attr-defined]
    forged=[
        Request("POST", {}, {}, b"{}"),
        Request("GET", {"x-telegram-bot-api-secret-token": SECRET}, {}, b""),
        *(
            request(b'{"update_id": 1}', guess)
            for guess in ("", "wrong", SECRET + " ", SECRET[:-1], "秘密", "\xff", "\x00")
        ),
    ],
    table=TELEGRAM_TABLE,
)

# Our own ----------------------------------------------------------------------------------------------------------


def post_chat(_channel: Channel, body: bytes) -> Sequence[Incoming]:
    """The door's part is to read the JSON; the shape is the channel's."""
    return [webchat_incoming("visitor", "zh", json.loads(body))]


WEBCHAT = Case(
    account=Account(2, "webchat", "main"),
    say=lambda _, text, number: webchat_incoming("visitor", "zh", {"id": f"message-{number}", "text": text}),
    tap=lambda _, payload, number: webchat_incoming("visitor", "zh", {"id": f"message-{number}", "tap": payload}),
    post=post_chat,
)

SCREEN = Case(
    account=Account(3, "screen", "main"),
    say=lambda _, text, number: typed("terminal", f"terminal:{number}", text, "zh"),
    tap=lambda _, payload, number: tapped("terminal", f"terminal:{number}", payload),
)

CASES: dict[str, Case] = {"telegram": TELEGRAM, "webchat": WEBCHAT, "screen": SCREEN}
