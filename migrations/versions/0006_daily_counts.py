"""Pushes one by one, and pushes and pulls by day.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-24

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "pushes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", name(255), nullable=False),
        sa.Column("tag", name(128), nullable=False),
        sa.Column("digest", sa.String(length=150), nullable=False),
        sa.Column("actor", name(255), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["places.id"], name="fk_pushes_project_id_places", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_pushes"),
    )
    op.create_index("ix_pushes_project_id_at_id", "pushes", ["project_id", "at", "id"])
    op.create_index("ix_pushes_actor_at_id", "pushes", ["actor", "at", "id"])

    op.create_table(
        "daily_counts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("name", name(255), nullable=False),
        sa.Column("pushes", sa.Integer(), nullable=False),
        sa.Column("pulls", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["places.id"],
            name="fk_daily_counts_project_id_places",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_daily_counts"),
        sa.UniqueConstraint(
            "project_id", "day", "name", name="uq_daily_counts_project_id_day_name"
        ),
    )
    op.create_index("ix_audit_entries_actor_id", "audit_entries", ["actor", "id"])
    for statement in (PUSHES, OLDER_PUSHES, COUNTS):
        op.execute(statement)


#: What the events still tell. As applying does it: the registry's clock may be ahead.
PUSHES = """
INSERT INTO pushes (project_id, name, tag, digest, actor, at)
SELECT i.project_id, i.name, e.tag, e.digest, e.actor,
  CASE WHEN e.occurred_at <= e.received_at THEN e.occurred_at ELSE e.received_at END
FROM registry_events e JOIN container_images i ON i.id = e.image_id
WHERE e.status = 'applied' AND e.action = 'push' AND e.tag <> '' AND e.digest <> ''
  AND e.tag NOT LIKE 'sha256-%' AND e.tag NOT LIKE 'sha512-%'
ORDER BY e.id
"""
#: Of pushes that no event tells any more, what the tags say.
OLDER_PUSHES = """
INSERT INTO pushes (project_id, name, tag, digest, actor, at)
SELECT i.project_id, i.name, t.name, t.digest, COALESCE(t.pushed_by, ''), t.pushed_at
FROM tags t JOIN container_images i ON i.id = t.image_id
WHERE t.pushed_at IS NOT NULL AND t.digest IS NOT NULL
  AND t.name NOT LIKE 'sha256-%' AND t.name NOT LIKE 'sha512-%'
  AND NOT EXISTS (
    SELECT 1 FROM pushes p
    WHERE p.project_id = i.project_id AND p.at = t.pushed_at AND p.name = i.name AND p.tag = t.name
  )
"""
COUNTS = """
INSERT INTO daily_counts (project_id, day, name, pushes, pulls)
SELECT project_id, date(at), name, SUM(push), SUM(1 - push)
FROM (
  SELECT project_id, name, at, 1 AS push FROM pushes
  UNION ALL
  SELECT i.project_id, i.name,
    CASE WHEN e.occurred_at <= e.received_at THEN e.occurred_at ELSE e.received_at END, 0
  FROM registry_events e JOIN container_images i ON i.id = e.image_id
  WHERE e.status = 'applied' AND e.action = 'pull'
) moments
GROUP BY project_id, date(at), name
"""


def downgrade() -> None:
    op.drop_index("ix_audit_entries_actor_id", "audit_entries")
    op.drop_table("daily_counts")
    op.drop_table("pushes")
