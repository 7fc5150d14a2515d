"""Which bearer tokens the real registry takes: PROTOCOLS 2.3, as a table."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
import requests

from registry_ui.distribution.errors import RegistryRefused
from registry_ui.names import RepositoryName
from registry_ui.token_auth.signer import Signer
from tests.contract.conftest import client_of
from tests.support.forge import HOUR, Forge, Key
from tests.support.live import Pusher, signer_of, tiny
from tests.support.registry import new_registry

pytestmark = pytest.mark.contract

BOTH, OLD, NEW, NEITHER = {"2.8", "3"}, {"2.8"}, {"3"}, set[str]()


@pytest.fixture(scope="module")
def forge(base_config):
    claims = {"iss": base_config.token_issuer, "aud": base_config.token_service, "access": []}
    return Forge(Key.of(base_config), claims)


def status(registry, token: str, scheme: str = "Bearer", path: str = "/v2/") -> int:
    headers = {"Authorization": f"{scheme} {token}"}
    answer = requests.get(registry.url + path, headers=headers, timeout=60)
    assert answer.status_code in {200, 401, 404}, answer.text
    return answer.status_code


def accepted(registry, token: str) -> set[str]:
    """The version of the registry if it takes the token, and nothing otherwise."""
    return {registry.version} if status(registry, token) == 200 else set()


def now(seconds: int = 0) -> int:
    return int(time.time()) + seconds


@cache
def rogue() -> Key:
    """Somebody else's key, with a certificate of the same name."""
    return Key.new()


