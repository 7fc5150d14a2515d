"""Columns that hold the same kind of value compare by the same collation.

PostgreSQL can't use an index for a join of two columns whose collations differ: it reads the
whole table.
"""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Column, String
from sqlalchemy.dialects import postgresql

from registry_ui.models import Base

#: Columns that hold names, paths, digests, or references, by the words of their own names.
COMPARED = re.compile(
    r"(?:^|_)(?:digest|path|name|tag|repository|source|target|now|place|project|placeholder"
    r"|actor|subject|username|reference|by)(?:$|_)"
)
#: Labels that people choose. No query compares them with another column.
LABELS = {"access_tokens.name", "deploy_tokens.name"}

STRINGS = [
    column
    for table in Base.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, String) and column.type.length is not None
]


def collation(column: Column[str]) -> str | None:
    """Return the collation of a column on PostgreSQL."""
    return column.type.dialect_impl(postgresql.dialect()).collation


@pytest.mark.parametrize(
    "column",
    [c for c in STRINGS if COMPARED.search(c.name) and str(c) not in LABELS],
    ids=str,
)
def test_names_paths_and_digests_compare_by_bytes(column):
    assert collation(column) == "C", f"declare {column} with models.base.bytewise()"


@pytest.mark.parametrize(
    ("column", "key"),
    [(column, key) for column in STRINGS for key in column.foreign_keys],
    ids=str,
)
def test_a_foreign_key_compares_as_the_key_that_it_names(column, key):
    assert collation(column) == collation(key.column)
