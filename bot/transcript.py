"""The transcript of a conversation: inbox and outbox side by side, in time order. There is no second copy."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from bot.message import Button, Kind
from bot.sender import labelled, words
from bot.store import conversations, inbox, outbox, users
from bot.store.conversations import Conversation
from bot.store.inbox import AttachmentRow, InboxRow
from bot.store.outbox import OutboxRow
from bot.texts import Texts


@dataclass(frozen=True)
class Line:
    """One message as people see it. `state` is the inbox disposition or the outbox state."""

    key: str
    at: datetime
    side: str  # customer, bot, agent, system
    author: str
    text: str
    buttons: tuple[Button, ...]
    state: str
    reason: str
    sequence: int | None
    stream: int | None
    attachments: tuple[AttachmentRow, ...] = ()
    stopped: bool = False  # dead or uncertain, and nobody has decided about it yet


def transcript(
    db: Connection, texts: Texts, conversation_id: int, language: str | None = None, *, hide_codes: bool = False
) -> list[Line]:
    """Everything said and everything that could not be said, oldest first. LookupError for an unknown id.

    `hide_codes` is for people at work: a receipt code proves who the customer is, to them too.
    """
    current = conversations.read(db, conversation_id)
    if current is None:
        raise LookupError(f"no conversation {conversation_id}")
    spoken = language or current.language
    sent = outbox.history(db, conversation_id)
    lines = _incoming(db, texts, conversation_id, {row.id: row for row in sent}, spoken)
    shown = [_without_code(row) for row in sent] if hide_codes else sent
    lines += [_outgoing(db, texts, current, row, spoken) for row in shown]
    return sorted(lines, key=lambda line: (line.at, line.side != "customer"))


def _incoming(
    db: Connection, texts: Texts, conversation_id: int, sent: dict[int, OutboxRow], language: str
) -> list[Line]:
    files: dict[int, list[AttachmentRow]] = {}
    for file in inbox.attachments(db, conversation_id):
        files.setdefault(file.inbox_id, []).append(file)
    return [
        Line(
            key=f"in:{row.id}",
            at=row.received_at,
            side="customer",
            author="",
            text=_tapped(texts, row, sent, language) if row.kind == Kind.TAP else row.text or row.detail,
            buttons=(),
            state=row.disposition,
            reason=row.detail,
            sequence=row.sequence,
            stream=None,
            attachments=tuple(files.get(row.id, ())),
        )
        for row in inbox.history(db, conversation_id)
    ]


def _tapped(texts: Texts, row: InboxRow, sent: dict[int, OutboxRow], language: str) -> str:
    """The label of the button that was tapped."""
    if texts.has(f"button.{row.payload}"):
        return texts.render(f"button.{row.payload}", language)
    row_id, _, index = row.payload.partition(".")
    asked = sent.get(int(row_id)) if row_id.isdecimal() else None
    if asked is None or not index.isdecimal() or int(index) >= len(asked.buttons):
        return ""
    return texts.render(asked.buttons[int(index)]["key"], language)


def _without_code(row: OutboxRow) -> OutboxRow:
    code = row.args.get("code")
    if not code:
        return row
    hidden = "•" * len(code)
    return replace(row, args={**row.args, "code": hidden}, text=row.text.replace(code, hidden))


def _outgoing(db: Connection, texts: Texts, current: Conversation, row: OutboxRow, language: str) -> Line:
    author = users.read(db, row.author_id) if row.author_id is not None else None
    try:
        text = words(texts, row, language)
    except KeyError:
        text = row.text_key
    return Line(
        key=f"out:{row.id}",
        at=row.sent_at or row.created_at,
        side="agent" if row.class_ == "agent" else "bot",
        author=author.name if author else "",
        text=text,
        buttons=labelled(texts, row, language) if buttons_live(current, row) else (),
        state=row.state,
        reason=row.reason,
        sequence=None,
        stream=row.stream,
        stopped=row.state in ("dead", "uncertain") and row.discarded_at is None,
    )


def said_of(db: Connection, texts: Texts, outbox_id: int) -> str:
    """What one outgoing message says, for people at work: without a receipt's code."""
    row = outbox.read(db, outbox_id)
    current = conversations.read(db, row.conversation_id) if row else None
    if row is None or current is None:
        return ""
    try:
        return words(texts, _without_code(row), current.language)
    except KeyError:
        return row.text_key


def buttons_live(current: Conversation, row: OutboxRow) -> bool:
    """Whether a tap on this row's buttons still means something."""
    if not row.question:
        return current.state == "queued" if row.topic == "position" else current.state in ("bot", "closed")
    return bool(current.state == "bot" and current.question and current.question["open_id"] == row.question)
