"""Which bearer tokens prove something to the gate: those that the registry takes."""

from __future__ import annotations

import time
from datetime import timedelta
from unittest import mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from registry_ui.token_auth.keyring import POLL_INTERVAL, KeyRing
from registry_ui.token_auth.verifier import TokenInvalid, TokenVerifier
from tests.support.forge import Forge, Key

ISSUER, SERVICE = "registry_ui", "registry"
ACCESS = [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}]


@pytest.fixture
def verifier(ring):
    return TokenVerifier(ring, ISSUER, SERVICE)


@pytest.fixture
def signer(ring):
    return ring.signer(ISSUER, SERVICE, 300)


class KidForge(Forge):
    """Forges with the id of the key that it forges for."""

    def token(self, claims=None, header=None, without=(), signed_by=None):
        header = {"kid": self.key.libtrust_id, **(header or {})}
        return super().token(claims, header, without, signed_by)


@pytest.fixture
def forge(ring):

    key = Key(
        load_pem_private_key(ring.key_file.read_bytes(), None),
        x509.load_pem_x509_certificate(ring.certificate_file.read_bytes()),
    )
    return KidForge(key, {"iss": ISSUER, "aud": SERVICE, "access": ACCESS})


def test_our_own_token_proves_its_subject_its_number_and_its_access(signer, verifier):
    who = verifier.verify(signer.sign("alice", ACCESS).token)
    assert (who.subject, bool(who.token_id)) == ("alice", True)
    assert who.grants("a/b", ("pull", "push"))
    assert not who.grants("a/b", ("delete",))
    assert not who.grants("a", ("pull",))


def test_a_token_of_many_scopes_is_read_too(signer, verifier):
    access = [{"type": "repository", "name": f"a/b{n}", "actions": ["pull"]} for n in range(50)]
    assert verifier.verify(signer.sign("alice", access).token).grants("a/b49", ("pull",))


def test_access_of_another_type_is_none(signer, verifier):
    access = [{"type": "registry", "name": "a/b", "actions": ["*"]}]
    assert not verifier.verify(signer.sign("alice", access).token).grants("a/b", ("push",))


def now(seconds: int) -> int:
    return int(time.time()) + seconds


def test_the_leeway_is_the_registrys(forge, verifier):
    assert verifier.verify(forge.token({"exp": now(-50), "nbf": now(50)})).subject == "forger"


WRONG = {
    "of another service": {"claims": {"aud": "elsewhere"}},
    "of a list of services": {"claims": {"aud": [SERVICE]}},
    "of another issuer": {"claims": {"iss": "elsewhere"}},
    "expired": {"claims": {"exp": now(-120)}},
    "not valid yet": {"claims": {"nbf": now(50_000)}},
    "without an end": {"without": ("exp",)},
    "without a service": {"without": ("aud",)},
    "without an issuer": {"without": ("iss",)},
    "with text for an end": {"claims": {"exp": "never"}},
    "with a number for a subject": {"claims": {"sub": 7}},
    "with access of another shape": {"claims": {"access": "all"}},
    "with access in lists": {"claims": {"access": [["repository"]]}},
    "not signed": {"header": {"alg": "none"}, "signed_by": "none"},
    "signed with the certificate as secret": {"header": {"alg": "HS256"}, "signed_by": "pem"},
    "signed in another form": {"signed_by": "der"},
    "of no key": {"header": {"kid": "elsewhere"}},
    "of a key in a list": {"header": {"kid": ["x"]}},
    "with an extension that is critical": {"header": {"crit": ["x"], "x": 1}},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_token_that_is_wrong_in_one_thing_proves_nothing(forge, verifier, wrong):
    assert verifier.verify(forge.token()).subject == "forger"
    with pytest.raises(TokenInvalid):
        verifier.verify(forge.token(**wrong))


@pytest.mark.parametrize("brings", ["x5c", "jwk"])
def test_a_key_that_a_token_brings_along_is_not_believed(forge, verifier, brings):
    rogue = Key.new(timedelta(hours=1))
    header = {"x5c": [rogue.x5c]} if brings == "x5c" else {"jwk": rogue.jwk}
    with pytest.raises(TokenInvalid):
        verifier.verify(forge.token(header=header, signed_by=rogue))


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "....", "\N{SNOWMAN}.a.b", "e30.e30.e30"])
def test_what_is_no_token_proves_nothing(verifier, text):
    with pytest.raises(TokenInvalid):
        verifier.verify(text)


def test_after_a_rotation_tokens_of_both_keys_are_good_until_the_old_one_is_retired(ring, signer):
    clock = [0.0]
    verifier = TokenVerifier(ring, ISSUER, SERVICE, clock=lambda: clock[0])
    old = signer.sign("alice", ACCESS).token
    ring.activate()
    new = ring.signer(ISSUER, SERVICE, 300).sign("bob", ACCESS).token
    assert [verifier.verify(token).subject for token in (old, new)] == ["alice", "bob"]
    ring.retire(300, force=True)
    clock[0] += 5
    assert verifier.verify(new).subject == "bob"
    with pytest.raises(TokenInvalid):
        verifier.verify(old)


def test_keys_that_cannot_be_read_at_a_moment_leave_the_known_ones(ring, signer, monkeypatch):
    now = [0.0]
    verifier = TokenVerifier(ring, ISSUER, SERVICE, clock=lambda: now[0])
    token = signer.sign("alice", ACCESS).token
    monkeypatch.setattr(KeyRing, "fingerprint", mock.Mock(side_effect=PermissionError("key.pem")))
    now[0] += POLL_INTERVAL
    assert verifier.verify(token).subject == "alice"
