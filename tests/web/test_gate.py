"""The gate: who may push or delete what, before the registry hears of it."""

from __future__ import annotations

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
from tests.support.gate_requests import (
    APP,
    TROUBLES,
    ask,
    assert_passes,
    assert_refused,
    bearer,
    holds,
)
from tests.web.support import digest

# -- immutable -------------------------------------------------------------------


@pytest.mark.parametrize("who", ["dev", "maintainer", "owner", "admin"])
def test_an_immutable_tag_is_created_and_then_refused_to_everyone(gated_site, registry, who):
    assert_passes(ask(gated_site, "PUT", "v1", who))
    holds(registry, {"v1": "a"})
    assert_refused(ask(gated_site, "PUT", "v1", who), "tag v1 is immutable in acme/app")
    if who != "dev":
        assert_refused(ask(gated_site, "DELETE", "v1", who), "tag v1 is immutable in acme/app")
    image = f"{APP}/web/api"
    refused = ask(gated_site, "PUT", "v1", who, image)
    assert_refused(refused, "tag v1 is immutable in acme/app/web/api")


def test_a_tag_that_no_rule_covers_costs_the_registry_no_question(gated_site, registry):
    holds(registry, {"main": "a"})
    for method in ("PUT", "DELETE"):
        assert_passes(ask(gated_site, method, "main"))
        assert_passes(ask(gated_site, method, "v1", "admin", "acme/free"))
        assert_passes(ask(gated_site, method, "v1", "admin", "nobody/owns/it"))
    assert_passes(ask(gated_site, "PUT", digest("a")))
    assert registry.asked == []


def test_deleting_an_immutable_tag_that_is_not_there_is_left_to_the_registry(gated_site):
    assert_passes(ask(gated_site, "DELETE", "v1"))
    assert gated_site.rows(TagClaim) == []


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("reference", ["v1", digest("a")])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_where_the_registry_does_not_tell_nothing_passes(
    gated_site, registry, trouble, method, reference
):
    registry.answer = trouble
    answer = ask(gated_site, method, reference)
    if (method, reference) == ("PUT", digest("a")):
        assert_passes(answer)  # changes no tag
    else:
        words = "the registry does not tell the gate whether the tag exists: try again"
        assert_refused(answer, words, 503)
        assert gated_site.rows(TagClaim) == []


# -- protected -------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_protected_tag_is_for_its_role_and_those_above(gated_site, registry, method):
    for who in ("maintainer", "owner", "admin"):
        assert_passes(ask(gated_site, method, "latest", who))
    if method == "PUT":
        words = "tag latest is protected in acme/app: push needs Maintainer"
        assert_refused(ask(gated_site, method, "latest", "dev"), words)
    assert registry.asked == []


@pytest.mark.parametrize(("method", "action"), [("PUT", "push"), ("DELETE", "delete")])
def test_a_token_does_not_outlive_the_permission_behind_it(gated_site, registry, method, action):
    words = f"you no longer have permission to {action} in acme/app"
    for who in ("stranger", "nobody", ""):
        assert_refused(ask(gated_site, method, "main", who), words)
    gated_site.change(User, {"is_blocked": True}, username="maintainer")
    assert_refused(ask(gated_site, method, "main", "maintainer"), words)
    if method == "DELETE":
        assert_refused(ask(gated_site, method, "main", "dev"), words)
    assert registry.asked == []


def test_the_role_is_the_one_of_now(gated_site):
    gated_site.change(User, {"is_blocked": True}, username="owner")
    assert ask(gated_site, "PUT", "latest", "owner").status_code == 403


def test_a_deploy_token_counts_as_maintainer_where_it_belongs_until_it_ends(gated_site):
    inside, _ = gated_site.deploy_token("acme", "write_registry", name="group")
    gated_site.project("other/place")
    outside, _ = gated_site.deploy_token("other", "write_registry", name="other")
    assert_passes(ask(gated_site, "PUT", "latest", inside))
    assert ask(gated_site, "PUT", "latest", outside).status_code == 403
    gated_site.change(DeployToken, {"revoked_at": utc_now()}, username=inside)
    assert ask(gated_site, "PUT", "latest", inside).status_code == 403


# -- who asks --------------------------------------------------------------------


def test_without_a_token_for_it_the_answer_is_the_registrys_challenge(gated_site):
    realm = gated_site.app.config["SETTINGS"].realm
    scopes = {"PUT": "pull,push", "DELETE": "delete"}
    for method, actions in scopes.items():
        challenge = f'Bearer realm="{realm}",service="registry",'
        challenge += f'scope="repository:{APP}:{actions}"'
        cases = {
            "": {"Authorization": ""},
            ',error="invalid_token"': {"token": "x.y.z"},
            ',error="insufficient_scope"': {"token": bearer(gated_site, "dev", actions=("pull",))},
        }
        for error, given in cases.items():
            answer = ask(gated_site, method, "main", **given)
            assert_refused(answer, "authentication required", 401)
            assert answer.headers["WWW-Authenticate"] == challenge + error
    other = bearer(gated_site, "dev", "acme/free")
    assert ask(gated_site, "PUT", "v1", token=other).status_code == 401


