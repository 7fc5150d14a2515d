"""How far a move is within one repository; what it has copied, as rows.

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-30

"""

import json
from collections import defaultdict

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

REPOSITORIES = sa.table(
    "moved_repositories",
    sa.column("move_id", sa.Integer),
    sa.column("number", sa.Integer),
    sa.column("copied", sa.JSON),
)


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def of_one_repository(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["move_id", "number"],
        ["moved_repositories.move_id", "moved_repositories.number"],
        name=f"fk_{table}_move_id_moved_repositories",
        ondelete="CASCADE",
    )


def upgrade() -> None:
    stored = op.get_bind().execute(sa.select(REPOSITORIES)).all()
    # Nothing refers to this table yet: SQLite may copy it.
    with op.batch_alter_table("moved_repositories") as batch:
        batch.add_column(sa.Column("last_tag", name(128), nullable=False, server_default=""))
        batch.add_column(sa.Column("oldest_moment_id", sa.Integer(), nullable=True))
        batch.drop_column("copied")
    copied_tags = op.create_table(
        "copied_tags",
        sa.Column("move_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tag", name(128), nullable=False),
        sa.Column("digest", name(150), nullable=False),
        of_one_repository("copied_tags"),
        sa.PrimaryKeyConstraint("move_id", "number", "tag", "digest", name="pk_copied_tags"),
    )
    op.create_table(
        "copied_manifests",
        sa.Column("move_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", name(150), nullable=False),
        sa.Column("manifests", sa.JSON(), nullable=False),
        of_one_repository("copied_manifests"),
        sa.PrimaryKeyConstraint("move_id", "number", "digest", name="pk_copied_manifests"),
    )
    rows = [
        {"move_id": row.move_id, "number": row.number, "tag": tag, "digest": digest}
        for row in stored
        for tag, digests in row.copied.items()
        for digest in dict.fromkeys(digests)
    ]
    if rows:
        op.bulk_insert(copied_tags, rows)


def downgrade() -> None:
    connection = op.get_bind()
    copied: dict[tuple[int, int], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    query = "SELECT move_id, number, tag, digest FROM copied_tags"
    for move_id, number, tag, digest in connection.execute(sa.text(query)):
        copied[move_id, number][tag].append(digest)
    op.drop_table("copied_manifests")
    op.drop_table("copied_tags")
    with op.batch_alter_table("moved_repositories") as batch:
        batch.add_column(sa.Column("copied", sa.JSON(), nullable=False, server_default="{}"))
        batch.drop_column("oldest_moment_id")
        batch.drop_column("last_tag")
    for (move_id, number), tags in copied.items():
        values = {"move_id": move_id, "number": number, "copied": json.dumps(tags)}
        update = "UPDATE moved_repositories SET copied = :copied"
        connection.execute(
            sa.text(f"{update} WHERE move_id = :move_id AND number = :number"), values
        )
