"""Every address of the application, found by walking its routes, so that new ones are covered."""

from __future__ import annotations

from tests.web.support import digest

#: The number of an audit entry, as the reports of adoptions have it.
ADOPTION = 1_000_000
#: What the places of an address are filled with. A new kind of place is to be added here.
VALUES = {
    "path": "veiled/private",
    "name": "web/api",
    "tag": "v1",
    "_tag": "v1",
    "digest": digest("a"),
    "username": "guest",
    "token_id": 1,
    "session_id": 1,
    "removal_id": 1,
    "copy_id": 1,
    "adoption_id": ADOPTION,
    "move_id": 1,
    "action": "confirm",
    "collection_id": 1,
    "rule_id": 1,
    "entry_id": 1,
    "policy_id": 1,
    "filename": "app.css",
    "rest": "acme/app/manifests/v1",
}


def routes(site, method, **values):
    """Yield every (endpoint, address) that takes this method, filled with VALUES or with these."""
    urls = site.app.url_map.bind("localhost")
    filling = VALUES | values
    for rule in site.app.url_map.iter_rules():
        if method in rule.methods:
            arguments = {name: filling[name] for name in rule.arguments} | (rule.defaults or {})
            yield rule.endpoint, urls.build(rule.endpoint, arguments, method=method)
