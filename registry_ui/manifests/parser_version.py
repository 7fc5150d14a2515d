"""Which version of the code read stored facts, and which of them must be read again."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_

from ..models import Manifest

#: Increase it when manifests or configurations are read in another way: what is stored with a
#: lower version is read again from the stored body (stale_facts.py).
FACTS_VERSION = 3
#: Since this version, only indexes have been read in another way.
INDEXES_ONLY_SINCE = 2
#: The kinds that an index may be stored as.
INDEX_KINDS = ("index", "unknown", "build cache")


def is_stale_index() -> ColumnElement[bool]:
    """Match indexes that must be read again: what they list may not be known in full."""
    # Equalities, so that the index on both columns finds them.
    version = Manifest.facts_version.in_(range(FACTS_VERSION))
    return and_(version, Manifest.kind.in_(INDEX_KINDS))


def is_stale() -> ColumnElement[bool]:
    """Match every manifest that must be read again."""
    return or_(is_stale_index(), Manifest.facts_version.in_(range(INDEXES_ONLY_SINCE)))
