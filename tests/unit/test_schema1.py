"""Docker schema 1: which bytes its digest covers, and what is read of it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from registry_ui.distribution.errors import InvalidRegistryResponse
from registry_ui.distribution.manifest import read_manifest
from registry_ui.distribution.media_types import SIGNED_SCHEMA_1
from registry_ui.distribution.schema1 import covered_bytes
from tests.support.oddities import layer_blob, schema1, sign_schema1

UNSIGNED = SIGNED_SCHEMA_1.replace("prettyjws", "json")
ONE, TWO = layer_blob("one"), layer_blob("two")
MADE = schema1("old/app", ONE, TWO)


def with_protected(*headers: object) -> bytes:
    """The manifest with other protected headers of its signatures."""
    document = json.loads(MADE.data)
    (signature,) = document["signatures"]
    texts = [header if isinstance(header, str) else encoded(header) for header in headers]
    document["signatures"] = [{**signature, "protected": text} for text in texts]
    return json.dumps(document).encode()


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_the_digest_covers_the_payload_without_signatures():
    assert covered_bytes(SIGNED_SCHEMA_1, MADE.data) == MADE.payload
    assert covered_bytes(SIGNED_SCHEMA_1, sign_schema1(MADE.payload)) == MADE.payload
    assert covered_bytes(UNSIGNED, MADE.payload) == MADE.payload


TAIL = base64.urlsafe_b64encode(b"\n}").rstrip(b"=").decode()
GOOD = {"formatLength": 5, "formatTail": TAIL}
HOSTILE = {
    "no signatures": MADE.payload,
    "signatures that are no list": b'{"signatures": {}}',
    "a signature that is a text": b'{"signatures": ["x"]}',
    "no JSON": b"{",
    "a list": b"[]",
    "no protected header": b'{"signatures": [{}]}',
    "no base64": with_protected("$$$"),
    "no JSON in the header": with_protected("abcd"),
    "a list in the header": with_protected([]),
    "no length": with_protected({"formatTail": TAIL}),
    "a length of another type": with_protected({**GOOD, "formatLength": "5"}),
    "a length that is true": with_protected({**GOOD, "formatLength": True}),
    "a negative length": with_protected({**GOOD, "formatLength": -5}),
    "a length behind the end": with_protected({**GOOD, "formatLength": 10**9}),
    "a tail of another type": with_protected({**GOOD, "formatTail": 7}),
    "a deep header": with_protected(base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=").decode()),
    "signatures of two contents": with_protected(GOOD, {**GOOD, "formatLength": 6}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_signatures_that_do_not_say_what_they_sign_are_refused(what):
    with pytest.raises(InvalidRegistryResponse):
        covered_bytes(SIGNED_SCHEMA_1, HOSTILE[what])
    facts = read_manifest(SIGNED_SCHEMA_1, HOSTILE[what])
    assert (facts.kind, len(facts.problems)) == ("unknown", 1)


@pytest.mark.parametrize(
    ("media_type", "body"), [(SIGNED_SCHEMA_1, MADE.data), (UNSIGNED, MADE.payload)]
)
def test_it_has_layers_without_sizes_and_a_date(media_type, body):
    facts = read_manifest(media_type, body)
    assert (facts.kind, facts.size, facts.problems) == ("schema 1", None, ())
    assert [layer.digest for layer in facts.layers] == [ONE.digest, TWO.digest]
    assert facts.created_at == datetime(2016, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_what_stands_outside_of_the_payload_is_not_read():
    """Nobody signed it, and the digest does not cover it."""
    document = json.loads(MADE.data)
    document["fsLayers"] = []
    forged = json.dumps(document).encode()
    assert read_manifest(SIGNED_SCHEMA_1, forged + MADE.data).kind == "unknown"
    assert read_manifest(SIGNED_SCHEMA_1, MADE.data).layers


OTHERS = [None, 7, "x", {}, [7], [None], [{}], [{"v1Compatibility": 7}], [{"v1Compatibility": "{"}]]


@pytest.mark.parametrize("key", ["fsLayers", "history"])
@pytest.mark.parametrize("value", OTHERS, ids=str)
def test_any_field_may_be_of_another_type(key, value):
    document = {**json.loads(MADE.payload), key: value}
    facts = read_manifest(UNSIGNED, json.dumps(document).encode())
    assert facts.kind == "schema 1"
