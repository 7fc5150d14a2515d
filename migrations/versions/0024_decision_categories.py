"""Decisions about strangers apart from those about accounts.

Revision ID: 0024
Revises: 0023
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("category", sa.String(length=10), nullable=False, server_default="account")
    op.add_column("token_decisions", column)
    op.execute("UPDATE token_decisions SET category = 'unowned' WHERE username = '' AND place = ''")
    op.execute(
        "UPDATE token_decisions SET category = 'visitor' WHERE username = '' AND place <> ''"
    )
    op.create_index("ix_token_decisions_category_id", "token_decisions", ["category", "id"])


def downgrade() -> None:
    op.drop_index("ix_token_decisions_category_id", table_name="token_decisions")
    with op.batch_alter_table("token_decisions") as batch:
        batch.drop_column("category")
