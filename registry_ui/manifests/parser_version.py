"""Version of the manifest parser, and SQL conditions for manifests that must be parsed again.

The "facts" of a manifest are the result of parsing it, which is stored with the manifest.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_

from ..models import Manifest

#: Version of the parsers for manifests and image configs. Increase it when the results of the
#: parsers change: stored manifests that were parsed by a lower version are then parsed again
#: from their stored bodies (refresh.py).
FACTS_VERSION = 3
#: Since this version, only the parsing of OCI indexes has changed. The results of this version and
#: later ones stay valid for all other manifests.
INDEXES_ONLY_SINCE = 2
#: Values of ``Manifest.kind`` that the parser can assign to an OCI index.
INDEX_KINDS = ("index", "unknown", "build cache")


def is_stale_index() -> ColumnElement[bool]:
    """Return the SQL condition for OCI indexes that must be parsed again.

    The entries that are stored for such an OCI index can be incomplete.
    """
    # IN is used instead of <, so that the database can use its index on both columns.
    version = Manifest.facts_version.in_(range(FACTS_VERSION))
    return and_(version, Manifest.kind.in_(INDEX_KINDS))


def is_stale() -> ColumnElement[bool]:
    """Return the SQL condition for all manifests, including indexes, that must be parsed again."""
    return or_(is_stale_index(), Manifest.facts_version.in_(range(INDEXES_ONLY_SINCE)))
