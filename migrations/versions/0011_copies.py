"""Copies as stored plans; of a tag's history and of a push, what it was copied from.

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-25

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
ACTIONS = "action IN ('pushed', 'copied', 'found', 'removed')"
OLD_ACTIONS = "action IN ('pushed', 'found', 'removed')"


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def actions(allowed: str) -> None:
    # Nothing refers to a moment by a foreign key: its table may be copied.
    with op.batch_alter_table("tag_moments") as batch:
        batch.drop_constraint("ck_tag_moments_action", type_="check")
        batch.create_check_constraint("ck_tag_moments_action", allowed)


def upgrade() -> None:
    op.create_table(
        "copies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("source", name(255), nullable=False),
        sa.Column("source_project", name(255), nullable=False),
        sa.Column("target", name(400), nullable=False),
        sa.Column("project_path", name(255), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("preview", sa.JSON(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("cancel_wanted", sa.Boolean(), nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("lease_owner", sa.String(length=32), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('tag', 'tags', 'image')", name="ck_copies_kind"),
        sa.CheckConstraint(
            "state IN ('planned', 'waiting', 'running', 'done', 'failed', 'cancelled')",
            name="ck_copies_state",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["places.id"], name="fk_copies_project_id_places", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_copies"),
    )
    op.create_index("ix_copies_state_id", "copies", ["state", "id"])
    op.create_index("ix_copies_project_id_id", "copies", ["project_id", "id"])
    op.create_index("ix_copies_source_id", "copies", ["source", "id"])
    op.create_table(
        "copy_lines",
        sa.Column("copy_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reference", name(400), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["copy_id"], ["copies.id"], name="fk_copy_lines_copy_id_copies", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("copy_id", "number", name="pk_copy_lines"),
    )
    op.create_index("ix_copy_lines_copy_id_outcome", "copy_lines", ["copy_id", "outcome"])
    for table in ("tag_moments", "pushes"):
        op.add_column(table, sa.Column("source", name(400), nullable=False, server_default=""))
    actions(ACTIONS)


def downgrade() -> None:
    op.execute("UPDATE tag_moments SET action = 'pushed' WHERE action = 'copied'")
    actions(OLD_ACTIONS)
    for table in ("tag_moments", "pushes"):
        with op.batch_alter_table(table) as batch:
            batch.drop_column("source")
    op.drop_table("copy_lines")
    op.drop_table("copies")
