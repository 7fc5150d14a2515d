"""The gate: who may push or delete what, before the registry hears of it."""

from __future__ import annotations

import json
import re

import pytest

from registry_ui.audit import OWN_SUBJECT
from registry_ui.gate.service import GateUsage
from registry_ui.models import (
    GATE_ASKED,
    DeployToken,
    Heartbeat,
    ProtectionRule,
    TagClaim,
    User,
    utc_now,
)
from tests.support.live import signer_of
from tests.unit.hostile_registry import Answer, always
from tests.web.support import digest

APP = "acme/app"
JSON = {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"}


@pytest.fixture
def acme(served, registry):
    """A project whose v* are immutable and whose latest is for Maintainers; nothing was pushed."""
    served.users("dev", "maintainer", "owner", "stranger")
    served.user("admin", admin=True)
    served.project(APP)
    for name, role in (("dev", "developer"), ("maintainer", "maintainer"), ("owner", "owner")):
        served.member(APP, name, role)
    served.rule(APP, "v*")
    served.rule(APP, "latest", "maintainer")
    served.project("acme/free")
    holds(registry, {})
    return served


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


# -- immutable -------------------------------------------------------------------


@pytest.mark.parametrize("who", ["dev", "maintainer", "owner", "admin"])
def test_an_immutable_tag_is_created_and_then_refused_to_everyone(acme, registry, who):
    assert_passes(ask(acme, "PUT", "v1", who))
    holds(registry, {"v1": "a"})
    assert_refused(ask(acme, "PUT", "v1", who), "tag v1 is immutable in acme/app")
    if who != "dev":
        assert_refused(ask(acme, "DELETE", "v1", who), "tag v1 is immutable in acme/app")
    image = f"{APP}/web/api"
    refused = ask(acme, "PUT", "v1", who, image)
    assert_refused(refused, "tag v1 is immutable in acme/app/web/api")


def test_a_tag_that_no_rule_covers_costs_the_registry_no_question(acme, registry):
    holds(registry, {"main": "a"})
    for method in ("PUT", "DELETE"):
        assert_passes(ask(acme, method, "main"))
        assert_passes(ask(acme, method, "v1", "admin", "acme/free"))
        assert_passes(ask(acme, method, "v1", "admin", "nobody/owns/it"))
    assert_passes(ask(acme, "PUT", digest("a")))
    assert registry.asked == []


def test_deleting_an_immutable_tag_that_is_not_there_is_left_to_the_registry(acme):
    assert_passes(ask(acme, "DELETE", "v1"))
    assert acme.rows(TagClaim) == []


TROUBLES = {"breaks": always(500), "forbids": always(403), "says nonsense": always(200)}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("reference", ["v1", digest("a")])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_where_the_registry_does_not_tell_nothing_passes(
    acme, registry, trouble, method, reference
):
    registry.answer = trouble
    answer = ask(acme, method, reference)
    if (method, reference) == ("PUT", digest("a")):
        assert_passes(answer)  # changes no tag
    else:
        words = "the registry does not tell the gate whether the tag exists: try again"
        assert_refused(answer, words, 503)
        assert acme.rows(TagClaim) == []


# -- protected -------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_protected_tag_is_for_its_role_and_those_above(acme, registry, method):
    for who in ("maintainer", "owner", "admin"):
        assert_passes(ask(acme, method, "latest", who))
    if method == "PUT":
        words = "tag latest is protected in acme/app: push needs Maintainer"
        assert_refused(ask(acme, method, "latest", "dev"), words)
    assert registry.asked == []


@pytest.mark.parametrize(("method", "action"), [("PUT", "push"), ("DELETE", "delete")])
def test_a_token_does_not_outlive_the_permission_behind_it(acme, registry, method, action):
    words = f"you no longer have permission to {action} in acme/app"
    for who in ("stranger", "nobody", ""):
        assert_refused(ask(acme, method, "main", who), words)
    acme.change(User, {"is_blocked": True}, username="maintainer")
    assert_refused(ask(acme, method, "main", "maintainer"), words)
    if method == "DELETE":
        assert_refused(ask(acme, method, "main", "dev"), words)
    assert registry.asked == []


def test_the_role_is_the_one_of_now(acme):
    acme.change(User, {"is_blocked": True}, username="owner")
    assert ask(acme, "PUT", "latest", "owner").status_code == 403


def test_a_deploy_token_counts_as_maintainer_where_it_belongs_until_it_ends(acme):
    inside, _ = acme.deploy_token("acme", "write_registry", name="group")
    acme.project("other/place")
    outside, _ = acme.deploy_token("other", "write_registry", name="other")
    assert_passes(ask(acme, "PUT", "latest", inside))
    assert ask(acme, "PUT", "latest", outside).status_code == 403
    acme.change(DeployToken, {"revoked_at": utc_now()}, username=inside)
    assert ask(acme, "PUT", "latest", inside).status_code == 403


# -- who asks --------------------------------------------------------------------


def test_without_a_token_for_it_the_answer_is_the_registrys_challenge(acme):
    realm = acme.app.config["SETTINGS"].realm
    scopes = {"PUT": "pull,push", "DELETE": "delete"}
    for method, actions in scopes.items():
        challenge = f'Bearer realm="{realm}",service="registry",'
        challenge += f'scope="repository:{APP}:{actions}"'
        cases = {
            "": {"Authorization": ""},
            ',error="invalid_token"': {"token": "x.y.z"},
            ',error="insufficient_scope"': {"token": bearer(acme, "dev", actions=("pull",))},
        }
        for error, given in cases.items():
            answer = ask(acme, method, "main", **given)
            assert_refused(answer, "authentication required", 401)
            assert answer.headers["WWW-Authenticate"] == challenge + error
    other = bearer(acme, "dev", "acme/free")
    assert ask(acme, "PUT", "v1", token=other).status_code == 401


def test_basic_credentials_and_cookies_prove_nothing(acme):
    answer = ask(acme, "PUT", "v1", Authorization="Basic b3duZXI6eA==")
    assert answer.status_code == 401
    browser = acme.browser("owner")
    told = {"X-Original-Method": "PUT", "X-Original-URI": f"/v2/{APP}/manifests/v1"}
    answer = browser.get("/gate/manifest", headers=told)
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_tags_of_the_trash_are_none_of_a_clients_business(acme):
    acme.member("acme/free", "owner", "owner")
    for method in ("PUT", "DELETE"):
        refused = ask(acme, method, "_bin.0123456789abcdef", "owner", "acme/free")
        assert_refused(refused, "clients can't push or delete tags in the trash")
    assert_passes(ask(acme, "PUT", "_bin.0123456789abcdef", OWN_SUBJECT, "acme/free"))


def test_our_own_calls_pass_because_their_plan_was_checked(acme, registry):
    holds(registry, {"v1": "a"})
    assert_passes(ask(acme, "DELETE", digest("a"), OWN_SUBJECT))
    assert_passes(ask(acme, "PUT", "v1", OWN_SUBJECT))


def test_whatever_method_the_proxy_asks_by_the_original_one_counts(acme, registry):
    holds(registry, {"v1": "a"})
    headers = {"X-Forwarded-Method": "PUT", "X-Forwarded-Uri": f"/v2/{APP}/manifests/v1"}
    headers["Authorization"] = f"Bearer {bearer(acme, 'dev')}"
    client = acme.app.test_client()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        answer = client.open("/gate/manifest", method=method, headers=headers)
        assert answer.status_code == 403, method
    headers["X-Forwarded-Method"] = "GET"
    assert_passes(client.get("/gate/manifest", headers=headers))
    answer = ask(acme, "GET", "v1", **{"X-Forwarded-Uri": "/", "X-Forwarded-Method": "GET"})
    assert "names two" in answer.headers["X-Gate-Message"]


def test_a_tricky_address_is_refused_in_the_registrys_form(acme):
    answer = ask(acme, "PUT", "v1", repository="acme/free/../app")
    assert_refused(answer, "the gate takes plain addresses of manifests only")


def test_it_costs_three_queries_unless_an_immutable_rule_applies(acme):
    ask(acme, "PUT", "main")  # notes that the gate is in use
    acme.member("acme/free", "dev", "developer")
    acme.change(ProtectionRule, {"tag_pattern": "other"}, tag_pattern="latest")
    costs = {"main": ("dev", APP), "v1": ("dev", "acme/free")}
    for tag, (who, repository) in costs.items():
        with acme.statements() as statements:
            assert_passes(ask(acme, "PUT", tag, who, repository))
        assert len(statements) <= 3, statements
    acme.change(ProtectionRule, {"tag_pattern": "nothing"})
    with acme.statements() as statements:
        assert_passes(ask(acme, "PUT", "v1", repository="acme/free"))
    assert len(statements) == 3


# -- why? ------------------------------------------------------------------------


def test_a_refusal_is_where_people_look_for_why_they_were_denied(acme):
    assert ask(acme, "PUT", "latest", repository=f"{APP}/web").status_code == 403
    acme.app.extensions["decision_log"].flush()
    words = "tag latest is protected in acme/app/web: push needs Maintainer"
    assert words in acme.browser("dev").get("/-/decisions").text
    assert words in acme.browser("maintainer").get(f"/{APP}/-/decisions").text
    assert words not in acme.browser("stranger").get("/-/decisions").text


def test_a_rule_for_other_images_costs_the_registry_no_question(acme, registry):
    acme.change(ProtectionRule, {"image_pattern": "web/*"})
    holds(registry, {"v1": "a"})
    for method, reference in (("PUT", "v1"), ("DELETE", "v1"), ("DELETE", digest("a"))):
        assert_passes(ask(acme, method, reference))
        assert_passes(ask(acme, method, reference, repository=f"{APP}/api"))
    assert registry.asked == []
    assert ask(acme, "PUT", "v1", repository=f"{APP}/web/api").status_code == 403


# -- is it there? ----------------------------------------------------------------


def test_administrators_see_when_the_gate_was_last_asked(acme):
    browser = acme.browser("admin")
    assert "not in use" in browser.get("/-/admin").text
    assert ask(acme, "PUT", "main", token="x.y.z").status_code == 401
    assert acme.rows(Heartbeat, name=GATE_ASKED) == []  # anybody can send that
    acme.app.extensions["gate_in_use"] = GateUsage()
    assert_passes(ask(acme, "PUT", "main"))
    text = browser.get("/-/admin").text
    assert re.search(r"Gate for protected tags</dt>\s*<dd>\s*asked <time", text)
    assert "Set REGISTRY_UI_GATE=yes" in text
