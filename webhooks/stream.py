"""The web chat's stream of server-sent events: messages numbered from SQL, so that a reconnect resumes exactly.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.build import Product
from bot.live import Subscription
from bot.store import conversations
from webhooks import wire

HEARTBEAT = 15.0  # seconds; proxies close what is silent for a minute
NEWCOMER_LOOK = 1.0  # seconds; nobody can tell us of a conversation that does not exist yet
QUEUE_LOOK = 3.0  # seconds; that others leave the queue is no fact of this conversation
LIFETIME = 1800.0  # seconds; then the browser reconnects, maybe to another machine
ECHOED = 5  # of the customer's own messages, when a page opens
PAUSE_MS = 2000  # before a browser's own reconnect

log = structlog.get_logger(__name__)


class Stream:
    """One customer's open page. `after` is the last stream number that the page has."""

    def __init__(self, product: Product, account_id: int, visitor: str, after: int) -> None:
        self._product = product
        self._account_id = account_id
        self._visitor = visitor
        self._after = after
        self._said: int | None = None  # sequence number of the customer's last message that the page was told
        self._state: wire.State | None = None
        self._subscription: Subscription | None = None
        self._ends = time.monotonic() + LIFETIME

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()

    def events(self) -> Iterator[str]:
        """Ends when the reader is too slow or the database is away: the browser comes back by itself."""
        yield f"retry: {PAUSE_MS}\n: open\n\n"
        while time.monotonic() < self._ends and not self._too_slow():
            try:
                news = self._news()
            except SQLAlchemyError as error:
                log.warning("stream.database_away", error=type(error).__name__)
                return
            yield from news
            if not news and self._quiet():
                yield ": \n\n"

    def _too_slow(self) -> bool:
        return self._subscription is not None and self._subscription.cut

    def _news(self) -> list[str]:
        """Subscribes before it reads: what is committed in between comes twice as a nudge, never not at all."""
        conversation_id = self._conversation_id()
        if conversation_id is not None and self._subscription is None:
            self._subscription = self._product.live.subscribe(conversation_id=conversation_id)
        if self._subscription is not None:
            self._subscription.drain()
        with self._product.database.read() as db:
            found = conversations.read(db, conversation_id) if conversation_id is not None else None
            said = wire.said(db, self._product.texts, found, self._said_after(found)) if found else []
            messages = wire.new_messages(db, self._product.texts, found, self._after) if found else []
            state = wire.state_of(db, found)
        return [*map(self._echo, said), *map(self._numbered, messages), *self._changed(state)]

    def _said_after(self, found: conversations.Conversation) -> int:
        """A page that has just been opened may have missed the last few while it read the history; it knows their ids."""
        if self._said is None:
            self._said = max(0, found.next_sequence - 1 - ECHOED)
        return self._said

    def _echo(self, said: tuple[int, dict[str, Any]]) -> str:
        self._said, line = said
        return f"event: said\ndata: {json.dumps(line, ensure_ascii=False)}\n\n"

    def _conversation_id(self) -> int | None:
        if self._subscription is not None:
            return self._subscription.conversation_id
        with self._product.database.read() as db:
            found = conversations.of_sender(db, self._account_id, self._visitor)
            return found.id if found else None

    def _numbered(self, message: dict[str, Any]) -> str:
        self._after = message["stream"]
        return f"id: {self._after}\nevent: message\ndata: {json.dumps(message, ensure_ascii=False)}\n\n"

    def _changed(self, state: wire.State) -> list[str]:
        if state == self._state:
            return []
        self._state = state
        return [f"event: state\ndata: {json.dumps(asdict(state), ensure_ascii=False)}\n\n"]

    def _quiet(self) -> bool:
        """Waits for a nudge; True when a whole heartbeat went by without one."""
        if self._subscription is None:
            time.sleep(NEWCOMER_LOOK)
            return True
        queued = self._state is not None and self._state.state == "queued"
        return self._subscription.next(QUEUE_LOOK if queued else HEARTBEAT) is None
