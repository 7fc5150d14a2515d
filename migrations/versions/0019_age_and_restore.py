"""From when a tag's age counts, and what a restored tag gets back.

Revision ID: 0019
Revises: 0018
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
ACTIONS = "action IN ('pushed', 'copied', 'restored', 'found', 'removed')"
OLD_ACTIONS = "action IN ('pushed', 'copied', 'found', 'removed')"
#: A tag of which no push is known counts from the last check that found something else, or from
#: when it was first seen.
AGES = """
UPDATE tags SET age_from = coalesce(
    (SELECT max(tag_moments.at) FROM tag_moments
     WHERE tag_moments.image_id = tags.image_id AND tag_moments.tag = tags.name
       AND tag_moments.action = 'found' AND tag_moments.digest = tags.digest),
    seen_at)
WHERE pushed_at IS NULL
"""


def actions(allowed: str) -> None:
    with op.batch_alter_table("tag_moments") as batch:
        batch.drop_constraint("ck_tag_moments_action", type_="check")
        batch.create_check_constraint("ck_tag_moments_action", allowed)


def upgrade() -> None:
    op.add_column("tags", sa.Column("age_from", MOMENT, nullable=True))
    op.execute(AGES)
    op.add_column("container_images", sa.Column("emptied_at", MOMENT, nullable=True))
    op.add_column(
        "binned_tags", sa.Column("pull_count", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("binned_tags", sa.Column("last_pulled_at", MOMENT, nullable=True))
    actions(ACTIONS)


def downgrade() -> None:
    op.execute("DELETE FROM tag_moments WHERE action = 'restored'")
    actions(OLD_ACTIONS)
    for table, column in (
        ("binned_tags", "last_pulled_at"),
        ("binned_tags", "pull_count"),
        ("container_images", "emptied_at"),
        ("tags", "age_from"),
    ):
        op.drop_column(table, column)
