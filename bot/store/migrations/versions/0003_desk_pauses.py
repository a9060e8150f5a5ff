"""desk pauses: a desk that does not answer is left alone by all workers; looks at the desk are counted apart."""

import sqlalchemy as sa
from alembic import op

from bot.store.schema import UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "desk_pause",
        sa.Column("desk", sa.String(length=32), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("until", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("desk", name=op.f("pk_desk_pause")),
    )
    op.add_column("ticket", sa.Column("looks", sa.Integer(), nullable=False, server_default="0"))
