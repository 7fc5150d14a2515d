"""Manifests and configurations that lie (PROTOCOLS 6.13, 6.14): plain facts, or none."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.distribution.image_config import (
    MAX_CONFIG_TEXT,
    TOO_LONG,
    ImageConfig,
    read_config,
)
from registry_ui.distribution.manifest import (
    MAX_ANNOTATIONS,
    MAX_ANNOTATIONS_TEXT,
    MAX_CHILDREN,
    MAX_LAYERS,
    MAX_SIZE,
    TOO_MANY,
    ManifestFacts,
    read_manifest,
)
from registry_ui.distribution.references import every_child
from registry_ui.distribution.strict_json import AMBIGUOUS as AMBIGUOUS_JSON
from registry_ui.distribution.untrusted import MAX_TEXT, moment

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
A = "sha256:" + "a" * 64
C = "sha256:" + "c" * 64


def part(**more):
    return {"mediaType": "application/vnd.x", "digest": A, "size": 7, **more}


def child(**more):
    return part(**{"mediaType": OCI, **more})


def image(**more):
    config = {"mediaType": OCI_CONFIG, "digest": C, "size": 1}
    return {"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [part()], **more}


def read(document, media_type=OCI):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_manifest(media_type, body)


NO_JSON = [b"", b"x", b"\xff\xfe", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000]
NO_JSON += [b'{"layers": [' + b"9" * 100_000 + b"]}", b"{'a': 1}", b"{}x"]


@pytest.mark.parametrize("body", NO_JSON, ids=lambda body: repr(body[:12]))
def test_what_is_no_json_is_unknown_and_says_so(body):
    facts = read(body)
    assert (facts.kind, facts.layers, len(facts.problems)) == ("unknown", (), 1)
    assert replace(read_config(body), problem="") == ImageConfig()


BOMBS = {
    "empty lists": b'{"x": [' + b"[]," * 1_000_000 + b"[]]}",
    "numbers": b'{"x": [' + b"1," * 2_000_000 + b"1]}",
    "objects": b'{"x": [' + b'{"a":{}},' * 400_000 + b"{}]}",
    "nested objects": b'{"x":' * 800_000 + b"1" + b"}" * 800_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_body_that_takes_long_to_read_is_not_read(name, monkeypatch):
    parsing = mock.Mock(side_effect=AssertionError)
    monkeypatch.setattr(json, "loads", parsing)
    for media_type in (OCI, OCI_INDEX):
        assert read(BOMBS[name], media_type).problems == (TOO_MANY,)
    assert read_config(BOMBS[name]) == ImageConfig(problem=TOO_MANY)
    assert every_child(BOMBS[name]) == []
    assert not parsing.called


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"x"', b"true", b"NaN"])
def test_what_is_no_object_is_unknown_and_says_so(body):
    assert (read(body).kind, len(read(body).problems)) == ("unknown", 1)
    assert replace(read_config(body), problem="") == ImageConfig()
    assert not read_config(body).is_readable


def test_nesting_that_can_just_be_read_is_no_error():
    for depth in range(800, 1000):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        body = b'{"layers": [], "x": ' + nested + b"}"
        assert isinstance(read(body), ManifestFacts), depth
        assert isinstance(read_config(body), ImageConfig), depth


OTHERS = [None, True, 7, -1, 1.5, "text", [], {}, [7], [None], [[]], {"digest": 7}, {"size": {}}]


@pytest.mark.parametrize("key", ["mediaType", "config", "layers", "manifests", "annotations"])
@pytest.mark.parametrize("value", OTHERS, ids=str)
def test_any_field_may_be_of_another_type(key, value):
    for media_type in (OCI, OCI_INDEX, "application/vnd.x", ""):
        facts = read(image(**{key: value}), media_type)
        assert ManifestFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


@pytest.mark.parametrize("key", ["subject", "artifactType", "schemaVersion", "extra"])
@pytest.mark.parametrize("value", OTHERS, ids=str)
def test_any_other_field_may_be_of_another_type_and_the_rest_is_read(key, value):
    facts = read(image(**{key: value}))
    assert [layer.digest for layer in facts.layers] == [A]


@pytest.mark.parametrize(
    "size", [-1, -(2**63), 2**53 + 1, 2**63, 10**30, 1.5, "7", None, True, [], float("inf")]
)
def test_a_size_that_can_not_be_true_is_named_and_counts_nothing(size):
    facts = read(image(layers=[part(size=size), part(size=5)]))
    assert [layer.size for layer in facts.layers] == [0, 5]
    assert facts.size == 6
    assert any("can't be true" in problem for problem in facts.problems)


def test_sizes_that_add_up_to_too_much_stay_within_what_a_database_holds():
    layers = [part(size=MAX_SIZE, digest=f"sha256:{n:064x}") for n in range(MAX_LAYERS)]
    assert read(image(layers=layers)).size == MAX_SIZE < 2**63


@pytest.mark.parametrize(
    "digest", [None, "", 7, [], "sha256:abc", A.upper(), A + "\n", "../../etc", "md5:" + "a" * 32]
)
def test_a_part_without_a_usable_digest_is_left_out_and_named(digest):
    facts = read(image(layers=[part(digest=digest), part()]))
    assert [layer.digest for layer in facts.layers] == [A]
    assert any("digest" in problem for problem in facts.problems)
    assert read(image(config=part(digest=digest))).config is None


def test_the_number_of_parts_is_limited_and_that_is_said():
    facts = read(image(layers=[part()] * 10_000))
    assert len(facts.layers) == MAX_LAYERS
    assert any("only the first" in problem for problem in facts.problems)
    facts = read({"manifests": [child()] * 10_000}, OCI_INDEX)
    assert (len(facts.children), facts.children_total) == (MAX_CHILDREN, 10_000)
    facts = read({"manifests": [part()] * 10_000}, OCI_INDEX)
    assert (facts.children, len(facts.layers)) == ((), MAX_LAYERS)


def test_an_index_that_names_itself_is_only_read():
    facts = read({"manifests": [child(), child(), child(digest=C)]}, OCI_INDEX)
    assert [child.digest for child in facts.children] == [A, A, C]


def test_a_body_that_is_both_image_and_index_is_read_as_its_type_says_and_named():
    document = image(manifests=[child(digest=C)])
    as_image, as_index = read(document), read(document, OCI_INDEX)
    assert (as_image.kind, as_image.children) == ("image", ())
    assert (as_index.kind, as_index.layers, as_index.config) == ("index", (), None)
    for facts in (as_image, as_index):
        assert any("both an image and an index" in problem for problem in facts.problems)


def test_a_body_that_declares_another_type_than_the_registry_is_named():
    facts = read(image(mediaType=OCI_INDEX))
    assert facts.kind == "image"
    assert any(OCI_INDEX in problem for problem in facts.problems)


AMBIGUOUS = {
    "a key twice": b'{"layers": [], "layers": []}',
    "a key twice further in": b'{"layers": [{"digest": "x", "digest": "y"}]}',
    "a key in other letters": b'{"Layers": []}',
    "two keys but for their letters": b'{"layers": [], "LAYERS": []}',
    "a part's key in other letters": b'{"layers": [{"Digest": "x"}]}',
    "the config's key in other letters": b'{"config": {"DIGEST": "x"}}',
    "a platform's key in other letters": b'{"manifests": [{"platform": {"OS": "x"}}]}',
    "a letter that folds to another": '{"layer\u017f": []}'.encode(),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_json_that_go_would_read_otherwise_is_not_shown_at_all(name):
    for media_type in (OCI, OCI_INDEX):
        facts = read(AMBIGUOUS[name], media_type)
        assert (facts.kind, facts.layers, facts.children) == ("unknown", (), ())
        assert facts.problems


def test_a_configuration_that_go_would_read_otherwise_is_not_shown_at_all():
    bodies = [b'{"config": {"User": "root", "user": "nobody"}}', b'{"Config": {"User": "x"}}']
    bodies += [b'{"config": {"User": "x"}, "config": {}}', b'{"history": [{"Created_By": "x"}]}']
    for body in bodies:
        assert read_config(body) == ImageConfig(problem=AMBIGUOUS_JSON), body
        assert not read_config(body).is_readable


HARMLESS = {
    "Docker's Size": b'{"os": "linux", "Size": 5, "config": {"User": "x", "size": 1}}',
    "Docker's container": b'{"os": "linux", "Id": "1", "id": "2", "config": {"User": "x"}}',
    "a label twice": b'{"os": "linux", "config": {"User": "x", "Labels": {"a": "1", "a": "2"}}}',
    "an unknown key twice": b'{"os": "linux", "x": {"y": 1, "y": 2}, "config": {"User": "x"}}',
    "labels that differ in case": b'{"os": "linux", "config": {"User": "x", "Labels": '
    b'{"User": "1", "user": "2"}}}',
}


@pytest.mark.parametrize("name", HARMLESS)
def test_only_keys_that_clients_read_make_a_configuration_ambiguous(name):
    config = read_config(HARMLESS[name])
    assert (config.os, config.user, config.problem) == ("linux", "x", "")


def test_only_keys_that_clients_read_make_a_manifest_ambiguous():
    annotations = {"Size": "1", "digest": "2", "Digest": "3"}
    document = image(annotations=annotations, Size=5, layers=[part(annotations=annotations)])
    assert (read(document).kind, read(document).problems) == ("image", ())


@pytest.mark.parametrize("annotations", [{"a": 7, "b": None, "c": ["x"], "d": {}, "e": "text"}])
def test_annotations_and_labels_that_are_no_text_are_left_out(annotations):
    assert read(image(annotations=annotations)).annotations == {"e": "text"}
    config = read_config(json.dumps({"config": {"Labels": annotations}}).encode())
    assert config.labels == (("e", "text"),)


def test_labels_that_are_left_out_are_counted():
    labels = {f"key{n}": "x" * 3000 for n in range(23)}
    config = read_config(json.dumps({"config": {"Labels": labels}}).encode())
    assert (len(config.labels), config.labels_total) == (10, 23)
    facts = read(image(annotations=labels))
    assert (len(facts.annotations), facts.annotations_total) == (10, 23)


def test_annotations_are_limited_in_number_and_length():
    facts = read(image(annotations={f"key{n}": "x" * 100 for n in range(10_000)}))
    assert len(facts.annotations) <= MAX_ANNOTATIONS
    facts = read(image(annotations={f"k{n}" * 1000: "x" * 1000 for n in range(1000)}))
    assert sum(map(len, facts.annotations.values())) <= MAX_ANNOTATIONS_TEXT
    assert max(map(len, facts.annotations), default=0) <= 255


def test_the_texts_of_a_configuration_are_limited_together_and_it_says_so():
    lines = ["x" * MAX_TEXT] * MAX_LAYERS
    keys = {f"{n}{'x' * MAX_TEXT}": {} for n in range(MAX_LAYERS)}
    inner = {"Env": lines, "Cmd": lines, "ExposedPorts": keys, "Volumes": keys}
    steps = [{"created_by": line, "comment": line} for line in lines]
    config = read_config(json.dumps({"config": inner, "history": steps}).encode())
    assert len(json.dumps(config.to_json())) < 2 * MAX_CONFIG_TEXT
    assert config.problem == TOO_LONG
    assert len(config.history) == MAX_LAYERS  # each layer still has its step
    history = [{"created_by": "x" * 1000}] * 100
    assert read_config(json.dumps({"history": history}).encode()).problem == ""


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 100_000, "\u202e"])
def test_text_is_such_that_every_database_holds_it(text):
    document = image(annotations={text: text}, artifactType=text, mediaType=text)
    document["config"] = part(digest=C, mediaType=text, platform={"os": text, "variant": text})
    facts = read(document)
    stored = json.dumps(facts.to_json(), ensure_ascii=False)
    assert "\0" not in stored
    assert "\\u0000" not in stored
    assert stored.encode()
    assert len(stored) < 20 * MAX_TEXT
    config = read_config(
        json.dumps(
            {
                "os": text,
                "author": text,
                "config": {
                    "User": text,
                    "Env": [text],
                    "Cmd": [text],
                    "Labels": {text: text},
                    "ExposedPorts": {text: {}},
                },
                "history": [{"created_by": text}],
            }
        ).encode()
    )
    for value in (config.os, config.user, config.history[0].created_by, *config.cmd):
        assert len(value) <= MAX_TEXT
        assert "\0" not in value
        assert value.encode() is not None


def test_hostile_text_is_kept_as_text():
    evil = "<script>alert(1)</script>"
    assert read(image(annotations={"a": evil})).annotations == {"a": evil}


CONFIG_KEYS = ["os", "architecture", "created", "config", "history", "rootfs", "author", "variant"]
INNER_KEYS = ["User", "Env", "Cmd", "Entrypoint", "ExposedPorts", "Volumes", "Labels", "WorkingDir"]


@pytest.mark.parametrize("key", [*CONFIG_KEYS, *INNER_KEYS])
@pytest.mark.parametrize("value", OTHERS, ids=str)
def test_any_field_of_a_configuration_may_be_of_another_type(key, value):
    document = {key: value} if key in CONFIG_KEYS else {"config": {key: value}}
    assert isinstance(read_config(json.dumps(document).encode()), ImageConfig)


DATES = ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-99-01", "now", "\0", "²"]


@pytest.mark.parametrize("text", DATES)
def test_a_date_that_is_none_is_none(text):
    assert read_config(json.dumps({"created": text}).encode()).built_at is None
    created = {"org.opencontainers.image.created": text}
    assert read(image(annotations=created)).created_at is None


KEYS = "digest size mediaType platform annotations os layers config manifests User Env history"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.binary() | json_values.map(lambda v: json.dumps(v).encode()))
def test_reading_never_raises_and_facts_can_be_stored(body):
    for media_type in (OCI, OCI_INDEX, ""):
        facts = read_manifest(media_type, body)
        assert ManifestFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
        assert facts.size is None or 0 <= facts.size <= MAX_SIZE
    assert isinstance(read_config(body), ImageConfig)


@pytest.mark.parametrize("zone", ["America/New_York", "UTC"])
def test_a_build_time_without_a_time_zone_is_read_as_utc_on_every_server(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        built = moment("2026-05-01T12:00:00")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert built == datetime(2026, 5, 1, 12, tzinfo=UTC)
