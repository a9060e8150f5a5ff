"""How customers judged the handling of their complaints: once each."""

from sqlalchemy import Column, Connection, ForeignKey, Integer, Table, Text, select, update

from bot.store.schema import Id, UtcTime, db_now, metadata
from bot.store.sql import inserted_id

rating = Table(
    "rating",
    metadata,
    Column("id", Id, primary_key=True),
    Column("complaint_id", Id, ForeignKey("complaint.id"), nullable=False, unique=True),
    Column("score", Integer, nullable=False),  # 1 to 5
    Column("reason", Text, nullable=False),  # a label of ours, or the customer's own words
    Column("rated_at", UtcTime, nullable=False),
)


def give(db: Connection, complaint_id: int, score: int) -> bool:
    """False when this complaint has its score already."""
    made = inserted_id(db, rating, complaint_id=complaint_id, score=score, reason="", rated_at=db_now())
    return made is not None


def explain(db: Connection, complaint_id: int, reason: str) -> bool:
    """Adds the one reason; False where there is no score, or a reason already."""
    done = db.execute(
        update(rating).where(rating.c.complaint_id == complaint_id, rating.c.reason == "").values(reason=reason)
    )
    return done.rowcount == 1


def score_of(db: Connection, complaint_id: int) -> int | None:
    found = db.scalar(select(rating.c.score).where(rating.c.complaint_id == complaint_id))
    return None if found is None else int(found)


def rated(db: Connection, complaint_ids: list[int]) -> set[int]:
    """Which of these have a score."""
    rows = db.execute(select(rating.c.complaint_id).where(rating.c.complaint_id.in_(complaint_ids)))
    return {int(row.complaint_id) for row in rows}
