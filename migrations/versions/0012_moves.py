"""Paths that move, their repositories, and old names that can still be pulled.

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-25

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STATES = (
    "state IN ('planned', 'waiting', 'copying', 'fenced', 'settling', 'verifying', "
    "'grace', 'retiring', 'undoing', 'done', 'failed', 'cancelled')"
)
STATES_OF_ONE = "state IN ('planned', 'copied', 'settled', 'verified', 'retired', 'kept', 'undone')"


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "moves",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("source", name(255), nullable=False),
        sa.Column("target", name(255), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=True),
        sa.Column("new_project_id", sa.Integer(), nullable=True),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("preview", sa.JSON(), nullable=False),
        sa.Column("cancel_wanted", sa.Boolean(), nullable=False),
        sa.Column("retire_all", sa.Boolean(), nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("lease_owner", sa.String(length=32), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("switched_at", MOMENT, nullable=True),
        sa.Column("grace_until", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('image', 'project', 'namespace')", name=op.f("ck_moves_kind")),
        sa.CheckConstraint(STATES, name=op.f("ck_moves_state")),
        sa.ForeignKeyConstraint(
            ["place_id"], ["places.id"], name="fk_moves_place_id_places", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["new_project_id"],
            ["places.id"],
            name="fk_moves_new_project_id_places",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_moves"),
    )
    op.create_index("ix_moves_state_id", "moves", ["state", "id"])
    op.create_index("ix_moves_place_id_id", "moves", ["place_id", "id"])
    op.create_index("ix_moves_new_project_id_id", "moves", ["new_project_id", "id"])
    op.create_index("ix_moves_source", "moves", ["source"])

    op.create_table(
        "moved_repositories",
        sa.Column("move_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", name(255), nullable=False),
        sa.Column("target", name(255), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("begun", sa.Boolean(), nullable=False),
        sa.Column("tag_count", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("copied", sa.JSON(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("removal_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(STATES_OF_ONE, name=op.f("ck_moved_repositories_state")),
        sa.ForeignKeyConstraint(
            ["move_id"],
            ["moves.id"],
            name="fk_moved_repositories_move_id_moves",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["removal_id"],
            ["removals.id"],
            name="fk_moved_repositories_removal_id_removals",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("move_id", "number", name="pk_moved_repositories"),
    )

    op.create_table(
        "former_paths",
        sa.Column("path", name(255), nullable=False),
        sa.Column("exact", sa.Boolean(), nullable=False),
        sa.Column("now", name(255), nullable=False),
        sa.Column("until", MOMENT, nullable=True),
        sa.Column("move_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["move_id"], ["moves.id"], name="fk_former_paths_move_id_moves", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("path", name="pk_former_paths"),
    )
    op.create_index("ix_former_paths_now", "former_paths", ["now"])
    op.create_index("ix_former_paths_move_id", "former_paths", ["move_id"])


def downgrade() -> None:
    op.drop_table("former_paths")
    op.drop_table("moved_repositories")
    op.drop_table("moves")
