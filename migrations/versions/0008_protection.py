"""Protection rules, claims of tags that are being pushed, and what got past the rules.

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-25

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "protection_rules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("image_pattern", name(255), nullable=False),
        sa.Column("tag_pattern", name(128), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("minimum_role", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "kind IN ('immutable', 'protected')", name=op.f("ck_protection_rules_kind")
        ),
        sa.CheckConstraint(
            "(kind = 'protected') = (minimum_role IS NOT NULL)",
            name=op.f("ck_protection_rules_role_of_protected"),
        ),
        sa.CheckConstraint(
            "minimum_role IS NULL OR minimum_role IN (40, 50)",
            name=op.f("ck_protection_rules_minimum_role"),
        ),
        sa.ForeignKeyConstraint(
            ["place_id"],
            ["places.id"],
            name="fk_protection_rules_place_id_places",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_protection_rules"),
    )
    op.create_index("ix_protection_rules_place_id", "protection_rules", ["place_id"])

    op.create_table(
        "tag_claims",
        sa.Column("repository", name(255), nullable=False),
        sa.Column("tag", name(128), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("repository", "tag", name="pk_tag_claims"),
    )
    op.create_index("ix_tag_claims_until", "tag_claims", ["until"])

    op.create_table(
        "protection_violations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("repository", name(255), nullable=False),
        sa.Column("tag", name(128), nullable=False),
        sa.Column("what", sa.String(length=11), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "what IN ('overwritten', 'deleted', 'pushed')",
            name=op.f("ck_protection_violations_what"),
        ),
        sa.ForeignKeyConstraint(
            ["place_id"],
            ["places.id"],
            name="fk_protection_violations_place_id_places",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_protection_violations"),
    )
    op.create_index(
        "ix_protection_violations_place_id_at", "protection_violations", ["place_id", "at"]
    )


def downgrade() -> None:
    op.drop_table("protection_violations")
    op.drop_table("tag_claims")
    op.drop_table("protection_rules")
