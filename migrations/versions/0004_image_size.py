"""The tag of an image that was pushed last is found by an index: its size is the image's.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-25

"""

from alembic import op

# revision identifiers, used by Alembic.
revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_tags_image_id_pushed_at", "tags", ["image_id", "pushed_at"])


def downgrade() -> None:
    op.drop_index("ix_tags_image_id_pushed_at", table_name="tags")
