"""The API of removals, as a program asks it with an access token."""

from __future__ import annotations

URL = "/api/v4/projects/acme/app/-/removals"


def client(site, user="owner", *scopes, **more):
    """Posts and gets JSON with an access token; more: restriction, restriction_exact."""
    secret = site.access_token(user, *(scopes or ("delete_registry",)), **more)
    headers = {"Authorization": f"Bearer {secret}"}
    test_client = site.app.test_client()
    return lambda url, body=None, method="POST": test_client.open(
        url, method=method, json=body, headers=headers
    )
