"""Let moves that broke after their switch keep their old path; they were shown as failed.

Revision ID: 0033
Revises: 0032
Create Date: 2026-11-30

"""

from alembic import op

# revision identifiers, used by Alembic.
revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE moves SET state = 'grace', problem = ''"
        " WHERE state = 'failed' AND switched_at IS NOT NULL"
    )


def downgrade() -> None:
    """Keep the states: canceling such a move would delete the images at the new path."""
