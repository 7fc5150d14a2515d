"""Old paths that are compared with what was moved, and not served any more once changed.

Revision ID: 0023
Revises: 0022
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("moves", sa.Column("compare_at", MOMENT, nullable=True))
    with op.batch_alter_table("copied_tags") as table:
        flag = sa.Column("verified", sa.Boolean(), nullable=False, server_default=sa.false())
        table.add_column(flag)
    with op.batch_alter_table("former_paths") as table:
        table.add_column(sa.Column("stopped", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("copied_tags") as table:
        table.alter_column("verified", server_default=None)
    with op.batch_alter_table("former_paths") as table:
        table.alter_column("stopped", server_default=None)
    # What was moved before can have been changed since.
    op.execute("UPDATE moves SET compare_at = switched_at WHERE state = 'grace'")


def downgrade() -> None:
    with op.batch_alter_table("former_paths") as table:
        table.drop_column("stopped")
    with op.batch_alter_table("copied_tags") as table:
        table.drop_column("verified")
    # Not by a new table: the end of the old one would take the repositories of each move along.
    op.drop_column("moves", "compare_at")
