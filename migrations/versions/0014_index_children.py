"""Which manifests an index lists, by child.

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

#: Rows that are read and written at a time.
BATCH = 5000


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    table = op.create_table(
        "index_children",
        sa.Column("child", name(150), nullable=False),
        sa.Column("parent", name(150), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent"],
            ["manifests.digest"],
            name="fk_index_children_parent_manifests",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("child", "parent", name="pk_index_children"),
    )
    _fill(table)
    op.create_index("ix_index_children_parent", "index_children", ["parent"])


def _fill(table: sa.Table) -> None:
    """Take the children from what is stored of each index."""
    connection = op.get_bind()
    query = sa.text(
        "SELECT digest, children FROM manifest_contents"
        " WHERE children <> '' AND digest > :last ORDER BY digest LIMIT :batch"
    )
    last = ""
    while found := connection.execute(query, {"last": last, "batch": BATCH}).all():
        rows = [
            {"child": child, "parent": digest}
            for digest, children in found
            for child in dict.fromkeys(children.split(" "))
        ]
        op.bulk_insert(table, rows)
        last = found[-1][0]


def downgrade() -> None:
    op.drop_table("index_children")
