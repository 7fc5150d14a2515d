"""A private project is invisible to a stranger by page, token, API and registry."""

from __future__ import annotations

import base64
import json
import re

import pytest
import requests

from registry_ui.demo.images import Step, image
from registry_ui.demo.push import RegistryError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

IMAGE = image([Step("CMD private")])


@pytest.fixture(scope="module")
def private(stack):
    """A private project with an image, and a stranger."""
    project = stack.place()
    stack.client(stack.developer(project)).put(f"{project}/app", "1.0", IMAGE)
    stack.wait_for_tags(project, "app", {"1.0"})
    stack.fill.user(f"{stack.developer(project)}-stranger")
    return project


@pytest.fixture(params=["stranger", "nobody"])
def who(request, stack, private) -> str:
    """Somebody with an account and no role, or somebody without an account."""
    return f"{stack.developer(private)}-stranger" if request.param == "stranger" else ""


def never(private: str) -> str:
    """A path beside the private one that nobody ever made, equally long."""
    return private[:-4] + "shoq"


def neutral(text: str, path: str) -> str:
    """A page without its own address, and without what differs on every answer."""
    for form in (path, path.replace("/", "%2F")):
        text = text.replace(form, "PATH")
    return re.sub(r'name="csrf_token" value="[^"]*"', "CSRF", text)


BELOW = [
    "",
    "/-/images",
    "/-/images/app",
    "/-/images/app/-/rows",
    "/-/images/app/-/rows/1.0",
    "/-/images/app/-/tags/1.0",
    "/-/images/app/-/tags/1.0/-/delete",
    "/-/images/app/-/delete",
    "/-/members",
    "/-/settings",
    "/-/delete",
    "/-/removals/1",
]


def test_every_page_answers_as_if_it_were_not_there(stack, private, who):
    person = stack.site(who)
    differences = []
    for below in BELOW:
        there = person.get(f"/{private}{below}")
        nowhere = person.get(f"/{never(private)}{below}")
        answers = [
            (page.status, neutral(page.body, path))
            for page, path in ((there, private), (nowhere, never(private)))
        ]
        if answers[0] != answers[1] or (private in there.body and who):
            differences.append(below)
        assert there.status == 404 or "/-/sign-in" in there.url
    assert differences == []


def test_no_list_names_it(stack, private, who):
    person = stack.site(who)
    root = private.partition("/")[0]
    for address in ("/", "/?q=shop", f"/?q={root}"):
        assert f"{root}/team" not in person.get(address).body
    assert person.get(f"/{root}").status == 404
    assert person.get(f"/{root}/team").status == 404


def test_the_api_answers_as_if_it_were_not_there(stack, private, who):
    for below in ("", "/-/images", "/-/images/app/-/tags"):
        there = stack.api(f"projects/{private}{below}", who)
        nowhere = stack.api(f"projects/{never(private)}{below}", who)
        assert there.status_code == nowhere.status_code == 404
        assert there.text == nowhere.text
    assert private not in stack.api("projects", who).text


def test_the_token_endpoint_grants_nothing_and_says_no_more(stack, private, who):
    auth = (who, stack.fill.access_token(who, "write_registry")) if who else None
    answers = []
    for path in (private, never(private)):
        scope = f"repository:{path}/app:pull,push,delete"
        query = {"service": "registry", "scope": [scope, "registry:catalog:*"]}
        answer = requests.get(stack.config.realm, params=query, auth=auth, timeout=60)
        payload = answer.json()["token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        answers.append((answer.status_code, claims["access"], answer.json()["scope"]))
    assert answers[0] == answers[1] == (200, [], "")


def test_the_registry_hands_nothing_out(stack, private, who):
    client = stack.client(who)
    for path in (f"{private}/app/tags/list", f"{private}/app/manifests/1.0", "_catalog"):
        assert client.get(path).status_code == 401
    with pytest.raises(RegistryError, match="401"):
        client.put(f"{private}/app", "2.0", IMAGE)
    with pytest.raises(RegistryError, match="401"):
        client.put(f"{never(private)}/app", "2.0", IMAGE)


def test_a_new_member_sees_it_at_once_and_a_removed_one_no_more(stack, private):
    user = f"{stack.developer(private)}-guest"
    stack.fill.user(user)
    person = stack.site(user)
    assert person.get(f"/{private}").status == 404
    owner = stack.site("admin")
    owner.submit(f"/{private}/-/members", {"username": user, "role": "guest"})
    assert person.get(f"/{private}").status == 200
    with pytest.raises(RegistryError, match="401"):
        stack.client(user).pull(f"{private}/app", "1.0")  # a Guest sees and does not pull
    page = owner.get(f"/{private}/-/members")
    (form,) = (f for f in page.forms if f.action.endswith(f"/-/members/{user}"))
    owner._send("POST", form.action, {**form.fields, "remove": "1"})
    assert person.get(f"/{private}").status == 404
