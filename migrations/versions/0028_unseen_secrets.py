"""New secrets that wait, encrypted, for the page that shows them once.

Revision ID: 0028
Revises: 0027
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "unseen_secrets",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("subject", name(60), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_hash"],
            ["browser_sessions.key_hash"],
            name="fk_unseen_secrets_key_hash_browser_sessions",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key_hash", "subject", name="pk_unseen_secrets"),
    )
    op.create_index("ix_unseen_secrets_created_at", "unseen_secrets", ["created_at"])


def downgrade() -> None:
    op.drop_table("unseen_secrets")
