"""Who speaks, and what becomes of what is said: once, with our first words (PIPL art. 17)."""

from sqlalchemy import Connection

from bot.replies import Reply, reply
from bot.store import conversations
from bot.store.conversations import Conversation


class Introduction:
    """`privacy_url` is the page with the whole notice; empty where there is none."""

    def __init__(self, privacy_url: str) -> None:
        self._privacy_url = privacy_url

    def due(self, db: Connection, current: Conversation) -> list[Reply]:
        """The introduction when it has not been said to this customer yet; it counts as said from now on."""
        if current.introduced_at is not None:
            return []
        conversations.change(db, current.id, introduced_at=conversations.now(db))
        return [reply("introduction", privacy_url=self._privacy_url)]
