"""dead letters and uncertain sends: attempts counted before the work, when a row stopped, when a person let it go."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from bot.store.schema import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LETTERS = {  # table -> which of its rows somebody has to look at
    "outbox": "state IN ('dead', 'uncertain') AND discarded_at IS NULL",
    "turn": "state = 'dead' AND discarded_at IS NULL",
    "ticket": "state IN ('dead', 'uncertain', 'refused') AND due_at IS NULL AND discarded_at IS NULL",
    "attachment": "state = 'refused' AND reason = 'gone' AND discarded_at IS NULL",
    "inbox": "kind = 'malformed' AND discarded_at IS NULL",
    "desk_change": "reason <> '' AND discarded_at IS NULL",
}


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="0")


def _time(name: str) -> sa.Column[Any]:
    return sa.Column(name, UtcTime(), nullable=True)


def _words(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=length), nullable=False, server_default="")


def upgrade() -> None:
    new: dict[str, list[sa.Column[Any]]] = {
        "conversation": [_count("send_claims")],
        "turn": [_count("starts"), _time("discarded_at")],
        "outbox": [_time("stopped_at"), _time("replayed_at"), _time("discarded_at")],
        "ticket": [_count("deaths"), _time("stopped_at"), _time("discarded_at")],
        "attachment": [_time("stopped_at"), _time("discarded_at")],
        "inbox": [_time("discarded_at")],
        "desk_change": [_words("reference", 16), _words("reason", 64), _time("discarded_at")],
    }
    for table, columns in new.items():
        for column in columns:  # plain ADD COLUMN: no table is written anew
            op.add_column(table, column)
    for table, which in _LETTERS.items():
        op.create_index(
            f"ix_{table}_letter", table, ["id"], postgresql_where=sa.text(which), sqlite_where=sa.text(which)
        )
    for table, at in (("outbox", "created_at"), ("ticket", "created_at")):  # nobody noted it before
        op.execute(f"UPDATE {table} SET stopped_at = {at} WHERE {_LETTERS[table]}")  # noqa: S608 - our own words
    came = "(SELECT received_at FROM inbox WHERE inbox.id = attachment.inbox_id)"
    op.execute(f"UPDATE attachment SET stopped_at = {came} WHERE {_LETTERS['attachment']}")  # noqa: S608 - as above
