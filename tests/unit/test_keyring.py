"""One signing key follows another, and nothing is refused in between (issue 3)."""

from __future__ import annotations

import os
import stat
import time

import pytest
from cryptography import x509

from registry_ui.launch.keys import ensure_signing_key
from registry_ui.token_auth import keyring
from registry_ui.token_auth.keyring import RotatingSigner, RotationRefused
from registry_ui.token_auth.signer import KeyUnusable
from tests.unit.bearer import key_of, verified

NAMES = ("registry_ui", "registry", 300)


@pytest.fixture
def now():
    """A clock that goes on when told."""
    return [1000.0]


@pytest.fixture
def signer(ring, now):
    return RotatingSigner(ring, *NAMES, clock=lambda: now[0])


def parts(ring):
    return [view.part for view in ring.views()]


def in_bundle(ring):
    return x509.load_pem_x509_certificates(ring.bundle_file.read_bytes())


def published(ring, token):
    """Whether a token verifies with one of the published keys."""
    return any(verified(token, key_of(key)) for key in ring.jwks()["keys"])


def test_the_registry_trusts_the_next_key_before_it_signs(ring):
    assert parts(ring) == ["active", "next"]
    staged = x509.load_pem_x509_certificate(ring.next_certificate_file.read_bytes())
    assert staged in in_bundle(ring)
    assert ring.trusted_file == ring.bundle_file


def test_activating_makes_the_next_the_active_and_keeps_the_one_before(ring):
    before = [view.key_id for view in ring.views()]
    bundle = set(in_bundle(ring))
    ring.activate()
    assert parts(ring) == ["active", "previous"]
    assert [view.key_id for view in ring.views()] == before[::-1]
    assert set(in_bundle(ring)) == bundle, "a registry need not be started again for it"


def test_a_whole_turn_leaves_a_ring_like_the_first(ring):
    ring.activate()
    ring.stage()
    assert parts(ring) == ["active", "next", "previous"]
    ring.retire(300, force=True)
    assert parts(ring) == ["active", "next"]
    assert len(in_bundle(ring)) == 2


def test_a_running_process_takes_the_new_key_up_within_seconds(ring, signer, now):
    first = signer.sign("alice", []).token
    ring.activate()
    assert signer.current().key_id != ring.views()[0].key_id, "it does not look each time"
    now[0] += keyring.POLL_INTERVAL
    assert signer.current().key_id == ring.views()[0].key_id
    second = signer.sign("alice", []).token
    assert first.split(".")[0] != second.split(".")[0]
    assert published(ring, first)
    assert published(ring, second)


def test_a_process_that_dies_between_key_and_certificate_leaves_a_ring_that_signs(ring):
    """The key has moved, its certificate is still called next."""
    following = ring.views()[1].key_id
    ring.next_key_file.replace(ring.key_file)
    assert ring.signer(*NAMES).key_id == following


def test_a_ring_that_cannot_be_read_at_a_moment_changes_nothing(ring, signer, now):
    known = signer.current().key_id
    ring.key_file.write_text("half a ke")
    now[0] += keyring.POLL_INTERVAL
    assert signer.current().key_id == known
    ring.activate()
    now[0] += keyring.POLL_INTERVAL
    assert signer.current().key_id != known


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda ring: ring.stage(), "staged already"),
        (lambda ring: ring.retire(300), "no previous key"),
    ],
)
def test_a_step_out_of_turn_is_refused_in_words(ring, step, words):
    with pytest.raises(RotationRefused, match=words):
        step(ring)


def test_nothing_is_activated_where_nothing_is_staged(ring):
    ring.activate()
    with pytest.raises(RotationRefused, match="stage one first"):
        ring.activate()
    with pytest.raises(RotationRefused, match="stage one first"):
        ring.next_signer(*NAMES)


def test_the_key_before_is_kept_while_its_tokens_may_be_in_use(ring):
    ring.activate()
    with pytest.raises(RotationRefused, match=r"another (359|360) seconds"):
        ring.retire(300)
    long_ago = time.time() - 361
    os.utime(ring.previous_certificate_file, (long_ago, long_ago))
    ring.retire(300)
    assert parts(ring) == ["active"]


def test_every_file_is_ours_alone(ring):
    ring.activate()
    ring.stage()
    for file in ring.key_file.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_a_certificate_that_ends_soon_says_so(ring, monkeypatch):
    assert not any(view.ends_soon for view in ring.views())
    monkeypatch.setattr(keyring, "WARN_BEFORE", keyring.CERTIFICATE_LIFETIME)
    assert all(view.ends_soon for view in ring.views())


def test_a_certificate_of_another_key_is_not_signed_with(ring, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    ensure_signing_key(other / "key.pem", other / "certificate.pem")
    ring.certificate_file.write_bytes((other / "certificate.pem").read_bytes())
    with pytest.raises(KeyUnusable, match="belongs to another key"):
        ring.signer(*NAMES)


def test_where_the_directory_can_not_be_written_nothing_is_staged(ring, monkeypatch):
    for file in (ring.next_key_file, ring.next_certificate_file, ring.bundle_file):
        file.unlink()
    monkeypatch.setattr(os, "access", lambda *_args: False)
    ensure_signing_key(ring.key_file, ring.certificate_file)
    assert not ring.is_staged
    assert ring.trusted_file == ring.certificate_file
