"""The grammars of names, tags, digests and references (PROTOCOLS 5), and nothing beside them."""

from __future__ import annotations

import hashlib
import re
import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.names import (
    RESERVED_FIRST_SEGMENTS,
    Digest,
    NameInvalid,
    PlacePath,
    Reference,
    RepositoryName,
    TagName,
    path_component,
    without_trash,
)

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8

# -- strategies: what the grammars allow, written down a second time ---------------

ALNUM = string.ascii_lowercase + string.digits
words = st.text(ALNUM, min_size=1, max_size=6)
separators = st.one_of(st.sampled_from([".", "_", "__"]), st.text("-", min_size=1, max_size=3))


@st.composite
def components(draw: st.DrawFn) -> str:
    text = draw(words)
    for separator in draw(st.lists(separators, max_size=3)):
        text += separator + draw(words)
    return text


names = st.lists(components(), min_size=1, max_size=5).map("/".join).filter(lambda n: len(n) < 256)
tags = st.builds(
    str.__add__,
    st.sampled_from(string.ascii_letters + string.digits + "_"),
    st.text(string.ascii_letters + string.digits + "._-", max_size=127),
)
digests = st.one_of(
    st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__),
    st.text("0123456789abcdef", min_size=128, max_size=128).map("sha512:".__add__),
)
#: Text that is nearly a name: the letters of the grammars, and some beside them.
nearly = st.text("aZ09._-/:@\n\r \0%é²А", max_size=12)


def valid(kind, text):
    try:
        return str(kind(text)) == text
    except NameInvalid:
        return False


# -- repository names --------------------------------------------------------------

NAMES = ["a", "0", "a/b", "a.b", "a_b", "a__b", "a-b", "a---b", "a--b/c.d/e__f", "localhost/a"]
NAMES += ["a" * 255, "/".join(["a"] * 128), "foo/foo/bar", "1/2", "sha256", "a" * 64, "x.y.z/a"]

NO_NAMES = ["", "A", "a/B", "a b", " a", "a ", "/a", "a/", "a//b", "a..b", "a___b", "a._b", "a-_b"]
NO_NAMES += [".a", "a.", "-a", "a-", "_a", "a_", "a/.b", "a/b.", "a/_b", "a:b", "a@b", "a\\b"]
NO_NAMES += ["a\n", "\na", "a\nb", "a\r", "a\0", "a\t", "..", "../a", "a/../b", "a/./b", "a%2fb"]
NO_NAMES += ["á", "\u0430cme", "a²", "a\u200b", "\uff41", "a" * 256, "a/" * 200 + "a"]
NO_NAMES += ["-", "a/-/b", "~a"]


@pytest.mark.parametrize("text", NAMES)
def test_a_name_of_the_grammar_is_one(text):
    assert str(RepositoryName(text)) == text


@pytest.mark.parametrize("text", NO_NAMES)
def test_anything_else_is_none(text):
    with pytest.raises(NameInvalid) as caught:
        RepositoryName(text)
    assert str(caught.value)


@given(names)
def test_every_name_of_the_grammar_passes_and_stays_what_it_is(text):
    name = RepositoryName(text)
    assert str(name) == text
    assert "/".join(name.parts) == text
    assert name.prefixes()[-1] == text
    assert all(text == prefix or text.startswith(prefix + "/") for prefix in name.prefixes())
    assert len(name.prefixes()) == len(name.parts)
    assert all(valid(RepositoryName, prefix) for prefix in name.prefixes())


COMPONENT = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"


@given(st.one_of(nearly, st.text(), names.map(lambda n: n + "\n"), names.map(str.upper)))
def test_what_passes_is_in_the_grammar_and_what_is_in_it_passes(text):
    expected = re.fullmatch(rf"{COMPONENT}(\/{COMPONENT})*", text) and len(text) <= 255
    assert valid(RepositoryName, text) is bool(expected)


@given(names, st.sampled_from(["\n", "\r", "\0", " ", "/", "-", ".", "_", ":", "A", "é"]))
def test_nothing_may_hang_on_to_a_name(text, odd):
    assert not valid(RepositoryName, text + odd)
    assert not valid(RepositoryName, odd + text)


