"""Dates at the end of time, on a server that lives east of Greenwich."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from registry_ui.models import RegistryEvent
from tests.web.support import Site

pytestmark = pytest.mark.both_databases

LAST = datetime(9999, 12, 31, 23, 30, tzinfo=UTC)


@pytest.fixture
def eastern(make_app, monkeypatch):
    """A site whose environment asks the database for the easternmost of all zones."""
    monkeypatch.setenv("PGTZ", "Pacific/Kiritimati")
    return Site(make_app())


def test_every_date_that_can_be_stored_can_be_read_again(eastern):
    with eastern.session() as session:
        session.add(RegistryEvent(event_id="x", raw=b"{}", occurred_at=LAST, status="dropped"))
        session.commit()
    assert eastern.row(RegistryEvent).occurred_at == LAST


def test_we_speak_utc_with_the_database(eastern):
    with eastern.session() as session:
        if session.get_bind().dialect.name == "postgresql":
            assert session.scalar(text("SHOW timezone")) == "UTC"
