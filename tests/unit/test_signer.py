"""Bearer tokens: the only form that both majors of the registry accept (PROTOCOLS 2)."""

from __future__ import annotations

import base64
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from registry_ui.audit import OWN_SUBJECT
from registry_ui.names import NameInvalid, PlacePath
from registry_ui.token_auth.keyring import KeyRing
from registry_ui.token_auth.signer import KeyUnusable, Signer, libtrust_key_id
from tests.unit.bearer import header_of, key_of, unpadded, verified

ACCESS = [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}]


def pem_of(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def certificate_of(key):
    """A certificate for any kind of key, signed by a key of its own."""
    issuer = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(issuer, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def signer(key):
    return Signer(pem_of(key), certificate_of(key), "the issuer", "the service", 300)


def test_the_signature_is_that_of_the_key_and_of_no_other(signer, key):
    token = signer.sign("alice", ACCESS).token
    assert verified(token, key.public_key()) is not None
    assert verified(token, ec.generate_private_key(ec.SECP256R1()).public_key()) is None
    head, body, signature = token.split(".")
    assert len(unpadded(signature)) == 64, "raw r and s, not DER"
    other = signer.sign("bob", ACCESS).token.split(".")[1]
    assert verified(f"{head}.{other}.{signature}", key.public_key()) is None
    assert verified(f"{body}.{head}.{signature}", key.public_key()) is None


def test_the_published_keys_verify_a_token(signer):
    jwk = signer.jwk()
    assert verified(signer.sign("alice", ACCESS).token, key_of(jwk))
    assert jwk["kid"] == header_of(signer.sign("", []).token)["kid"]
    assert "d" not in jwk


def test_the_claims_are_of_the_types_that_the_registry_reads(signer, key):
    before = int(time.time())
    signed = signer.sign("alice", ACCESS)
    claims = verified(signed.token, key.public_key())
    assert set(claims) == {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access"}
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("the issuer", "alice", "the service")
    assert all(type(claims[name]) is int for name in ("exp", "nbf", "iat"))
    assert type(claims["aud"]) is str, "2.8 can't read a list"
    assert claims["exp"] - claims["iat"] == signed.lifetime == 300
    assert before - 60 < claims["nbf"] < claims["iat"] <= int(time.time())
    assert claims["access"] == ACCESS
    assert datetime.fromisoformat(signed.issued_at) == datetime.fromtimestamp(claims["iat"], UTC)


def test_an_empty_grant_is_a_list_and_not_null(signer, key):
    assert verified(signer.sign("", []).token, key.public_key())["access"] == []


def test_every_token_has_a_long_random_id(signer, key):
    ids = {verified(signer.sign("x", []).token, key.public_key())["jti"] for _ in range(50)}
    assert len(ids) == 50
    assert min(map(len, ids)) >= 20


def test_the_header_carries_the_certificate(signer, key):
    header = header_of(signer.sign("alice", ACCESS).token)
    assert (header["typ"], header["alg"]) == ("JWT", "ES256")
    (text,) = header["x5c"]
    certificate = x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    assert certificate.public_key() == key.public_key()
    assert "jwk" not in header
    assert "crit" not in header
    assert header["kid"] == libtrust_key_id(key.public_key())


def test_a_token_with_many_grants_fits_a_header_of_8_kib(signer):
    access = [
        {"type": "repository", "name": f"group/project/image{n}", "actions": ["pull"]}
        for n in range(50)
    ]
    assert len(signer.sign("alice", access).token) < 8 * 1024


def test_another_lifetime_can_be_asked_for(signer, key):
    claims = verified(signer.sign("x", [], 60).token, key.public_key())
    assert claims["exp"] - claims["iat"] == 60


def test_the_key_id_is_libtrusts():
    """The key and the id of docs/spec/auth/jwt.md (PROTOCOLS 2.2)."""
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(unpadded("m7zUpx3b-zmVE5cymSs64POG9QcyEpJaYCD82-549_Q")),
        int.from_bytes(unpadded("dU3biz8sZ_8GPB-odm8Wxz3lNDr1xcAQQPQaOcr1fmc")),
        ec.SECP256R1(),
    )
    expected = "PYYO:TEWU:V7JH:26JV:AQTZ:LJC3:SXVJ:XGHA:34F2:2LAQ:ZRMK:Z7Q6"
    assert libtrust_key_id(numbers.public_key()) == expected


def test_every_key_id_has_twelve_groups_of_four():
    for _ in range(20):
        made = libtrust_key_id(ec.generate_private_key(ec.SECP256R1()).public_key())
        assert re.fullmatch("[A-Z2-7]{4}(:[A-Z2-7]{4}){11}", made)


@pytest.mark.parametrize(
    "other",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "P-521", "secp256k1", "Ed25519", "RSA"],
)
def test_a_key_of_another_kind_is_refused(other):
    """2.8 panics on Ed25519; a P-384 key that declares ES256 is refused by both."""
    with pytest.raises(KeyUnusable, match="P-256"):
        Signer(pem_of(other), certificate_of(other), "i", "s", 300)


def test_a_certificate_of_another_key_is_refused(key):
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(KeyUnusable, match="another key"):
        Signer(pem_of(key), certificate_of(other), "i", "s", 300)


@pytest.mark.parametrize("broken", ["missing", "empty", "text", "certificate", "public"])
def test_files_that_hold_no_key_are_named_in_the_complaint(tmp_path, key, broken):
    place, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    certificate.write_bytes(certificate_of(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    contents = {
        "empty": b"",
        "text": b"no key",
        "certificate": certificate_of(key),
        "public": public,
    }
    if broken in contents:
        place.write_bytes(contents[broken])
    with pytest.raises(KeyUnusable, match=re.escape(str(place))):
        KeyRing(place, certificate).signer("i", "s", 300)


def test_a_certificate_that_is_none_is_refused(tmp_path, key):
    place, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    place.write_bytes(pem_of(key))
    for content in (None, b"", b"none"):
        if content is not None:
            certificate.write_bytes(content)
        with pytest.raises(KeyUnusable):
            KeyRing(place, certificate).signer("i", "s", 300)


def test_no_user_can_have_our_own_subject():
    with pytest.raises(NameInvalid):
        PlacePath(OWN_SUBJECT)
