"""Whatever programs send to the API: a clear refusal, and nothing half-written."""

from __future__ import annotations

import io
import json

import pytest

from registry_ui.models import Copy, GarbageCollection, Move, Removal, User

ALONE = "\ud800"
PROJECT = "/api/v4/projects/acme/app/-"
#: Where something can be asked for, and a body that is good.
GOOD = {
    f"{PROJECT}/removals": {"image": "web", "tags": ["v1"]},
    f"{PROJECT}/copies": {"image": "web", "tags": ["v1"], "to_image": "new"},
    f"{PROJECT}/moves": {"image": "web", "to": "acme/app/new"},
    "/api/v4/registry/garbage-collections": {"dry_run": True},
}
#: What is no text there where one belongs, or no name.
BAD = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"7",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"image":' * 50_000,
    *(
        json.dumps({name: value}).encode()
        for name in ("image", "to", "to_project", "to_image", "to_tag", "dry_run", "tags")
        for value in (7, [], {}, [ALONE], ALONE, "A B", "\0", "x" * 100_000, ["x" * 1000])
    ),
]


@pytest.fixture
def ask(site):
    """Post a body with an administrator's access token."""
    site.user("boss", admin=True)
    site.project("acme/app")
    site.image("acme/app/web", "v1")
    scopes = ("api", "read_registry", "write_registry", "delete_registry")
    headers = {"Authorization": f"Bearer {site.access_token('boss', *scopes)}"}
    client = site.app.test_client()
    client.get("/api/v4/projects", headers=headers)  # its first use is noted
    return lambda url, body: client.post(
        url, data=body, headers=headers, content_type="application/json"
    )


@pytest.mark.parametrize("url", GOOD)
def test_a_body_that_says_nothing_is_refused_in_words(site, ask, url):
    before = site.dump()
    for sent in BAD:
        answer = ask(url, sent)
        assert answer.status_code in {400, 404, 422}, (sent[:40], answer.status_code)
        assert answer.json["error"], sent[:40]
    assert site.dump() == before


@pytest.mark.parametrize("url", [url for url in GOOD if url.startswith(PROJECT)])
def test_one_bad_value_among_good_ones_is_enough(site, ask, url):
    before = site.dump()
    for key, value in GOOD[url].items():
        for bad in (7, {}, ALONE, "\0", [ALONE], [7]):
            if type(bad) is type(value) or not isinstance(bad, str):
                answer = ask(url, json.dumps({**GOOD[url], key: bad}))
                assert answer.status_code in {400, 404, 422}, (key, bad)
    assert site.dump() == before


class HeldBody(io.BytesIO):
    """A body whose end comes after something has happened."""

    def __init__(self, data, meanwhile):
        super().__init__(data)
        self._meanwhile = meanwhile

    def readinto(self, buffer):
        """Let it happen, then give the rest."""
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        return super().readinto(buffer)


@pytest.mark.parametrize("url", GOOD)
def test_a_request_that_is_held_counts_by_what_holds_at_its_end(site, url):
    site.user("boss", admin=True)
    site.project("acme/app")
    site.image("acme/app/web", "v1")
    token = site.access_token("boss", "api", "read_registry", "write_registry", "delete_registry")
    body = json.dumps(GOOD[url]).encode()

    def block():
        site.change(User, {"is_blocked": True}, username="boss")

    answer = site.app.test_client().post(
        url,
        input_stream=HeldBody(body, block),
        content_length=len(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 401, answer.text
    for model in (Removal, Copy, Move, GarbageCollection):
        assert site.rows(model) == []