def test_basic_credentials_and_cookies_prove_nothing(gated_site):
    answer = ask(gated_site, "PUT", "v1", Authorization="Basic b3duZXI6eA==")
    assert answer.status_code == 401
    browser = gated_site.browser("owner")
    told = {"X-Original-Method": "PUT", "X-Original-URI": f"/v2/{APP}/manifests/v1"}
    answer = browser.get("/gate/manifest", headers=told)
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_tags_of_the_trash_are_none_of_a_clients_business(gated_site):
    gated_site.member("acme/free", "owner", "owner")
    for method in ("PUT", "DELETE"):
        refused = ask(gated_site, method, "_bin.0123456789abcdef", "owner", "acme/free")
        assert_refused(refused, "clients can't push or delete tags in the trash")
    assert_passes(ask(gated_site, "PUT", "_bin.0123456789abcdef", OWN_SUBJECT, "acme/free"))


def test_our_own_calls_pass_because_their_plan_was_checked(gated_site, registry):
    holds(registry, {"v1": "a"})
    assert_passes(ask(gated_site, "DELETE", digest("a"), OWN_SUBJECT))
    assert_passes(ask(gated_site, "PUT", "v1", OWN_SUBJECT))


def test_whatever_method_the_proxy_asks_by_the_original_one_counts(gated_site, registry):
    holds(registry, {"v1": "a"})
    headers = {"X-Forwarded-Method": "PUT", "X-Forwarded-Uri": f"/v2/{APP}/manifests/v1"}
    headers["Authorization"] = f"Bearer {bearer(gated_site, 'dev')}"
    client = gated_site.app.test_client()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        answer = client.open("/gate/manifest", method=method, headers=headers)
        assert answer.status_code == 403, method
    headers["X-Forwarded-Method"] = "GET"
    assert_passes(client.get("/gate/manifest", headers=headers))
    answer = ask(gated_site, "GET", "v1", **{"X-Forwarded-Uri": "/", "X-Forwarded-Method": "GET"})
    assert "names two" in answer.headers["X-Gate-Message"]


def test_a_tricky_address_is_refused_in_the_registrys_form(gated_site):
    answer = ask(gated_site, "PUT", "v1", repository="acme/free/../app")
    assert_refused(answer, "the gate takes plain addresses of manifests only")


def test_it_costs_three_queries_unless_an_immutable_rule_applies(gated_site):
    ask(gated_site, "PUT", "main")  # notes that the gate is in use
    gated_site.member("acme/free", "dev", "developer")
    gated_site.change(ProtectionRule, {"tag_pattern": "other"}, tag_pattern="latest")
    costs = {"main": ("dev", APP), "v1": ("dev", "acme/free")}
    for tag, (who, repository) in costs.items():
        with gated_site.statements() as statements:
            assert_passes(ask(gated_site, "PUT", tag, who, repository))
        assert len(statements) <= 3, statements
    gated_site.change(ProtectionRule, {"tag_pattern": "nothing"})
    with gated_site.statements() as statements:
        assert_passes(ask(gated_site, "PUT", "v1", repository="acme/free"))
    assert len(statements) == 3


# -- why? ------------------------------------------------------------------------


def test_a_refusal_is_where_people_look_for_why_they_were_denied(gated_site):
    assert ask(gated_site, "PUT", "latest", repository=f"{APP}/web").status_code == 403
    gated_site.app.extensions["decision_log"].flush()
    words = "tag latest is protected in acme/app/web: push needs Maintainer"
    assert words in gated_site.browser("dev").get("/-/decisions").text
    assert words in gated_site.browser("maintainer").get(f"/{APP}/-/decisions").text
    assert words not in gated_site.browser("stranger").get("/-/decisions").text


def test_a_rule_for_other_images_costs_the_registry_no_question(gated_site, registry):
    gated_site.change(ProtectionRule, {"image_pattern": "web/*"})
    holds(registry, {"v1": "a"})
    for method, reference in (("PUT", "v1"), ("DELETE", "v1"), ("DELETE", digest("a"))):
        assert_passes(ask(gated_site, method, reference))
        assert_passes(ask(gated_site, method, reference, repository=f"{APP}/api"))
    assert registry.asked == []
    assert ask(gated_site, "PUT", "v1", repository=f"{APP}/web/api").status_code == 403


# -- is it there? ----------------------------------------------------------------


def test_administrators_see_when_the_gate_was_last_asked(gated_site):
    browser = gated_site.browser("admin")
    assert "not in use" in browser.get("/-/admin").text
    assert ask(gated_site, "PUT", "main", token="x.y.z").status_code == 401
    assert gated_site.rows(Heartbeat, name=GATE_ASKED) == []  # anybody can send that
    gated_site.app.extensions["gate_in_use"] = GateUsage()
    assert_passes(ask(gated_site, "PUT", "main"))
    text = browser.get("/-/admin").text
    assert re.search(r"Gate for protected tags</dt>\s*<dd>\s*asked <time", text)
    assert "Set REGISTRY_UI_GATE=yes" in text
