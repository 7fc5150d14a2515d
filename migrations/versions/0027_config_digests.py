"""Image IDs: the digest of a manifest's configuration. The worker fills it from stored bodies.

Revision ID: 0027
Revises: 0026
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    digest = sa.String(150).with_variant(sa.String(150, collation="C"), "postgresql")
    op.add_column("manifests", sa.Column("config_digest", digest, nullable=True))
    op.create_index("ix_manifests_config_digest", "manifests", ["config_digest"])


def downgrade() -> None:
    op.drop_index("ix_manifests_config_digest", "manifests")
    op.drop_column("manifests", "config_digest")
