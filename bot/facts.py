"""Records facts: in the same transaction as what they tell, never changed, nothing personal in them."""

from datetime import datetime

from sqlalchemy import Connection

from bot.store import facts as store
from bot.store.conversations import now

VERSION = 1
_ALLOWED = (str, int, float, bool, type(None))
_LONGEST_REF = 64  # labels and ids are short; a longer text is somebody's words


def record(
    db: Connection,
    kind: str,
    *,
    actor: str = "system",
    conversation_id: int | None = None,
    complaint_id: int | None = None,
    occurred_at: datetime | None = None,
    **refs: str | int | float | bool | None,
) -> None:
    """Raises ValueError for a ref that could be free text."""
    for name, value in refs.items():
        if not isinstance(value, _ALLOWED) or (isinstance(value, str) and len(value) > _LONGEST_REF):
            raise ValueError(f"fact {kind}: {name} is no id, label or number")
    store.add(
        db,
        kind=kind,
        version=VERSION,
        occurred_at=occurred_at if occurred_at is not None else now(db),
        actor=actor,
        conversation_id=conversation_id,
        complaint_id=complaint_id,
        refs=refs,
    )
