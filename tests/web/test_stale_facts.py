"""Stored manifests are read again after an update; one that can't be holds back no other."""

from __future__ import annotations

import json

import pytest
from sqlalchemy.exc import DataError, OperationalError

from registry_ui.distribution.client import FetchedManifest
from registry_ui.distribution.manifest import read_manifest
from registry_ui.manifests import refresh as stale_facts
from registry_ui.manifests import summary_writer
from registry_ui.manifests.parser_version import FACTS_VERSION, INDEXES_ONLY_SINCE
from registry_ui.models import Manifest
from tests.web.graph import OCI, sha256


@pytest.fixture
def stale(site):
    """Return the digests of stored manifests that an earlier version has read."""
    bodies = [
        json.dumps({"schemaVersion": 2, "mediaType": OCI, "layers": [], "a": number}).encode()
        for number in range(4)
    ]
    manifests = [FetchedManifest(sha256(body), OCI, body) for body in bodies]
    with site.app.app_context():
        summary_writer.store(
            summary_writer.FetchResult(manifest, read_manifest(OCI, manifest.body), None)
            for manifest in manifests
        )
    site.change(Manifest, {"facts_version": 0, "size": 7})
    return [manifest.digest for manifest in manifests]


def refresh(site):
    with site.app.app_context():
        return stale_facts.refresh()


def state(site):
    """Return the version and size of each manifest."""
    return {row.digest: (row.facts_version, row.size) for row in site.rows(Manifest)}


NEW, OLD = (FACTS_VERSION, 0), (FACTS_VERSION, 7)


def test_stale_facts_are_all_read_again_once(site, stale):
    assert refresh(site) == 4
    assert state(site) == dict.fromkeys(stale, NEW)
    assert refresh(site) == 0


@pytest.mark.both_databases
def test_a_manifest_that_raises_keeps_its_facts_and_is_logged(site, stale, monkeypatch, caplog):
    def breaks(media_type, body):
        if sha256(body) == stale[0]:
            raise RecursionError
        return read_manifest(media_type, body)

    monkeypatch.setattr(stale_facts, "read_manifest", breaks)
    for _ in range(3):
        refresh(site)
    assert state(site) == {**dict.fromkeys(stale, NEW), stale[0]: OLD}
    (record,) = caplog.records
    assert stale[0] in record.getMessage()
    assert record.exc_info


def test_one_that_can_not_be_stored_does_not_hold_back_its_batch(site, stale, monkeypatch, caplog):
    right = stale_facts.record_contents

    def breaks(session, found, listed):
        if stale[2] in found:
            raise DataError("statement", {}, Exception("words"))
        right(session, found, listed)

    monkeypatch.setattr(stale_facts, "record_contents", breaks)
    for _ in range(3):
        refresh(site)
    assert state(site) == {**dict.fromkeys(stale, NEW), stale[2]: OLD}
    assert [stale[2] in record.getMessage() for record in caplog.records] == [True]


def test_a_database_that_fails_is_asked_again_by_the_next_run(site, stale, monkeypatch):
    def breaks(*_):
        raise OperationalError("statement", {}, Exception("words"))

    with monkeypatch.context() as patched:
        patched.setattr(stale_facts, "record_contents", breaks)
        with pytest.raises(OperationalError):
            refresh(site)
    assert {version for version, _ in state(site).values()} == {0}
    assert refresh(site) == 4


def test_only_indexes_are_read_again_if_nothing_else_is_read_in_another_way(site, stale):
    site.change(Manifest, {"facts_version": INDEXES_ONLY_SINCE, "kind": "image"})
    site.change(Manifest, {"kind": "index"}, digest=stale[3])
    assert refresh(site) == 1
    assert state(site)[stale[3]] == NEW
