"""What the gate understands of what a proxy asks: plainly, or not at all."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers

from registry_ui.access import Permission
from registry_ui.errors import Denied
from registry_ui.gate.request import AMBIGUOUS_REQUEST, HEADERS, NOT_CANONICAL, read

DIGEST = "sha256:" + "a" * 64


def asked(method: str, uri: str, pair: int = 0):
    return read(Headers(zip(HEADERS[pair], (method, uri), strict=True)))


@pytest.mark.parametrize("pair", [0, 1], ids=["nginx", "Traefik and Caddy"])
def test_a_manifest_is_read_from_what_either_kind_of_proxy_sends(pair):
    found = asked("PUT", "/v2/group/project/web/manifests/v1.2", pair)
    assert (found.action, str(found.repository)) == (Permission.PUSH, "group/project/web")
    assert str(found.reference) == "v1.2"
    found = asked("DELETE", f"/v2/a/b/manifests/{DIGEST}?x=/v2/c/manifests/d", pair)
    assert (found.action, str(found.repository)) == (Permission.DELETE, "a/b")
    assert str(found.reference) == DIGEST


def test_a_blob_that_is_deleted_is_read_like_a_manifest():
    found = asked("DELETE", f"/v2/a/b/blobs/{DIGEST}")
    assert (found.action, str(found.repository), found.is_blob) == (Permission.DELETE, "a/b", True)
    assert not asked("DELETE", f"/v2/a/b/manifests/{DIGEST}").is_blob
    with pytest.raises(Denied, match=NOT_CANONICAL):
        asked("PUT", f"/v2/a/b/blobs/{DIGEST}")


@pytest.mark.parametrize(
    ("uri", "repository"),
    [
        ("/v2/a%2fb/manifests/v1", "a/b"),
        ("/v2/a/b/%6danifests/v1", "a/b"),
        ("/v2/a/b/manifests/sha256%3A" + "a" * 64, "a/b"),
        ("/v2/a/manifests/b/manifests/v1", "a/manifests/b"),
        ("/v2/a/blobs/uploads/manifests/v1", "a/blobs/uploads"),
    ],
)
def test_an_address_is_decoded_once_as_the_registry_does(uri, repository):
    assert str(asked("PUT", uri).repository) == repository


PASSING = [(m, "/v2/a/b/manifests/v1") for m in ("GET", "HEAD", "OPTIONS", "POST", "PATCH")]
PASSING += [("PUT", "/v2/a/b/blobs/uploads/6a1b-2c_d=?digest=sha256:aa&_state=x/manifests/v1")]
PASSING += [("DELETE", "/v2/a/b/blobs/uploads/6a1b-2c")]


@pytest.mark.parametrize(("method", "uri"), PASSING)
def test_what_changes_no_manifest_is_nothing_to_ask_about(method, uri):
    assert asked(method, uri) is None


TRICKS = [
    "/v2/a//b/manifests/v1",
    "/v2//a/manifests/v1",
    "//v2/a/manifests/v1",
    "/v2/a/../b/manifests/v1",
    "/v2/a/./b/manifests/v1",
    "/v2/a/%2e%2e/b/manifests/v1",
    "/v2/a%252fb/manifests/v1",
    "/v2/a/b/manifests/v1/",
    "/v2/a/b/manifests/",
    "/v2/a/b/manifests/v1%0a",
    "/v2/a/b/manifests/v1%00",
    "/v2/a/b/manifests/v1#x",
    "/v2/a/b/manifests/v1;x",
    "/v2/a/b/manifests/v1?tag=v2",
    f"/v2/a/b/manifests/sha256:{'a' * 64}?tag=v2",
    "/v2/A/b/manifests/v1",
    "/V2/a/b/manifests/v1",
    "/v2/a/b/Manifests/v1",
    "/v2/host:5000/a/manifests/v1",
    "/v2/a/b/manifests/sha256:abc",
    "/v2/a/b/manifests/sha256:" + "A" * 64,
    "/v2/a/b/manifests/" + "v" * 129,
    "/v2/" + "a/" * 128 + "a/manifests/v1",
    "/v2/a/b/blobs/uploads/../../manifests/v1",
    "/v2/a/b/blobs/uploads/..",
    "/v2/a%ff/manifests/v1",
    "http://host/v2/a/b/manifests/v1",
    "/v2/",
    "/",
    "",
]


@pytest.mark.parametrize("uri", TRICKS)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_address_that_is_not_plain_is_refused(method, uri):
    with pytest.raises(Denied, match=NOT_CANONICAL):
        asked(method, uri)


@pytest.mark.parametrize("method", ["put", "Put", "PURGE", "", "PUT,GET", "GET,PUT"])
def test_a_method_that_is_none_of_the_registry_is_refused(method):
    with pytest.raises(Denied):
        asked(method, "/v2/a/b/manifests/v1")


SPOOFED = [
    {},
    {"X-Original-Method": "PUT"},
    {"X-Original-URI": "/v2/a/manifests/v1"},
    {"X-Forwarded-Method": "PUT"},
    {"X-Original-Method": "GET", "X-Forwarded-Uri": "/"},
    {
        "X-Original-Method": "GET",
        "X-Original-URI": "/",
        "X-Forwarded-Method": "PUT",
        "X-Forwarded-Uri": "/v2/a/manifests/v1",
    },
    {
        "X-Original-Method": "PUT",
        "X-Original-URI": "/v2/a/manifests/v1",
        "X-Forwarded-Method": "GET",
    },
]


@pytest.mark.parametrize("headers", SPOOFED, ids=lambda headers: " ".join(headers) or "none")
def test_what_two_have_told_or_nobody_is_refused(headers):
    with pytest.raises(Denied, match="the question to the gate"):
        read(Headers(headers))
    assert "names two" in AMBIGUOUS_REQUEST
