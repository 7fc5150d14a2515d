"""Failed sign-ins by network, and where a user name was right.

Revision ID: 0020
Revises: 0019
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_failed_sign_ins_username_address", table_name="failed_sign_ins")
    op.create_index("ix_failed_sign_ins_address_at", "failed_sign_ins", ["address", "at"])
    username = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")
    op.create_table(
        "known_sign_ins",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("username", username, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("network", "username", name="pk_known_sign_ins"),
    )
    op.create_index("ix_known_sign_ins_at", "known_sign_ins", ["at"])


def downgrade() -> None:
    op.drop_table("known_sign_ins")
    op.drop_index("ix_failed_sign_ins_address_at", table_name="failed_sign_ins")
    op.create_index(
        "ix_failed_sign_ins_username_address", "failed_sign_ins", ["username", "address", "at"]
    )
