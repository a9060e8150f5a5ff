"""indexes for the figures of /metrics: small ones, over what is not settled only."""

from alembic import op
from sqlalchemy import text

revision = "0050"
down_revision = "0010"
branch_labels = None
depends_on = None

# name, table, columns, what the index holds
INDEXES = (
    ("ix_inbox_waiting", "inbox", ["received_at"], "disposition = 'open'"),
    ("ix_turn_unfinished", "turn", ["state", "created_at"], "state IN ('open', 'dead')"),
    (
        "ix_outbox_unsettled", "outbox", ["state", "class_"],
        "state IN ('pending', 'sending', 'retry', 'uncertain', 'dead', 'held')",
    ),
    ("ix_ticket_unopened", "ticket", ["state"], "state IN ('wanted', 'opening', 'uncertain', 'refused', 'dead')"),
    ("ix_conversation_lease", "conversation", ["lease_until"], "lease_until IS NOT NULL"),
    ("ix_conversation_send_lease", "conversation", ["send_lease_until"], "send_lease_until IS NOT NULL"),
)  # fmt: skip


def upgrade() -> None:
    for name, table, columns, held in INDEXES:
        op.create_index(name, table, columns, sqlite_where=text(held), postgresql_where=text(held))


def downgrade() -> None:
    for name, table, _columns, _held in INDEXES:
        op.drop_index(name, table)
