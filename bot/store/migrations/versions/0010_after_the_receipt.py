"""what customers do after the receipt: wishes to the desk, ratings, a queue with a front."""

import sqlalchemy as sa
from alembic import op

from bot.store.schema import UtcTime

revision = "0010"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "desk_action",
        sa.Column("id", _ID, nullable=False),
        sa.Column("complaint_id", _ID, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("to_state", sa.String(length=16), nullable=False),
        sa.Column("text_key", sa.String(length=64), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=True),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["complaint_id"], ["complaint.id"], name=op.f("fk_desk_action_complaint_id_complaint")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desk_action")),
        sa.UniqueConstraint("key", name=op.f("uq_desk_action_key")),
    )
    with op.batch_alter_table("desk_action", schema=None) as batch_op:
        batch_op.create_index("ix_desk_action_complaint", ["complaint_id", "id"], unique=False)
        batch_op.create_index("ix_desk_action_due", ["due_at"], unique=False)

    op.create_table(
        "rating",
        sa.Column("id", _ID, nullable=False),
        sa.Column("complaint_id", _ID, nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rated_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["complaint_id"], ["complaint.id"], name=op.f("fk_rating_complaint_id_complaint")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating")),
        sa.UniqueConstraint("complaint_id", name=op.f("uq_rating_complaint_id")),
    )
    with op.batch_alter_table("conversation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("queue_rank", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("introduced_at", UtcTime(), nullable=True))
        batch_op.drop_index("ix_conversation_queue")
        batch_op.create_index("ix_conversation_queue", ["state", "queue_rank", "queued_at"], unique=False)
    with op.batch_alter_table("local_entry", schema=None) as batch_op:
        batch_op.add_column(sa.Column("key", sa.String(length=64), nullable=True))
        batch_op.create_index("uq_local_entry_key", ["key"], unique=True)
