"""What a text in the search field may mean."""

from __future__ import annotations

import pytest

from registry_ui.errors import Invalid
from registry_ui.search.query import MAX_LENGTH, MAX_WORDS, parse

HOST = "registry.example:5000"
HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "words", "tag"),
    [
        ("shop", ("shop",), "shop"),
        ("Shop", ("shop",), "Shop"),
        ("1.4", ("1.4",), "1.4"),
        ("v1.4-RC1", ("v1.4-rc1",), "v1.4-RC1"),
        ("  shop   API ", ("shop", "api"), ""),
        ("docker images", ("docker", "images"), ""),
        ("100%_", ("100%_",), "100%_"),
        ("a b c d e f g h", tuple("abcdef"), ""),
    ],
)
def test_free_words_are_looked_for_in_paths_and_one_word_in_tags_too(text, words, tag):
    query = parse(text, HOST)
    assert (query.words, query.tag, query.image_words) == (words, tag, ())
    assert len(query.words) <= MAX_WORDS
    assert query.reference is None


@pytest.mark.parametrize(
    ("text", "image", "tag"),
    [
        ("api:1.4", ("api",), "1.4"),
        (":1.4", (), "1.4"),
        ("Shop api:1", ("shop", "api"), "1"),
        ("api:", ("api",), ""),
    ],
)
def test_a_colon_parts_the_image_from_the_tag(text, image, tag):
    query = parse(text, HOST)
    assert (query.image_words, query.words, query.tag) == (image, image, tag)
    assert query.reference is None


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("group/project", "group/project"),
        (f"{HOST}/group/app:1.0", "group/app:1.0"),
        (f"docker pull {HOST}/group/app:1.0", "group/app:1.0"),
        (f"group/app@{DIGEST}", f"group/app@{DIGEST}"),
        (f"helm pull oci://{HOST}/group/chart --version 1+2", "group/chart:1_2"),
    ],
)
def test_a_whole_reference_is_known_as_one(text, reference):
    assert str(parse(text, HOST).reference) == reference


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (DIGEST, DIGEST),
        (DIGEST.upper(), DIGEST),
        (f"@{DIGEST}", DIGEST),
        (HEX, DIGEST),
        (f"1.0: digest: {DIGEST} size: 1234", DIGEST),
        (f"Digest: {DIGEST}", DIGEST),
        ("0123456", "sha256:0123456"),
        ("sha512:abcdef0", "sha512:abcdef0"),
        ("ABCDEF0", "sha256:abcdef0"),
        ("abcdef", ""),
        ("abcdefg", ""),
    ],
)
def test_seven_hex_digits_and_more_may_be_a_digest(text, digest):
    query = parse(text, HOST)
    assert query.digest == digest
    # A commit is a usual tag.
    assert query.tag == ("" if ":" in text else text)


def test_a_reference_of_another_registry_says_so_and_may_be_one_of_a_mirror():
    query = parse("docker.io/library/nginx:1", HOST)
    assert "docker.io" in query.other_registry_message
    assert str(query.reference) == "docker.io/library/nginx:1"
    assert (query.words, query.tag) == (("docker.io/library/nginx",), "1")


def test_a_host_with_a_port_can_be_no_path():
    query = parse("localhost:5001/library/nginx:1", HOST)
    assert "localhost:5001" in query.other_registry_message
    assert (query.words, query.tag, query.reference) == ((), "", None)


def test_nothing_is_looked_for_without_a_text_and_a_long_one_is_refused():
    assert parse(" \x00 ", HOST).text == ""
    assert parse("a" * MAX_LENGTH, HOST).words
    with pytest.raises(Invalid, match="255 characters at most"):
        parse("a" * (MAX_LENGTH + 1), HOST)


def test_a_reference_may_be_longer_than_words():
    """The longest that there are come from a page's own copy button."""
    reference = f"{'a/' * 120}app:{'v' * 128}"
    query = parse(f"docker pull {HOST}/{reference}", HOST)
    assert str(query.reference) == reference