# Each line: who takes it, and what is different from a token of ours. Values that
# depend on key or clock are made by functions of the forge.
CASES: dict[str, tuple[set[str], dict[str, Any]]] = {
    "as we sign it": (BOTH, {}),
    "x5c and any kid": (BOTH, {"header": {"kid": "garbage"}}),
    "kid of libtrust only": (
        OLD,
        {"without": ("x5c",), "header": lambda f: {"kid": f.key.libtrust_id}},
    ),
    "kid of RFC 7638 only": (
        NEW,
        {"without": ("x5c",), "header": lambda f: {"kid": f.key.thumbprint}},
    ),
    "jwk without kid": (OLD, {"without": ("x5c",), "header": lambda f: {"jwk": f.key.jwk}}),
    "jwk with the kid of libtrust": (
        OLD,
        {
            "without": ("x5c",),
            "header": lambda f: {"jwk": {**f.key.jwk, "kid": f.key.libtrust_id}},
        },
    ),
    "no hint at the key": (NEITHER, {"without": ("x5c",)}),
    "alg none": (NEITHER, {"header": {"alg": "none"}, "signed_by": "none"}),
    "alg none without x5c": (
        NEITHER,
        {"header": {"alg": "none"}, "without": ("x5c",), "signed_by": "none"},
    ),
    "no signature": (NEITHER, {"signed_by": "none"}),
    "HS256 with the certificate (PEM) as secret": (
        NEITHER,
        {"header": {"alg": "HS256"}, "signed_by": "pem"},
    ),
    "HS256 with the certificate (DER) as secret": (
        NEITHER,
        {"header": {"alg": "HS256"}, "signed_by": "bytes"},
    ),
    "another key's x5c": (
        NEITHER,
        {"header": lambda _: {"x5c": [rogue().x5c]}, "signed_by": lambda _: rogue()},
    ),
    "another key's x5c, ours behind it": (
        NEITHER,
        {"header": lambda f: {"x5c": [rogue().x5c, f.key.x5c]}, "signed_by": lambda _: rogue()},
    ),
    "another key's signature, our x5c": (NEITHER, {"signed_by": lambda _: rogue()}),
    "another key's signature, our kid": (
        NEITHER,
        {
            "without": ("x5c",),
            "header": lambda f: {"kid": f.key.libtrust_id},
            "signed_by": lambda _: rogue(),
        },
    ),
    "another key's jwk with our kid": (
        NEITHER,
        {
            "without": ("x5c",),
            "header": lambda f: {"jwk": {**rogue().jwk, "kid": f.key.libtrust_id}},
            "signed_by": lambda _: rogue(),
        },
    ),
    "a DER signature": (NEITHER, {"signed_by": "der"}),
    "unknown crit": (OLD, {"header": {"crit": ["unheard-of"], "unheard-of": 1}}),
    "no typ": (BOTH, {"without": ("typ",)}),
    "wrong aud": (NEITHER, {"claims": {"aud": "registry2"}}),
    "no aud": (NEITHER, {"without": ("aud",)}),
    "aud as a list": (NEW, {"claims": {"aud": ["registry", "other"]}}),
    "wrong iss": (NEITHER, {"claims": {"iss": "registry-ui"}}),
    "no iss": (NEITHER, {"without": ("iss",)}),
    "no exp": (NEITHER, {"without": ("exp",)}),
    "expired beyond the leeway": (NEITHER, {"claims": lambda _: {"exp": now(-70)}}),
    "expired within the leeway": (BOTH, {"claims": lambda _: {"exp": now(-30)}}),
    "nbf beyond the leeway": (NEITHER, {"claims": lambda _: {"nbf": now(80)}}),
    "nbf within the leeway": (BOTH, {"claims": lambda _: {"nbf": now(30)}}),
    "float exp": (NEITHER, {"claims": lambda _: {"exp": now(300) + 0.5}}),
    "float nbf": (NEITHER, {"claims": lambda _: {"nbf": now(-10) - 0.5}}),
    "exp as text": (NEITHER, {"claims": lambda _: {"exp": str(now(300))}}),
    "sub as a number": (NEITHER, {"claims": {"sub": 7}}),
    "neither nbf, iat, jti nor sub": (BOTH, {"without": ("nbf", "iat", "jti", "sub")}),
    "iat in the future": (BOTH, {"claims": lambda _: {"iat": now(3600)}}),
    "more claims": (BOTH, {"claims": {"admin": True}}),
    "access null": (BOTH, {"claims": {"access": None}}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_registry_takes_a_token_or_refuses_it(live_registry, forge, case):
    versions, changes = CASES[case]
    if case == "kid of RFC 7638 only" and forge.key.has_leading_zero:
        versions = NEITHER
    made = {name: value(forge) if callable(value) else value for name, value in changes.items()}
    assert accepted(live_registry, forge.token(**made)) == versions & {live_registry.version}


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(live_registry, forge, scheme):
    assert status(live_registry, forge.token(), scheme) == 200


# -- our signer ------------------------------------------------------------------


def test_what_our_signer_signs_is_taken(live_registry, base_config):
    for subject in ("", "alice", "-/registry_ui"):
        token = signer_of(base_config).sign(subject, []).token
        assert status(live_registry, token) == 200


def test_a_signature_with_one_bit_changed_is_refused(live_registry, base_config):
    token = signer_of(base_config).sign("alice", []).token
    head, body, signature = token.split(".")
    other = "A" if signature[5] != "A" else "B"
    forged = ".".join((head, body, signature[:5] + other + signature[6:]))
    assert status(live_registry, forged) == 401


@pytest.mark.parametrize(
    ("change", "taken"),
    [({}, True), ({"token_issuer": "other"}, False), ({"token_service": "other"}, False)],
)
def test_issuer_and_service_are_those_of_the_registrys_configuration(
    live_registry, base_config, change, taken
):
    signer = signer_of(replace(base_config, **change))
    assert (status(live_registry, signer.sign("alice", []).token) == 200) == taken


def test_a_token_opens_what_it_names_and_nothing_else(live_registry, base_config, pusher):
    signer = signer_of(base_config)
    for name in ("bearer/one", "bearer/one/below", "bearer/one-more"):
        pusher.push(name, {"1.0": tiny("one")})

    def opens(path: str, *access: tuple[str, str, list[str]]) -> bool:
        claims = [{"type": t, "name": n, "actions": a} for t, n, a in access]
        return status(live_registry, signer.sign("alice", claims).token, path=path) == 200

    one = ("repository", "bearer/one", ["pull"])
    assert opens("/v2/bearer/one/tags/list", one)
    assert not opens("/v2/bearer/one/below/tags/list", one)
    assert not opens("/v2/bearer/one-more/tags/list", one)
    assert not opens("/v2/_catalog", one)
    assert not opens("/v2/bearer/one/tags/list")
    assert not opens("/v2/bearer/one/tags/list", ("repository", "bearer/one", ["push", "delete"]))
    assert not opens("/v2/bearer/one/tags/list", ("repository(plugin)", "bearer/one", ["pull"]))
    assert not opens("/v2/bearer/one/tags/list", ("repository", "bearer", ["pull"]))
    assert opens("/v2/_catalog", ("registry", "catalog", ["*"]))


def test_what_the_token_endpoint_grants_opens_the_registry(shop):
    image = f"{shop.shop}/app"
    shop.push(image, {"1.0": tiny("one")})
    shop.user("stranger")
    auth = ("maintainer", shop.access_token("maintainer", "read_registry"))
    scope = f"repository:{image}:pull,push"
    path = f"/v2/{image}/tags/list"
    answer = shop.ask_token(scope, auth=auth)
    assert status(shop.registry, answer.json["token"], path=path) == 200
    other = ("stranger", shop.access_token("stranger", "read_registry"))
    for nobody in (other, None):
        answer = shop.ask_token(scope, auth=nobody)
        assert status(shop.registry, answer.json["token"], path=path) == 401
        assert status(shop.registry, answer.json["token"]) == 200


# -- another key, an old certificate ---------------------------------------------


def test_an_expired_certificate_makes_the_registry_refuse_our_tokens(
    live_registry, base_config, tmp_path
):
    """That is why the certificate lives ten years, and the launcher refuses an expired one."""
    key = Key.new(timedelta(minutes=-1))
    (tmp_path / "certificate.pem").write_bytes(key.certificate_pem)
    config = replace(base_config, token_certificate_file=tmp_path / "certificate.pem")
    registry = new_registry(live_registry.version, tmp_path / "registry", config)
    registry.start()
    try:
        signer = Signer(key.pem, key.certificate_pem, config.token_issuer, "registry", 300)
        assert status(registry, signer.sign("alice", []).token) == 401
    finally:
        registry.stop()


def test_a_registry_that_trusts_another_key_is_told_apart_from_one_that_is_down(
    live_registry, base_config, tmp_path
):
    other = Key.new(10 * HOUR)
    for name, data in (("key.pem", other.pem), ("certificate.pem", other.certificate_pem)):
        (tmp_path / name).write_bytes(data)
    config = replace(
        base_config,
        token_key_file=tmp_path / "key.pem",
        token_certificate_file=tmp_path / "certificate.pem",
    )
    with pytest.raises(RegistryRefused):
        client_of(live_registry, config).tags(RepositoryName("bearer/one"))


def test_both_certificates_in_the_bundle_let_a_key_be_changed(live_registry, base_config, tmp_path):
    """The registry trusts every certificate of the file: old and new tokens while it changes."""
    new = Key.new(10 * HOUR)
    bundle = tmp_path / "certificates.pem"
    shutil.copy(base_config.token_certificate_file, bundle)
    with bundle.open("ab") as file:
        file.write(new.certificate_pem)
    config = replace(base_config, token_certificate_file=bundle)
    registry = new_registry(live_registry.version, tmp_path / "registry", config)
    registry.start()
    try:
        after = Signer(new.pem, new.certificate_pem, config.token_issuer, "registry", 300)
        for signer in (signer_of(base_config), after):
            assert status(registry, signer.sign("alice", []).token) == 200
            Pusher(registry.url, signer).push("any/app", {"1.0": tiny("one")})
    finally:
        registry.stop()
