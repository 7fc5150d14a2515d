"""The API of the search."""

from __future__ import annotations

from tests.web.support import PASSWORD, basic

API = "/api/v4/registry/search"


def search(site, q, who="admin", *, secret=PASSWORD, **more):
    """Return what the API of the search finds, as short names by kind."""
    headers = basic(who, secret) if who else {}
    answer = site.app.test_client().get(API, query_string={"q": q, **more}, headers=headers)
    assert answer.status_code == 200, answer.text
    return {
        "namespaces": [hit["path"] for hit in answer.json["namespaces"]],
        "projects": [hit["path"] for hit in answer.json["projects"]],
        "images": [hit["repository"] for hit in answer.json["images"]],
        "tags": [hit["reference"] for hit in answer.json["tags"]],
    }
