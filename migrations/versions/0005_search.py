"""Search for tags by the beginning of their name or digest.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-25

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def compare_digests(collation: str | None) -> None:
    """Let PostgreSQL compare digests by bytes, as SQLite does: a beginning is then a range."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("tags", "digest", type_=sa.String(150, collation=collation))


def upgrade() -> None:
    compare_digests("C")
    op.create_index("ix_tags_digest", "tags", ["digest"])
    op.create_index("ix_tags_name", "tags", ["name"])


def downgrade() -> None:
    op.drop_index("ix_tags_name", "tags")
    op.drop_index("ix_tags_digest", "tags")
    compare_digests("default")
