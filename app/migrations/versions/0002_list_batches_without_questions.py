"""list batches without the questions between them

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the store to this revision."""
    op.create_index(
        "ix_batch_listed",
        "batch",
        ["account_id", "id"],
        unique=False,
        sqlite_where=sa.text("interactive = 0"),
        postgresql_where=sa.text("NOT interactive"),
    )


def downgrade() -> None:
    """Bring it back to the one before."""
    op.drop_index("ix_batch_listed", table_name="batch")
