"""Claims of tags: who was kept waiting, and who lets others go first.

Revision ID: 0017
Revises: 0016
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A claim lasts for seconds: those from before are not worth keeping.
    op.execute("DELETE FROM tag_claims")
    with op.batch_alter_table("tag_claims") as table:
        table.add_column(sa.Column("contested", sa.Boolean(), nullable=False))
        table.add_column(sa.Column("waits", sa.JSON(), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("tag_claims") as table:
        table.drop_column("waits")
        table.drop_column("contested")
