"""What the registry's client asks for, and what it takes as an answer (PROTOCOLS 4.2, 6.12)."""

from __future__ import annotations

import gzip
import hashlib
import json

import pytest

from registry_ui.distribution import client
from registry_ui.distribution.errors import InvalidRegistryResponse, RegistryError
from registry_ui.names import Digest, RepositoryName, TagName
from tests.support.processes import free_port
from tests.unit.hostile_registry import BEARER, Answer, always, hostile_registry

APP = RepositoryName("acme/app")
TAG = TagName("v1")
MANIFEST = json.dumps({"schemaVersion": 2, "layers": []}).encode()
TYPE = "application/vnd.oci.image.manifest.v1+json"


def sha256(body):
    return "sha256:" + hashlib.sha256(body).hexdigest()


DIGEST = Digest(sha256(MANIFEST))


def manifest_answer(**headers):
    return Answer(
        200, MANIFEST, {"Content-Type": TYPE, "Docker-Content-Digest": str(DIGEST), **headers}
    )


def test_each_call_has_a_bearer_token_cut_down_to_it(asker, hostile, minted):
    hostile.answer = lambda _asked: manifest_answer()
    asker.manifest(APP, TAG)
    asker.head(APP, TAG)
    asker.delete_manifest(APP, DIGEST)
    asker.put_manifest(APP, TAG, MANIFEST, TYPE)
    hostile.answer = always(200, b"{}", {"Docker-Distribution-Api-Version": "registry/2.0"})
    asker.ping()
    pull, push, delete = ("pull",), ("pull", "push"), ("delete",)
    assert minted == [
        ("acme/app", pull),
        ("acme/app", pull),
        ("acme/app", delete),
        ("acme/app", push),
        (None, ()),
    ]
    assert {asked.headers["Authorization"] for asked in hostile.asked} == {f"Bearer {BEARER}"}


@pytest.mark.parametrize("call", ["manifest", "head"])
def test_manifests_are_asked_for_with_all_four_types(asker, hostile, call):
    hostile.answer = lambda _asked: manifest_answer()
    getattr(asker, call)(APP, TAG)
    assert set(hostile.asked[0].headers["Accept"].split(", ")) == {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }


