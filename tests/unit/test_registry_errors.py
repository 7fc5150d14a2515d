"""A registry that is down, slow, refuses, or answers with somebody else's words (PROTOCOLS 4.3)."""

from __future__ import annotations

import pytest

from registry_ui.distribution.client import RegistryClient
from registry_ui.distribution.errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    InvalidRegistryResponse,
    RegistryError,
    RegistryNotFound,
    RegistryRefused,
    RegistryUnavailable,
)
from registry_ui.names import RepositoryName, TagName
from tests.support.processes import free_port
from tests.unit.hostile_registry import BEARER, TIMEOUT, Answer, always

TAG = TagName("v1")
APP = RepositoryName("acme/app")


def error(code):
    return {"errors": [{"code": code, "message": "words"}]}


@pytest.mark.parametrize(
    ("status", "body", "raised"),
    [
        (401, error("UNAUTHORIZED"), RegistryRefused),
        (403, error("DENIED"), RegistryRefused),
        (404, error("NAME_UNKNOWN"), RegistryNotFound),
        (404, error("MANIFEST_UNKNOWN"), RegistryNotFound),
        (429, error("TOOMANYREQUESTS"), RegistryUnavailable),
        (500, error("UNKNOWN"), RegistryUnavailable),
        (502, b"<html>Bad gateway</html>", RegistryUnavailable),
        (503, b"", RegistryUnavailable),
        (400, error("PAGINATION_NUMBER_INVALID"), InvalidRegistryResponse),
        (418, b"[]", InvalidRegistryResponse),
        (400, b'{"errors": 7}', InvalidRegistryResponse),
        (
            400,
            b'{"errors": [7, null, {"code": ["x"]}, {"code": "<script>"}]}',
            InvalidRegistryResponse,
        ),
    ],
)
@pytest.mark.parametrize("call", ["tags", "manifest"])
def test_each_error_of_the_registry_has_its_kind(asker, hostile, call, status, body, raised):
    hostile.answer = always(status, body)
    with pytest.raises(raised) as caught:
        asker.tags(APP) if call == "tags" else asker.manifest(APP, TAG)
    assert "script" not in str(caught.value)
    assert BEARER not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>404 Not Found</html>", b"", b"404 page not found\n"])
@pytest.mark.parametrize("call", ["tags", "manifest"])
def test_a_404_that_is_not_the_registrys_own_does_not_say_that_something_is_gone(
    asker, hostile, call, body
):
    """A proxy before the hostile, or a wrong address: nothing may be removed for that."""
    hostile.answer = always(404, body, {"Content-Type": "text/html"})
    with pytest.raises(RegistryError) as caught:
        asker.tags(APP) if call == "tags" else asker.manifest(APP, TAG)
    assert not isinstance(caught.value, RegistryNotFound)


@pytest.mark.parametrize(
    ("status", "code", "raised"),
    [
        (405, "UNSUPPORTED", DeletionDisabled),
        (400, "DIGEST_INVALID", DeletionByTagUnsupported),
        (404, "MANIFEST_UNKNOWN", RegistryNotFound),
        (401, "UNAUTHORIZED", RegistryRefused),
        (400, "OTHER", InvalidRegistryResponse),
        (500, "UNKNOWN", RegistryUnavailable),
    ],
)
def test_each_way_in_which_a_deletion_fails_is_told_apart(asker, hostile, status, code, raised):
    hostile.answer = always(status, error(code))
    with pytest.raises(raised):
        asker.delete_manifest(APP, TAG)


def test_a_registry_that_is_down_is_unavailable():
    asker = RegistryClient(f"http://localhost:{free_port()}", lambda *_: "our-secret", TIMEOUT)
    for call in (asker.ping, lambda: asker.tags(APP), lambda: asker.manifest(APP, TAG)):
        with pytest.raises(RegistryUnavailable) as caught:
            call()
        assert "our-secret" not in str(caught.value)


@pytest.fixture
def hasty(hostile):
    """Our client, when it does not wait for long."""
    return RegistryClient(hostile.url, lambda *_: BEARER, TIMEOUT)


def test_a_registry_that_does_not_answer_is_waited_for_no_longer_than_allowed(hasty, hostile):
    def answer(_asked):
        hostile.released.wait(60)
        return Answer(200, b'{"tags": []}')

    hostile.answer = answer
    with pytest.raises(RegistryUnavailable):
        hasty.tags(APP)


@pytest.mark.parametrize("status", [200, 500])
def test_a_body_that_trickles_is_not_waited_for_for_ever(hasty, hostile, status):
    hostile.answer = always(status, b'{"tags": [' + b" " * 1000 + b"]}", trickle=0.1)
    with pytest.raises(RegistryUnavailable):
        hasty.tags(APP)


@pytest.mark.parametrize("call", ["tags", "manifest"])
def test_an_answer_that_breaks_off_is_no_answer(asker, hostile, call):
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    hostile.answer = always(200, b'{"tags": ["v1"]}', kind, length=5000)
    with pytest.raises(RegistryUnavailable):
        asker.tags(APP) if call == "tags" else asker.manifest(APP, TAG)


def test_an_answer_that_is_packed_wrongly_is_no_answer(asker, hostile):
    hostile.answer = always(200, b"not gzip", {"Content-Encoding": "gzip"})
    with pytest.raises(RegistryError):
        asker.tags(APP)


def test_after_trouble_the_next_call_is_answered(asker, hostile):
    hostile.answer = always(500, b"x" * 100_000)
    with pytest.raises(RegistryUnavailable):
        asker.tags(APP)
    hostile.answer = always(200, {"tags": ["v1"]})
    assert asker.tags(APP) == ["v1"]


@pytest.mark.parametrize("stumbles", [1, 3])
def test_a_registry_that_stumbles_over_a_push_is_asked_again(asker, hostile, stumbles):
    """2.8 answers 500 while a push beside us writes a link that it reads."""

    def answer(_asked):
        if len(hostile.asked) <= stumbles:
            return Answer(500, error("UNKNOWN"))
        return Answer(200, {"name": "acme/app", "tags": ["v1"]})

    hostile.answer = answer
    assert asker.tags(APP) == ["v1"]
    assert len(hostile.asked) == stumbles + 1


@pytest.mark.parametrize("status", [404, 429, 502, 503])
def test_what_is_no_stumble_is_asked_once(asker, hostile, status):
    hostile.answer = always(status, error("UNKNOWN"))
    with pytest.raises(RegistryError):
        asker.tags(APP)
    assert len(hostile.asked) == 1


def test_an_upload_is_never_sent_twice(asker, hostile):
    hostile.answer = always(500, error("UNKNOWN"))
    with pytest.raises(RegistryUnavailable):
        asker.put_blob(APP, b"{}")
    assert len(hostile.asked) == 1
