"""Find the stored pushes to a repository that no project owned, when it is adopted.

Revision ID: 0032
Revises: 0031
Create Date: 2026-11-30

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

IS_UNASSIGNED = "reason = 'no project owns it: unassigned'"


def upgrade() -> None:
    op.create_index(
        "ix_registry_events_unassigned",
        "registry_events",
        ["repository"],
        sqlite_where=sa.text(IS_UNASSIGNED),
        postgresql_where=sa.text(IS_UNASSIGNED),
    )


def downgrade() -> None:
    op.drop_index("ix_registry_events_unassigned", "registry_events")
