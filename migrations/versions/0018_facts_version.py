"""Which version of the code read the stored facts of a manifest: older ones are read again.

Revision ID: 0018
Revises: 0017
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

#: What later code says in the facts, and earlier code does not know.
NEW_FACTS = ("children_total", "annotations_total", "built")
NEW_CONFIG_FACTS = ("labels_total",)
BATCH = 500

manifests = sa.table(
    "manifests",
    sa.column("digest", sa.String),
    sa.column("facts", sa.JSON),
    sa.column("config_facts", sa.JSON(none_as_null=True)),
    sa.column("facts_version", sa.Integer),
)


def upgrade() -> None:
    with op.batch_alter_table("manifests") as table:
        table.add_column(
            sa.Column("facts_version", sa.Integer(), nullable=False, server_default="0")
        )
    # Equality on both columns finds stale indexes first, however many manifests there are.
    op.create_index("ix_manifests_facts_version_kind", "manifests", ["facts_version", "kind"])


def downgrade() -> None:
    connection = op.get_bind()
    query = sa.select(manifests).where(manifests.c.facts_version > 0).limit(BATCH)
    while rows := connection.execute(query).all():
        for row in rows:
            config = row.config_facts
            connection.execute(
                sa.update(manifests)
                .where(manifests.c.digest == row.digest)
                .values(
                    facts=without(row.facts, NEW_FACTS),
                    config_facts=config and without(config, NEW_CONFIG_FACTS),
                    facts_version=0,
                )
            )
    op.drop_index("ix_manifests_facts_version_kind", "manifests")
    with op.batch_alter_table("manifests") as table:
        table.drop_column("facts_version")


def without(facts: dict[str, object], names: tuple[str, ...]) -> dict[str, object]:
    """Return facts without some of their members."""
    return {name: value for name, value in facts.items() if name not in names}