def test_neither_proxies_nor_netrc_of_the_environment_are_used(asker, hostile, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://localhost:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://localhost:{free_port()}")
    hostile.answer = always(200, {"tags": ["v1"]})
    assert asker.tags(APP) == ["v1"]


# -- manifests and blobs -------------------------------------------------------------------------


def test_a_manifest_is_returned_byte_for_byte(asker, hostile):
    hostile.answer = lambda _asked: manifest_answer()
    found = asker.manifest(APP, TAG)
    assert (found.digest, found.media_type, found.body) == (str(DIGEST), TYPE, MANIFEST)


def test_a_manifest_type_with_parameters_is_the_type_alone(asker, hostile):
    hostile.answer = lambda _asked: manifest_answer(**{"Content-Type": f"{TYPE}; charset=utf-8"})
    assert asker.manifest(APP, TAG).media_type == TYPE


@pytest.mark.parametrize("reference", [TAG, DIGEST])
@pytest.mark.parametrize(
    "digest",
    ["sha256:" + "0" * 64, "sha512:" + "0" * 128, "sha256:abc", "md5:" + "0" * 32, "", "x" * 1000],
)
def test_content_that_is_not_what_its_digest_says_is_nonsense(asker, hostile, reference, digest):
    hostile.answer = lambda _asked: manifest_answer(**{"Docker-Content-Digest": digest})
    with pytest.raises(InvalidRegistryResponse):
        asker.manifest(APP, reference)


def test_another_manifest_than_was_asked_for_is_nonsense(asker, hostile):
    hostile.answer = lambda _asked: manifest_answer()
    with pytest.raises(InvalidRegistryResponse):
        asker.manifest(APP, Digest("sha256:" + "1" * 64))


@pytest.mark.parametrize("status", [200, 203])
def test_a_page_in_place_of_a_manifest_is_nonsense(asker, hostile, status):
    """A captive portal or a proxy's sign-in page: no digest vouches for it."""
    hostile.answer = always(status, b"<html>Sign in</html>", {"Content-Type": "text/html"})
    with pytest.raises(InvalidRegistryResponse):
        asker.manifest(APP, TAG)


@pytest.mark.parametrize("status", [301, 302, 307])
@pytest.mark.parametrize("deed", ["manifest", "head", "tags", "ping", "delete", "put", "catalog"])
def test_no_redirect_is_followed_nor_taken_for_an_answer(asker, hostile, deed, status):
    with hostile_registry() as other:
        other.answer = lambda _asked: manifest_answer()
        hostile.answer = always(status, MANIFEST, {"Location": f"{other.url}/x"})
        call = {
            "manifest": lambda: asker.manifest(APP, TAG),
            "head": lambda: asker.head(APP, TAG),
            "tags": lambda: asker.tags(APP),
            "ping": asker.ping,
            "delete": lambda: asker.delete_manifest(APP, DIGEST),
            "put": lambda: asker.put_manifest(APP, TAG, MANIFEST, TYPE),
            "catalog": lambda: list(asker.catalog()),
        }[deed]
        with pytest.raises(RegistryError):
            call()
        assert other.asked == []


def test_a_head_without_a_digest_is_nonsense(asker, hostile):
    hostile.answer = always(200, b"", {"Content-Type": TYPE})
    with pytest.raises(InvalidRegistryResponse):
        asker.head(APP, TAG)


@pytest.mark.parametrize("call", ["manifest", "blob"])
@pytest.mark.parametrize("honest", [True, False])
def test_a_body_over_the_limit_is_given_up(asker, hostile, monkeypatch, call, honest):
    monkeypatch.setattr(client, "MAX_DOCUMENT", 1000)
    body = b"x" * 5000
    headers = {"Docker-Content-Digest": sha256(body)}
    if not honest:  # small on the wire, large when unpacked
        headers["Content-Encoding"] = "gzip"
    hostile.answer = always(200, body if honest else gzip.compress(body), headers)
    reference = Digest(sha256(body))
    with pytest.raises(InvalidRegistryResponse):
        getattr(asker, call)(APP, reference)


def test_a_blob_is_checked_against_its_digest(asker, hostile):
    hostile.answer = always(200, b"config")
    assert asker.blob(APP, Digest(sha256(b"config"))) == b"config"
    with pytest.raises(InvalidRegistryResponse):
        asker.blob(APP, Digest(sha256(b"other")))


@pytest.mark.parametrize("status", [302, 307])
def test_a_blob_elsewhere_is_fetched_without_our_token(asker, hostile, status):
    with hostile_registry() as storage:
        storage.answer = always(200, b"config")
        hostile.answer = always(status, b"", {"Location": f"{storage.url}/signed?x=1"})
        assert asker.blob(APP, Digest(sha256(b"config"))) == b"config"
        (asked,) = storage.asked
        assert asked.path == "/signed?x=1"
        assert "Authorization" not in asked.headers
        assert BEARER not in str(asked)


def test_a_blob_elsewhere_is_checked_and_limited_too(asker, hostile, monkeypatch):
    monkeypatch.setattr(client, "MAX_DOCUMENT", 1000)
    with hostile_registry() as storage:
        hostile.answer = always(307, b"", {"Location": f"{storage.url}/x"})
        for body in (b"other", b"x" * 5000):
            storage.answer = always(200, body)
            with pytest.raises(InvalidRegistryResponse):
                asker.blob(APP, Digest(sha256(b"config")))


@pytest.mark.parametrize(
    "location",
    ["", "/elsewhere", "ftp://localhost/x", "file:///etc/passwd", "http://[", "gopher://x", "//x"],
)
def test_a_blob_that_is_sent_to_no_web_address_is_not_fetched(asker, hostile, location):
    hostile.answer = always(307, b"", {"Location": location})
    with pytest.raises(RegistryError):
        asker.blob(APP, DIGEST)


def test_a_blob_is_sent_elsewhere_once(asker, hostile):
    with hostile_registry() as storage:
        storage.answer = always(307, b"", {"Location": f"{storage.url}/again"})
        hostile.answer = always(307, b"", {"Location": f"{storage.url}/x"})
        with pytest.raises(RegistryError):
            asker.blob(APP, DIGEST)
        assert len(storage.asked) == 1


@pytest.mark.parametrize("host", ["http://evil.example:1", "//evil.example", ""])
def test_an_upload_goes_on_at_our_registry_whatever_host_it_names(asker, hostile, host):
    def answer(asked):
        if asked.method == "POST":
            location = f"{host}/v2/acme/app/blobs/uploads/1?_state=a%2Bb"
            return Answer(202, b"", {"Location": location})
        return Answer(201)

    hostile.answer = answer
    assert asker.put_blob(APP, b"{}") == sha256(b"{}")
    put = hostile.asked[1]
    assert put.path.startswith("/v2/acme/app/blobs/uploads/1?_state=a%2Bb&digest=sha256%3A")
    assert put.body == b"{}"


@pytest.mark.parametrize("location", ["http://[", "/elsewhere", "", "/v2/../admin"])
def test_an_upload_that_would_go_on_nowhere_fails(asker, hostile, location):
    hostile.answer = lambda asked: Answer(
        202 if asked.method == "POST" else 404, b"", {"Location": location}
    )
    with pytest.raises(RegistryError):
        asker.put_blob(APP, b"{}")