def test_names_are_ordered_as_text():
    texts = ["b", "a/b", "a", "a-b"]
    assert [str(n) for n in sorted(map(RepositoryName, texts))] == sorted(texts)


@pytest.mark.parametrize(
    ("name", "path", "rest"),
    [("a/b/c", "a", "b/c"), ("a/b/c", "a/b", "c"), ("a/b", "a/b", ""), ("a/a", "a", "a")],
)
def test_the_part_of_a_name_below_a_path_is_what_follows_it(name, path, rest):
    assert RepositoryName(name).below(path) == rest


@pytest.mark.parametrize(("name", "path"), [("proj-evil/x", "proj"), ("a", "a/b"), ("ab", "a")])
def test_a_name_lies_below_a_path_by_whole_segments_only(name, path):
    with pytest.raises(NameInvalid):
        RepositoryName(name).below(path)


# -- paths of namespaces and projects -------------------------------------------------


@pytest.mark.parametrize("first", sorted(RESERVED_FIRST_SEGMENTS))
def test_a_reserved_first_segment_can_not_be_had_and_further_down_it_can(first):
    for text in (first, f"{first}/a", f"{first}/a/b"):
        with pytest.raises(NameInvalid, match="reserved"):
            PlacePath(text)
    assert str(PlacePath(f"a/{first}")) == f"a/{first}"
    assert str(PlacePath(f"{first}x")) == f"{first}x"


def test_what_our_addresses_need_is_reserved():
    needed = {"api", "auth", "gate", "healthz", "jwt", "metrics"}
    assert needed | {"readyz", "static", "v1", "v2"} <= RESERVED_FIRST_SEGMENTS


@pytest.mark.parametrize(
    ("text", "restricted"),
    [
        ("docker.io/library/nginx", True),
        ("quay.io", True),
        ("127.0.0.1/a", True),
        ("library", True),
        ("library/nginx", True),
        ("localhost/app", True),
        ("jane.doe", True),
        ("group/my.app", False),
        ("group/library", False),
        ("libraries/nginx", False),
    ],
)
def test_a_first_segment_that_docker_reads_as_a_host_is_restricted(text, restricted):
    assert PlacePath(text).is_restricted is restricted


@pytest.mark.parametrize("text", ["a..b", ".a", "a.", "a/.b", "a._b", "quay.io:443/a", "Quay.io/a"])
def test_a_dot_stands_between_letters_or_digits(text):
    with pytest.raises(NameInvalid):
        PlacePath(text)


@pytest.mark.parametrize("text", NO_NAMES)
def test_a_path_is_a_name(text):
    with pytest.raises(NameInvalid):
        PlacePath(text)


@pytest.mark.parametrize(
    ("text", "parent", "name"), [("a", None, "a"), ("a/b", "a", "b"), ("a/b/c", "a/b", "c")]
)
def test_a_path_knows_its_parent_and_its_own_name(text, parent, name):
    path = PlacePath(text)
    assert (path.parent, path.name) == (parent, name)
    assert path.prefixes() == RepositoryName(text).prefixes()


@given(names)
def test_a_path_is_a_name_whose_first_segment_is_free(text):
    first = text.split("/", 1)[0]
    assert valid(PlacePath, text) is (first not in RESERVED_FIRST_SEGMENTS)


@given(st.one_of(nearly, components()))
def test_one_component_is_one_segment(text):
    expected = re.fullmatch(COMPONENT, text) is not None
    try:
        assert path_component(text) == text
    except NameInvalid:
        assert not expected
    else:
        assert expected


# -- tags --------------------------------------------------------------------------------

TAGS = [
    "a",
    "A",
    "0",
    "_",
    "latest",
    "v1.2.3",
    "1.0-rc_1",
    "_x",
    "a" * 128,
    "a.-_",
    "sha256-ab.sig",
]
NO_TAGS = [
    "",
    ".a",
    "-a",
    "a b",
    "a/b",
    "a:b",
    "a@b",
    "a+b",
    "a\n",
    "\n",
    "a\0",
    "é",
    "²",
    "a" * 129,
]


@pytest.mark.parametrize("text", TAGS)
def test_a_tag_of_the_grammar_is_one(text):
    assert str(TagName(text)) == text


@pytest.mark.parametrize("text", NO_TAGS)
def test_anything_else_is_no_tag(text):
    with pytest.raises(NameInvalid):
        TagName(text)


