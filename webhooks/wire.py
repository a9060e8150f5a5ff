"""What the web chat API says about messages and states, as JSON-ready dicts (webhooks/static/openapi.yml has the shapes)."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, select

from bot.message import Button
from bot.sender import labelled
from bot.store import conversations, inbox, outbox, users
from bot.store.conversations import Conversation
from bot.store.outbox import OutboxRow
from bot.texts import Texts
from bot.transcript import Line, transcript

log = structlog.get_logger(__name__)

HISTORY = 200  # lines that a reload shows; older ones stay in the transcript


@dataclass(frozen=True)
class State:
    """Who answers now. `position` only in the queue, `agent` only with a person."""

    state: str = "bot"
    position: int | None = None
    agent: str | None = None


def state_of(db: Connection, found: Conversation | None) -> State:
    if found is None:
        return State()
    if found.state == "queued":
        return State("queued", position=conversations.position(db, found))
    return State(found.state, agent=_name(db, found.owner_id))


def _name(db: Connection, user_id: int | None) -> str | None:
    user = users.read(db, user_id) if user_id is not None else None
    return user.name if user else None


def new_messages(db: Connection, texts: Texts, found: Conversation, after: int) -> list[dict[str, Any]]:
    """What has been sent since stream number `after`, in order."""
    rows = outbox.stream_after(db, found.id, after)
    return [_message(db, texts, row, found.language) for row in rows]


def _message(db: Connection, texts: Texts, row: OutboxRow, language: str) -> dict[str, Any]:
    return {
        "stream": row.stream,
        "at": _iso(row.sent_at or row.created_at),
        "side": "agent" if row.author_id is not None else "bot",
        "author": _name(db, row.author_id) or "",
        "text": row.text,
        "buttons": _choices(texts, row, language),
    }


def _choices(texts: Texts, row: OutboxRow, language: str) -> list[dict[str, str]]:
    """A button without a text is a mistake of ours; the message goes without it rather than not at all."""
    try:
        return _buttons(labelled(texts, row, language))
    except KeyError as missing:
        log.error("webchat.no_button_text", key=str(missing), outbox=row.id)
        return []


def _buttons(buttons: tuple[Button, ...]) -> list[dict[str, str]]:
    return [asdict(button) for button in buttons]


def history(db: Connection, texts: Texts, found: Conversation | None, language: str) -> dict[str, Any]:
    """Everything that the customer may see, and the stream number up to which it goes: one consistent look."""
    lines = transcript(db, texts, found.id) if found else []
    return {
        "language": found.language if found else language,
        "state": asdict(state_of(db, found)),
        "after": found.next_stream - 1 if found else 0,
        "messages": _lines(db, found.id, lines) if found else [],
    }


def _lines(db: Connection, conversation_id: int, lines: list[Line]) -> list[dict[str, Any]]:
    ids = _client_ids(db, conversation_id)
    return [_line(line, ids.get(line.key)) for line in lines if _visible(line)][-HISTORY:]


def said(db: Connection, texts: Texts, found: Conversation, after: int) -> list[tuple[int, dict[str, Any]]]:
    """(sequence, line) of what the customer has said since, on whichever page: the others show it too."""
    rows = {f"in:{row.id}" for row in inbox.said_after(db, found.id, after)}
    if not rows:
        return []
    lines = [line for line in transcript(db, texts, found.id) if line.key in rows and _visible(line)]
    ids = _client_ids(db, found.id)
    return [(line.sequence or 0, _line(line, ids.get(line.key))) for line in lines]


def as_text(db: Connection, texts: Texts, found: Conversation) -> str:
    """The whole conversation as the customer may see it, a paragraph a message."""
    spoken = found.language
    names = {"customer": texts.render("webchat.live.you", spoken), "bot": texts.render("webchat.page.bot", spoken)}
    lines = [line for line in transcript(db, texts, found.id) if _visible(line)]
    told = [texts.render("webchat.page.title", spoken)]
    for line in lines:
        name = (
            texts.render("webchat.live.by_agent", spoken, name=line.author)
            if line.side == "agent"
            else names[line.side]
        )
        files = "".join(f"\n[{file.name or file.kind}]" for file in line.attachments)
        told.append(f"{texts.time(line.at, spoken)} {name}\n{line.text}{files}")
    return "\n\n".join(told) + "\n"


def _client_ids(db: Connection, conversation_id: int) -> dict[str, str]:
    """Line key -> the id that the customer's client gave: how it knows its own unsent message again."""
    c = inbox.inbox.c
    rows = db.execute(select(c.id, c.event_key).where(c.conversation_id == conversation_id))
    return {f"in:{row.id}": row.event_key.partition(":")[2] for row in rows}


def _visible(line: Line) -> bool:
    """The customer's own words, and what has its number in the stream: nothing held, dropped or still due."""
    return (line.side == "customer" and bool(line.text or line.attachments)) or (
        line.side in ("bot", "agent") and line.stream is not None
    )


def _line(line: Line, client_id: str | None) -> dict[str, Any]:
    return {
        "id": client_id,
        "stream": line.stream,
        "at": _iso(line.at),
        "side": line.side,
        "author": line.author if line.side == "agent" else "",
        "text": line.text,
        "files": [{"number": file.id, "name": file.name or file.kind, "mime": file.mime} for file in line.attachments],
        "buttons": _buttons(line.buttons),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
