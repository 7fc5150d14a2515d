"""Version of the manifest parser, and SQL conditions for facts that must be parsed again."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_

from ..models import Manifest

#: Version of the parsers for manifests and configurations. Increase it when their results change:
#: facts with a lower version are then parsed again from the stored body (refresh.py).
FACTS_VERSION = 3
#: Version since which the parser has changed for indexes only, so that other facts stay valid.
INDEXES_ONLY_SINCE = 2
#: Kinds that the parser can assign to an index.
INDEX_KINDS = ("index", "unknown", "build cache")


def is_stale_index() -> ColumnElement[bool]:
    """Return a condition for indexes that must be parsed again.

    Their stored lists of entries can be incomplete.
    """
    # The condition uses IN instead of <, so that the database can use its index on both columns.
    version = Manifest.facts_version.in_(range(FACTS_VERSION))
    return and_(version, Manifest.kind.in_(INDEX_KINDS))


def is_stale() -> ColumnElement[bool]:
    """Return a condition for all manifests, including indexes, that must be parsed again."""
    return or_(is_stale_index(), Manifest.facts_version.in_(range(INDEXES_ONLY_SINCE)))
