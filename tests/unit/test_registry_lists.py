"""Lists of tags and repositories from a registry that lies and never ends (PROTOCOLS 4.1)."""

from __future__ import annotations

import gc
import itertools
from contextlib import suppress

import pytest

from registry_ui.distribution import client
from registry_ui.distribution.errors import InvalidRegistryResponse, RegistryUnavailable
from registry_ui.names import RepositoryName
from tests.unit.hostile_registry import Answer, always, hostile_registry

APP = RepositoryName("acme/app")


@pytest.mark.parametrize(
    ("answer", "tags"),
    [
        (
            {"name": "acme/app", "tags": ["v2", "latest", "V2", "v10"]},
            ["V2", "latest", "v10", "v2"],
        ),
        ({"tags": None}, []),
        ({"tags": []}, []),
        ({"tags": ["v1", "v1"]}, ["v1"]),
        ({"tags": ["ok", "", "-x", "a b", "x\n", "a/b", 7, None, ["v"], {}, "y" * 129]}, ["ok"]),
    ],
)
def test_tags_are_sorted_and_those_that_are_none_left_out(asker, hostile, answer, tags):
    hostile.answer = always(200, answer)
    assert asker.tags(APP) == tags


NONSENSE = {
    "nothing": b"",
    "a page": b"<html><body>Sign in</body></html>",
    "a list": b"[]",
    "a word": b'"tags"',
    "an object of something else": b'{"status": "ok"}',
    "half": b'{"tags": ["v1"',
    "tags that are a word": b'{"tags": "v1"}',
    "tags that are a number": b'{"tags": 7}',
    "tags that are an object": b'{"tags": {"v1": 1}}',
    "deep nesting": b'{"tags": ' + b"[" * 100_000,
    "a number without end": b'{"tags": [' + b"9" * 100_000 + b"]}",
    "not UTF-8": b'{"tags": ["\xff"]}',
}


@pytest.fixture
def no_garbage():
    """Let no finalizer run amid the recursion of the parser: it would find no stack left."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage")
@pytest.mark.parametrize("name", NONSENSE)
def test_a_list_of_tags_that_is_none_is_nonsense_and_never_empty(asker, hostile, name):
    hostile.answer = always(200, NONSENSE[name])
    with pytest.raises(InvalidRegistryResponse):
        asker.tags(APP)


@pytest.mark.parametrize(
    "answer",
    [b"<html>", {"repositories": "acme/app"}, {"repositories": 7}, {"repositories": {"a": 1}}, []],
)
def test_a_catalog_that_is_none_is_nonsense(asker, hostile, answer):
    hostile.answer = always(200, answer)
    with pytest.raises(InvalidRegistryResponse):
        list(asker.catalog())


def test_the_catalog_leaves_out_what_is_no_name(asker, hostile):
    names = ["acme/app", "ACME", "../etc", 7, None, ["x"], "", "a" * 300, "library/x"]
    hostile.answer = always(200, {"repositories": names})
    assert [str(name) for name in asker.catalog()] == ["acme/app", "library/x"]


def paged(links, tags):
    """Answer with the pages of a list, each with its Link."""
    pages = itertools.count()

    def answer(_asked):
        number = next(pages)
        link = links[number] if number < len(links) else None
        headers = {"Link": f'<{link}>; rel="next"'} if link else {}
        return Answer(200, {"tags": tags[number : number + 1]}, headers)

    return answer


def test_the_pages_of_a_list_are_followed(asker, hostile):
    path = "/v2/acme/app/tags/list"
    hostile.answer = paged([f"{path}?last=a&n=1", f"{path}?last=b&n=1"], ["a", "b", "c"])
    assert asker.tags(APP) == ["a", "b", "c"]
    assert [asked.path for asked in hostile.asked][1:] == [
        f"{path}?last=a&n=1",
        f"{path}?last=b&n=1",
    ]


def test_of_a_link_only_the_query_counts_and_the_token_goes_nowhere_else(asker, hostile):
    with hostile_registry() as other:
        other.answer = always(200, {"tags": ["evil"]})
        link = f"{other.url}/v2/acme/app/tags/list?last=a"
        hostile.answer = paged([link], ["a", "b"])
        with suppress(InvalidRegistryResponse):
            assert "evil" not in asker.tags(APP)
        assert other.asked == []


@pytest.mark.parametrize(
    "link",
    ["http://[", "//", "", "?", "/v2/secret/other/tags/list?last=x", "javascript:1", "/etc/passwd"],
)
def test_a_link_that_leads_nowhere_is_no_breakdown(asker, hostile, link):
    hostile.answer = paged([link] * 3, ["a", "b", "c", "d"])
    with suppress(InvalidRegistryResponse):
        assert "a" in asker.tags(APP)
    assert all(asked.path.startswith("/v2/acme/app/tags/list") for asked in hostile.asked)


def test_a_page_that_leads_to_itself_ends_the_list(asker, hostile):
    link = '</v2/acme/app/tags/list?last=a>; rel="next"'
    hostile.answer = always(200, {"tags": ["a"]}, {"Link": link})
    assert asker.tags(APP) == ["a"]
    assert len(hostile.asked) == 2


def test_a_list_that_never_ends_is_given_up(asker, hostile, monkeypatch):
    monkeypatch.setattr(client, "MAX_PAGES", 20)
    numbers = itertools.count()

    def answer(_asked):
        number = next(numbers)
        link = f'</v2/acme/app/tags/list?last=t{number}>; rel="next"'
        return Answer(200, {"tags": [f"t{number}"]}, {"Link": link})

    hostile.answer = answer
    with pytest.raises(InvalidRegistryResponse):
        asker.tags(APP)
    assert len(hostile.asked) == 20


def test_a_list_over_the_limit_is_given_up(asker, hostile, monkeypatch):
    monkeypatch.setattr(client, "MAX_LISTING", 1000)
    hostile.answer = always(200, {"tags": [f"tag{n}" for n in range(200)]})
    with pytest.raises(InvalidRegistryResponse):
        asker.tags(APP)


def test_pages_that_lead_in_a_circle_are_no_list(asker, hostile):
    """Half a list, taken for a whole one, would empty the index."""
    path = "/v2/acme/app/tags/list"
    hostile.answer = paged([f"{path}?last={page}" for page in "abab"], list("abcd"))
    with pytest.raises(InvalidRegistryResponse, match="circle"):
        asker.tags(APP)
    assert len(hostile.asked) == 3


@pytest.mark.parametrize("limit", ["TAGS_DEADLINE", "CATALOG_DEADLINE"])
def test_all_pages_together_have_a_deadline(asker, hostile, monkeypatch, limit):
    monkeypatch.setattr(client, limit, 0)
    hostile.answer = always(200, {"tags": ["a"], "repositories": ["a"]})
    with pytest.raises(RegistryUnavailable, match="too long"):
        asker.tags(APP) if limit == "TAGS_DEADLINE" else list(asker.catalog())
    assert len(hostile.asked) <= 1
