"""Turns one Telegram update into one Incoming, whatever its shape (https://core.telegram.org/bots/api#update).

Event keys. A message is known by (chat, message, date): it is the same on every redelivery, by webhook or by polling,
and an edit names its original by it. An update_id would not do: an edit has another one, and after a quiet week
Telegram continues with a random number, so that it is not unique for ever. A tap is known by its callback id. What is
neither (an edit, a block, an unknown kind) is known by its update_id, the only thing that it has.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from telegram import CallbackQuery, Chat, Message, Update
from telegram.constants import MessageAttachmentType
from telegram.helpers import effective_message_type

from bot.message import Attachment, Incoming, Kind

_LARGEST_ID = 2**63  # JSON numbers have no end, keys and columns do
_LONGEST_ID = 128  # characters; Telegram's own are shorter
_PAYLOAD_BYTES = 64  # https://core.telegram.org/bots/api#inlinekeyboardbutton, callback_data
# What a person sends and waits for an answer to; the other kinds are service notes ("pinned a message").
# A message without any part that this version knows may well be a new thing to send: it is answered too.
_UNKNOWN = "unknown"
_CONTENT = frozenset({_UNKNOWN, *(kind.value for kind in MessageAttachmentType)})


def to_incoming(raw: object) -> Incoming:
    """Never raises: what cannot be read becomes kind MALFORMED, with a key that a repetition shares."""
    try:
        return _read(raw) if isinstance(raw, dict) else _malformed(raw)
    except Exception:
        # python-telegram-bot checks no types: a wrong shape raises KeyError, TypeError, AttributeError,
        # OverflowError, RecursionError … from its depths. None of them may stop the updates behind it.
        return _malformed(raw)


def update_id(raw: object) -> int | None:
    """The number to acknowledge the update by; None when there is no usable one."""
    return _id(raw.get("update_id")) if isinstance(raw, dict) else None


def _read(raw: dict[str, Any]) -> Incoming:
    number = update_id(raw)
    update = Update.de_json(raw, None)
    if number is None:
        return _malformed(raw)
    if update.message is not None:
        return _message(update.message, number)
    if update.edited_message is not None:
        return _edit(update.edited_message, number)
    if update.callback_query is not None:
        return _tap(update.callback_query, number)
    return _recorded(number, _kind_of(raw))


def _message(message: Message, number: int) -> Incoming:
    if not _private(message):
        return _recorded(number, _clip(f"{message.chat.type} message", 64))
    kind, text, attachments, detail = _content(message)
    return Incoming(
        event_key=_message_key(message),
        kind=kind,
        text=text,
        attachments=attachments,
        wants_answer=kind is Kind.OTHER and detail in _CONTENT,
        detail=detail,
        raw=_small(update_id=number, message_id=message.message_id, media_group_id=message.media_group_id),
        **_who(message),
    )


def _content(message: Message) -> tuple[Kind, str, tuple[Attachment, ...], str]:
    """Kind, text, attachments, and Telegram's word for it."""
    detail = str(effective_message_type(message) or _UNKNOWN)
    if detail == "text":
        return Kind.TEXT, _string(message.text), (), detail
    if detail == "photo":
        photo = max(message.photo, key=lambda size: size.width * size.height)
        file = Attachment("photo", _token(photo.file_id), mime="image/jpeg", size=photo.file_size)
        return Kind.MEDIA, _string(message.caption or ""), (file,), detail
    return Kind.OTHER, _string(message.caption or ""), (), detail


def _edit(message: Message, number: int) -> Incoming:
    text = message.text or message.caption
    if not _private(message) or not text:
        return _recorded(number, "edited_message")  # a live location is "edited" every few seconds
    return Incoming(
        event_key=f"u:{number}",
        kind=Kind.EDIT,
        text=_string(text),
        replaces=_message_key(message),
        raw=_small(update_id=number, message_id=message.message_id),
        **_who(message),
    )


def _tap(query: CallbackQuery, number: int) -> Incoming:
    """A tap under a message of a private chat; our payloads are short and printable, others are not ours."""
    message = query.message
    if message is None or message.chat.type != Chat.PRIVATE or query.from_user.is_bot or not _ours(query.data):
        return _recorded(number, "callback_query", callback_query_id=_token(query.id))
    return Incoming(
        event_key=f"c:{_token(query.id)}",
        kind=Kind.TAP,
        sender=str(_checked(message.chat.id)),
        payload=_string(query.data),
        language=_clip(query.from_user.language_code, 16),
        display_name=_clip(query.from_user.full_name, 128),
        raw=_small(update_id=number, callback_query_id=query.id, message_id=message.message_id),
    )


def _recorded(number: int, detail: str, **raw: object) -> Incoming:
    """Verified, of no conversation: groups, channels, other bots, blocks, kinds that are newer than this file."""
    return Incoming(event_key=f"u:{number}", kind=Kind.OTHER, detail=detail, raw=_small(update_id=number, **raw))


def _malformed(raw: object) -> Incoming:
    number = update_id(raw)
    key = f"u:{number}" if number is not None else f"x:{_digest(raw)}"
    return Incoming(event_key=key, kind=Kind.MALFORMED, detail="update")


def _private(message: Message) -> bool:
    """Written by a person in a private chat with the bot; a business account's chat is not ours."""
    written_by_bot = message.from_user is not None and message.from_user.is_bot is True
    return message.chat.type == Chat.PRIVATE and not written_by_bot and message.business_connection_id is None


def _who(message: Message) -> dict[str, Any]:
    author = message.from_user
    return {
        "sender": str(_checked(message.chat.id)),
        "platform_time": message.date,
        "language": _clip(author.language_code if author else "", 16),
        "display_name": _clip(author.full_name if author else "", 128),
    }


def _message_key(message: Message) -> str:
    chat, number = _checked(message.chat.id), _checked(message.message_id)
    return f"m:{chat}:{number}:{int(message.date.timestamp())}"


def _kind_of(raw: Mapping[str, Any]) -> str:
    """The one field beside update_id, as the platform calls it."""
    return next((_clip(key, 64) for key in raw if key != "update_id"), "empty")


def _ours(data: object) -> bool:
    return isinstance(data, str) and 0 < len(data) <= _PAYLOAD_BYTES and data.isascii() and data.isprintable()


def _token(value: object) -> str:
    """An id of Telegram's that is a short string."""
    if (
        not isinstance(value, str)
        or not value.isascii()
        or not value.isprintable()
        or not 0 < len(value) <= _LONGEST_ID
    ):
        raise ValueError("not an id")
    return value


def _id(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < _LARGEST_ID else None


def _checked(value: object) -> int:
    number = _id(value)
    if number is None:
        raise ValueError("not an id")
    return number


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _clip(value: object, length: int) -> str:
    """Short and storable everywhere; empty when it is no string."""
    return "".join(char for char in value if char.isprintable())[:length] if isinstance(value, str) else ""


def _small(**values: object) -> dict[str, object]:
    """What later steps may need, without what is not there."""
    kept = {name: _clip(value, 128) if isinstance(value, str) else value for name, value in values.items()}
    return {name: value for name, value in kept.items() if isinstance(value, int | str)}


def _digest(raw: object) -> str:
    try:
        return sha256(json.dumps(raw, sort_keys=True, default=str).encode()).hexdigest()
    except (RecursionError, ValueError):
        return "unreadable"
