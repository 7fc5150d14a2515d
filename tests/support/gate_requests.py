"""Requests to the gate as a proxy sends them, and what its answers have to be."""

from __future__ import annotations

import json

from tests.support.live import signer_of
from tests.unit.hostile_registry import Answer, always
from tests.web.support import digest

APP = "acme/app"
JSON = {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"}
#: Answers of a registry that does not say which tags it has.
TROUBLES = {"breaks": always(500), "forbids": always(403), "says nonsense": always(200)}


def holds(registry, tags: dict[str, str]) -> None:
    """Let the registry have these tags, and what they stand for by letter, in every repository."""

    def answer(asked):
        if asked.path.endswith("/tags/list"):
            return Answer(200, {"tags": list(tags)}, JSON)
        tag = asked.path.rpartition("/")[2]
        if tag in tags:
            return Answer(200, headers={"Docker-Content-Digest": digest(tags[tag])})
        return Answer(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]}, JSON)

    registry.answer = answer


def bearer(site, who, repository=APP, actions=("pull", "push", "delete")):
    """A bearer token as the token endpoint signs it."""
    access = [{"type": "repository", "name": repository, "actions": list(actions)}]
    return signer_of(site.app.config["SETTINGS"]).sign(who, access).token


def ask(site, method, reference, who=None, repository=APP, token=None, **headers):
    """Ask as nginx does, for somebody whose role is just enough unless it is said who."""
    if who is None:
        who = "maintainer" if method == "DELETE" else "dev"
    told = {
        "X-Original-Method": method,
        "X-Original-URI": f"/v2/{repository}/manifests/{reference}",
        "Authorization": f"Bearer {token or bearer(site, who, repository)}",
    }
    return site.app.test_client().get("/gate/manifest", headers={**told, **headers})


def assert_passes(answer):
    assert (answer.status_code, answer.data) == (204, b"")


def assert_refused(answer, words, status=403):
    assert answer.status_code == status, answer.text
    (error,) = answer.json["errors"]
    assert error["message"] == words
    assert answer.headers["X-Gate-Message"] == words
    assert json.loads(f'{{"message":"{words}"}}')