@given(tags)
def test_every_tag_of_the_grammar_passes(text):
    assert str(TagName(text)) == text
    assert not valid(TagName, text + "\n")


@given(st.one_of(nearly, st.text()))
def test_what_passes_as_a_tag_is_in_the_grammar(text):
    expected = re.fullmatch("[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", text)
    assert valid(TagName, text) is bool(expected)


def test_tags_that_differ_in_case_are_two():
    assert TagName("v2") != TagName("V2")


# -- digests ------------------------------------------------------------------------------

NO_DIGESTS = ["", "sha256:", "sha256:abc", SHA256.upper(), SHA256[:-1], SHA256 + "0", SHA256 + "\n"]
NO_DIGESTS += ["sha256:" + "A" * 64, "sha256:" + "g" * 64, "SHA256:" + "a" * 64, "md5:" + "a" * 32]
NO_DIGESTS += [
    "sha256:" + "a" * 128,
    "sha512:" + "a" * 64,
    "sha384:" + "a" * 96,
    "a" * 64,
    "latest",
]
NO_DIGESTS += ["sha256-" + "a" * 64, " " + SHA256, "sha256+b64:" + "a" * 64, "sha256:" + "²" * 64]


@pytest.mark.parametrize(("text", "algorithm"), [(SHA256, "sha256"), (SHA512, "sha512")])
def test_a_sha256_or_sha512_in_small_letters_is_a_digest(text, algorithm):
    digest = Digest(text)
    assert str(digest) == text
    assert (digest.algorithm, digest.hex) == (algorithm, text.partition(":")[2])
    assert digest.short == "0123456789ab"


@pytest.mark.parametrize("text", NO_DIGESTS)
def test_other_forms_are_none_since_the_registry_breaks_on_them(text):
    with pytest.raises(NameInvalid):
        Digest(text)


@given(st.binary())
def test_the_digest_of_bytes_is_their_sha256(body):
    assert str(Digest.of(body)) == "sha256:" + hashlib.sha256(body).hexdigest()


@given(digests)
def test_every_digest_passes(text):
    assert str(Digest(text)) == text


# -- references -----------------------------------------------------------------------------


@given(names, st.none() | tags, st.none() | digests)
def test_a_reference_stays_what_it_is(name, tag, digest):
    text = name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    if re.fullmatch("[0-9a-f]{64}", name):
        return
    reference = Reference.parse(text)
    assert str(reference) == text
    assert str(reference.name) == name
    assert (str(reference.tag) if reference.tag else None) == tag
    assert (str(reference.digest) if reference.digest else None) == digest


NO_REFERENCES = ["", ":v1", "@" + SHA256, "a:", "a@", "a:v1:v2", "a@b", "a@" + SHA256[:-1], "A:v1"]
NO_REFERENCES += [
    "a:v1\n",
    "a\n:v1",
    f"a:v1@{SHA256}@{SHA256}",
    f"a@{SHA256}:v1",
    "a b:v1",
    "f" * 64,
]
NO_REFERENCES += ["f" * 64 + ":v1", "host:5000/a:v1", "http://a/b:v1", "a:-v1", "a/:v1"]


@pytest.mark.parametrize("text", NO_REFERENCES)
def test_anything_else_is_no_reference(text):
    with pytest.raises(NameInvalid):
        Reference.parse(text)


@given(st.one_of(nearly, st.text()))
def test_parsing_a_reference_raises_nothing_else(text):
    with suppress(NameInvalid):
        assert str(Reference.parse(text)) == text


TRASH = "_bin." + "0123456789abcdef"


@pytest.mark.parametrize(
    ("names", "live"),
    [
        ([], []),
        (["1.0", "_a", "latest"], ["1.0", "_a", "latest"]),
        ([TRASH], []),
        (["1.0", "_bin", TRASH, "_binary", "latest"], ["1.0", "_bin", "_binary", "latest"]),
        (["_bin.", "_bin.0", f"{TRASH}0"], ["_bin.", "_bin.0", f"{TRASH}0"]),
    ],
)
def test_the_tags_of_the_trash_are_left_out_and_no_tag_that_only_looks_like_one(names, live):
    assert sorted(names) == names
    assert without_trash(names) == live
