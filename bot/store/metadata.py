"""All tables together, for migrations and for tests that look at every one."""

from bot.store import (  # noqa: F401 - importing a subject registers its tables
    accounts,
    blobs,
    complaints,
    conversations,
    desk_actions,
    desk_pauses,
    facts,
    inbox,
    outbox,
    people,
    ratings,
    tickets,
    turns,
    users,
    webchat,
)
from bot.store.schema import metadata

__all__ = ["metadata"]
