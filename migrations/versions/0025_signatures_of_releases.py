"""Rules of immutable tags that let signatures be added.

Revision ID: 0025
Revises: 0024
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    flag = sa.Column("open_to_signatures", sa.Boolean(), nullable=False, server_default=sa.false())
    with op.batch_alter_table("protection_rules") as table:
        table.add_column(flag)
    with op.batch_alter_table("protection_rules") as table:
        table.alter_column("open_to_signatures", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("protection_rules") as table:
        table.drop_column("open_to_signatures")
