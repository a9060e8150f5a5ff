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

from telegram import CallbackQuery, Chat, ChatMemberUpdated, Message, Update

from bot.channels.telegram_content import SPOKEN, checked, clip, content, string, token, whole
from bot.message import Incoming, Kind

_PAYLOAD_BYTES = 64  # https://core.telegram.org/bots/api#inlinekeyboardbutton, callback_data
_LEFT = frozenset({"kicked", "left"})  # what a chat member is who has blocked the bot
SPOKEN_IN_GROUP = "spoken to in a group"  # detail of what is answered by the address of the private chat


def to_incoming(raw: object) -> Incoming:
    """Never raises: what cannot be read becomes kind MALFORMED, with a key that a repetition shares."""
    try:
        return _read(raw) if isinstance(raw, dict) else _malformed(raw)
    except Exception:
        # python-telegram-bot checks no types: a wrong shape raises KeyError, TypeError, AttributeError,
        # OverflowError, RecursionError … from its depths. None of them may stop the updates behind it.
        return _rescued(raw)


def update_id(raw: object) -> int | None:
    """The number to acknowledge the update by; None when there is no usable one."""
    return whole(raw.get("update_id")) if isinstance(raw, dict) else None


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
    if update.my_chat_member is not None:
        return _membership(update.my_chat_member, number)
    return _recorded(number, _kind_of(raw))


def _message(message: Message, number: int) -> Incoming:
    if not _private(message):
        return _elsewhere(message, number)
    found = content(message)
    return Incoming(
        event_key=_message_key(message),
        kind=found.kind,
        text=found.text,
        attachments=found.attachments,
        wants_answer=found.wants_answer,
        detail=found.detail,
        raw=_small(update_id=number, message_id=message.message_id, media_group_id=message.media_group_id),
        **_who(message),
    )


def _elsewhere(message: Message, number: int) -> Incoming:
    """Where others read along nothing is taken, not even the words; whoever spoke to the bot may be told where to go."""
    author = message.from_user
    group = message.chat.type in (Chat.GROUP, Chat.SUPERGROUP) and author is not None and author.is_bot is not True
    if not group or content(message).detail not in SPOKEN:
        return _recorded(number, clip(f"{message.chat.type} message", 64))
    language = clip(author.language_code if author else "", 16)
    return _recorded(number, SPOKEN_IN_GROUP, chat_id=checked(message.chat.id), language=language)


def _membership(change: ChatMemberUpdated, number: int) -> Incoming:
    """A person who blocks the bot, or lets it in again: shown with their conversation. Other chats are only recorded."""
    if change.chat.type != Chat.PRIVATE:
        return _recorded(number, "my_chat_member")
    left = change.new_chat_member.status in _LEFT
    return Incoming(
        event_key=f"u:{number}",
        kind=Kind.OTHER,
        sender=str(checked(change.chat.id)),
        detail="blocked" if left else "unblocked",
        platform_time=change.date,
        raw=_small(update_id=number),
    )


def _edit(message: Message, number: int) -> Incoming:
    text = message.text or message.caption
    if not _private(message) or not text:
        return _recorded(number, "edited_message")  # a live location is "edited" every few seconds
    return Incoming(
        event_key=f"u:{number}",
        kind=Kind.EDIT,
        text=string(text),
        replaces=_message_key(message),
        raw=_small(update_id=number, message_id=message.message_id),
        **_who(message),
    )


def _tap(query: CallbackQuery, number: int) -> Incoming:
    """A tap under a message of a private chat; our payloads are short and printable, others are not ours."""
    message = query.message
    if message is None or message.chat.type != Chat.PRIVATE or query.from_user.is_bot or not _ours(query.data):
        return _recorded(number, "callback_query", callback_query_id=token(query.id))
    return Incoming(
        event_key=f"c:{token(query.id)}",
        kind=Kind.TAP,
        sender=str(checked(message.chat.id)),
        payload=string(query.data),
        language=clip(query.from_user.language_code, 16),
        display_name=clip(query.from_user.full_name, 128),
        raw=_small(update_id=number, callback_query_id=query.id, message_id=message.message_id),
    )


def _recorded(number: int, detail: str, **raw: object) -> Incoming:
    """Verified, of no conversation: groups, channels, other bots, blocks, kinds that are newer than this file."""
    return Incoming(event_key=f"u:{number}", kind=Kind.OTHER, detail=detail, raw=_small(update_id=number, **raw))


def _rescued(raw: object) -> Incoming:
    """A message of a newer shape than the library knows: somebody waits behind it, if we can see who."""
    try:
        number, message = update_id(raw), raw["message"]  # type: ignore[index]  # that is what is tried
        author, chat = message["from"], message["chat"]
        key = f"m:{checked(chat['id'])}:{checked(message['message_id'])}:{checked(message['date'])}"
        private = chat["type"] == Chat.PRIVATE and author.get("is_bot") is not True
    except (KeyError, TypeError, AttributeError, ValueError):
        return _malformed(raw)
    if number is None or not private:
        return _malformed(raw)
    return Incoming(
        key,
        Kind.OTHER,
        sender=str(chat["id"]),
        text=message["text"] if isinstance(message.get("text"), str) else "",
        language=clip(author.get("language_code"), 16),
        wants_answer=True,
        detail="unreadable",
        raw=_small(update_id=number),
    )


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
        "sender": str(checked(message.chat.id)),
        "platform_time": message.date,
        "language": clip(author.language_code if author else "", 16),
        "display_name": clip(author.full_name if author else "", 128),
    }


def _message_key(message: Message) -> str:
    chat, number = checked(message.chat.id), checked(message.message_id)
    return f"m:{chat}:{number}:{int(message.date.timestamp())}"


def _kind_of(raw: Mapping[str, Any]) -> str:
    """The one field beside update_id, as the platform calls it."""
    return next((clip(key, 64) for key in raw if key != "update_id"), "empty")


def _ours(data: object) -> bool:
    return isinstance(data, str) and 0 < len(data) <= _PAYLOAD_BYTES and data.isascii() and data.isprintable()


def _small(**values: object) -> dict[str, object]:
    """What later steps may need, without what is not there."""
    kept = {name: clip(value, 128) if isinstance(value, str) else value for name, value in values.items()}
    return {name: value for name, value in kept.items() if isinstance(value, int | str)}


def _digest(raw: object) -> str:
    try:
        return sha256(json.dumps(raw, sort_keys=True, default=str).encode()).hexdigest()
    except (RecursionError, ValueError):
        return "unreadable"
