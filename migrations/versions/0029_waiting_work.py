"""Why a removal or a copy waits: the registry does not answer.

Revision ID: 0029
Revises: 0028
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("removals", "copies"):
        op.add_column(table, sa.Column("problem", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    for table in ("removals", "copies"):
        with op.batch_alter_table(table) as batch:
            batch.drop_column("problem")
