"""Tags that a move could not copy; since when work waits for a registry that does not answer.

Revision ID: 0030
Revises: 0029
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

TABLES = ("moves", "removals", "copies")


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    for table in TABLES:
        moment = sa.DateTime(timezone=True)
        op.add_column(table, sa.Column("stalled_since", moment, nullable=True))
    op.create_table(
        "unmoved_tags",
        sa.Column("move_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tag", name(128), nullable=False),
        sa.Column("digest", name(150), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["move_id", "number"],
            ["moved_repositories.move_id", "moved_repositories.number"],
            name="fk_unmoved_tags_move_id_moved_repositories",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("move_id", "number", "tag", name="pk_unmoved_tags"),
    )


def downgrade() -> None:
    op.drop_table("unmoved_tags")
    for table in TABLES:
        op.drop_column(table, "stalled_since")
