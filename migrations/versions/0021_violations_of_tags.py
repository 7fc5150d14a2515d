"""The violations of one tag are found by an index.

Revision ID: 0021
Revises: 0020
Create Date: 2026-11-30

"""

from alembic import op

# revision identifiers, used by Alembic.
revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

NAME = "ix_protection_violations_repository_tag_at"


def upgrade() -> None:
    op.create_index(NAME, "protection_violations", ["repository", "tag", "at"])


def downgrade() -> None:
    op.drop_index(NAME, "protection_violations")
