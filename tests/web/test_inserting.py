"""Rows that several processes insert at a time."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from registry_ui.db.prepared import insert_all_if_absent
from registry_ui.db.session import writing
from registry_ui.models import Manifest, utc_now
from tests.web.support import digest

pytestmark = pytest.mark.both_databases


def row(letter):
    return {
        "digest": digest(letter),
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "kind": "image",
        "size": 1,
        "has_config": True,
        "body": b"{}",
        "facts": {},
        "fetched_at": utc_now(),
    }


@pytest.mark.parametrize("turn", range(5))
def test_two_that_insert_the_same_rows_in_two_orders_do_not_hold_each_other_up(site, turn):
    rows = [row(letter) for letter in "0123456789abcdef"]
    both, errors = threading.Barrier(2), []

    def insert(given):
        try:
            both.wait(60)
            with site.app.app_context(), writing() as session:
                insert_all_if_absent(session, Manifest, given)
        except SQLAlchemyError as error:
            errors.append(error)

    threads = [threading.Thread(target=insert, args=(given,)) for given in (rows, rows[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    with site.session() as session:
        assert session.scalar(select(func.count()).select_from(Manifest)) == len(rows)
