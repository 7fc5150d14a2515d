"""Record when a reconcile of an image was requested, so that an older one does not serve for it.

Revision ID: 0034
Revises: 0033
Create Date: 2026-12-01

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

IMAGES = "container_images"


def upgrade() -> None:
    op.add_column(IMAGES, sa.Column("reconcile_requested_at", sa.DateTime(timezone=True)))
    op.execute(
        "UPDATE container_images SET reconcile_requested_at = CURRENT_TIMESTAMP"
        " WHERE reconcile_wanted"
    )
    op.create_index(f"ix_{IMAGES}_reconcile_requested_at", IMAGES, ["reconcile_requested_at"])
    op.drop_index(f"ix_{IMAGES}_reconcile_wanted", IMAGES)
    op.drop_column(IMAGES, "reconcile_wanted")


def downgrade() -> None:
    op.add_column(
        IMAGES,
        sa.Column("reconcile_wanted", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.execute(
        "UPDATE container_images SET reconcile_wanted = true"
        " WHERE reconcile_requested_at IS NOT NULL"
    )
    if op.get_context().dialect.name == "postgresql":
        op.alter_column(IMAGES, "reconcile_wanted", server_default=None)
    op.create_index(f"ix_{IMAGES}_reconcile_wanted", IMAGES, ["reconcile_wanted"])
    op.drop_index(f"ix_{IMAGES}_reconcile_requested_at", IMAGES)
    op.drop_column(IMAGES, "reconcile_requested_at")
