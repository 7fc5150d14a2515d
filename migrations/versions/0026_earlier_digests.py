"""The tags that had a digest earlier are found by an index.

Revision ID: 0026
Revises: 0025
Create Date: 2026-11-30

"""

from alembic import op

# revision identifiers, used by Alembic.
revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

NAME = "ix_tag_moments_digest_image_id"


def upgrade() -> None:
    op.create_index(NAME, "tag_moments", ["digest", "image_id"])


def downgrade() -> None:
    op.drop_index(NAME, "tag_moments")
