"""Digests and names of people compare by bytes, as all other names do.

PostgreSQL can't use an index to join two columns whose collations differ. SQLite compares
by bytes unless a column says otherwise.

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

#: The key of a foreign key comes before the column that names it.
COLUMNS = [
    ("manifests", "digest", 150),
    ("manifest_contents", "digest", 150),
    ("held_manifests", "digest", 150),
    ("attached_documents", "digest", 150),
    ("pushes", "digest", 150),
    ("tag_moments", "digest", 150),
    ("tag_moments", "actor", 255),
    ("tags", "pushed_by", 255),
    ("container_images", "last_pushed_by", 255),
    ("unassigned_repositories", "pushed_by", 255),
    ("binned_tags", "digest", 150),
    ("binned_tags", "pushed_by", 255),
    ("binned_tags", "removed_by", 255),
    ("registry_events", "digest", 255),
    ("registry_events", "actor", 255),
    ("registry_tokens", "created_by", 255),
    ("removals", "requested_by", 255),
    ("removal_lines", "placeholder", 150),
    ("copies", "requested_by", 255),
    ("moves", "requested_by", 255),
    ("collections", "requested_by", 255),
    ("tag_claims", "subject", 255),
    ("protection_rules", "created_by", 255),
    ("protection_violations", "actor", 255),
    ("retention_policies", "created_by", 255),
    ("deploy_tokens", "created_by", 255),
    ("audit_entries", "actor", 255),
    ("failed_sign_ins", "username", 100),
    ("heartbeats", "name", 50),
]


def upgrade() -> None:
    collate("C")


def downgrade() -> None:
    collate("default")


def collate(collation: str) -> None:
    """Change the collation of every column. PostgreSQL rebuilds indexes, not tables."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, column, length in COLUMNS:
        op.alter_column(table, column, type_=sa.String(length, collation=collation))
