"""A copy from the page of a tag to a pull at the target: in the browser, by skopeo, by docker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from registry_ui.demo.artifacts import attestation, signature, signature_tag
from registry_ui.demo.images import index
from tests.support.browser import window
from tests.support.engines import docker, skopeo
from tests.support.live import tiny

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64")
BOTH = index([AMD, ARM, attestation(AMD), attestation(ARM)])
PROOF = signature(BOTH, "example.test/app")


@pytest.fixture
def places(stack):
    """A project with a signed image, another one, and somebody who is Developer in both."""
    source, target = stack.place(), stack.place()
    somebody = stack.developer(source)
    stack.fill.member(target, somebody, "developer")
    client = stack.client(somebody)
    client.push(f"{source}/app", {"1.2-rc1": BOTH, "other": AMD, signature_tag(BOTH): PROOF})
    stack.wait_for_tags(source, "app", {"1.2-rc1", "other"})
    return source, target, somebody


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_tag_is_promoted_from_its_page_and_pulled_at_the_target(
    stack, browser, places, home, script
):
    source, target, somebody = places
    with window(browser, stack.config.public_url, java_script_enabled=script) as made:
        made.be(stack, somebody)
        made.go(f"/{source}/-/images/app/-/tags/1.2-rc1")
        made.link("Copy or promote…").click()
        made.page.get_by_label("To project").fill("no/such/project")
        made.button("Show the plan").click()
        made.says("There is no such project, or you may not see it.")
        made.page.get_by_label("To project").fill(target)
        made.page.get_by_label("Image").fill("deep/er/app")
        made.page.get_by_label("Tag", exact=True).fill("1.2")
        made.button("Show the plan").click()
        made.says("Nothing has happened yet")
        made.says(signature_tag(BOTH))
        made.button("Copy 1 tag").click()
        made.until_it_says("Done: the registry confirmed every digest.")
        made.link("To the image").click()
        made.link("1.2", exact=True).first.click()
        made.says(f"Copied from {source}/app:1.2-rc1")
        assert [p for p in made.problems if "404" not in p and "422" not in p] == []
    assert stack.tags(target, "deep/er/app")["1.2"]["digest"] == BOTH.digest
    assert pulled_by_skopeo(stack, home, somebody, f"{target}/deep/er/app:1.2") == BOTH.digest


def pulled_by_skopeo(stack, home: Path, username: str, reference: str) -> str:
    """Pull with all platforms by skopeo; return the digest that it found."""
    client, host = skopeo(home / "skopeo"), stack.config.registry_host
    token = stack.fill.access_token(username, "read_registry", name=reference)
    login = ("login", "--tls-verify=false", "--password-stdin", "-u", username, host)
    client.works(*login, given=token)
    layout = home / "pulled"
    client.works(
        *("copy", "--quiet", "--src-tls-verify=false", "--all"),
        *(f"docker://{host}/{reference}", f"oci:{layout}:it"),
    )
    return str(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"])


def test_several_ticked_tags_are_copied_by_one_plan(stack, browser, places):
    source, target, somebody = places
    with window(browser, stack.config.public_url) as made:
        made.be(stack, somebody)
        made.go(f"/{source}/-/images/app")
        made.page.get_by_label("Choose other", exact=True).check()
        made.page.get_by_label("Choose 1.2-rc1", exact=True).check()
        made.button("Copy chosen…").click()
        made.says("2 chosen tags")
        made.page.get_by_label("To project").fill(target)
        made.button("Show the plan").click()
        made.button("Copy 2 tags").click()
        made.until_it_says("Done: the registry confirmed every digest.")
        made.says("2 copied")
        assert made.problems == []
    assert set(stack.tags(target, "app")) == {"1.2-rc1", "other", signature_tag(BOTH)}


def test_what_docker_pushed_docker_pulls_where_it_was_copied_to(stack, places):
    source, target, somebody = places
    host, token = stack.config.registry_host, stack.fill.access_token(somebody, "write_registry")
    with docker() as daemon:
        client = daemon.person()
        client.works("login", host, "--username", somebody, "--password-stdin", given=token)
        name = f"{host}/{source}/made:1.0"
        daemon.make_image(name, name)
        client.works("push", name)
        stack.wait_for_tags(source, "made", {"1.0"})
        digest = stack.tags(source, "made")["1.0"]["digest"]
        copied(stack, token, source, {"image": "made", "tags": ["1.0"], "to_project": target})
        client("image", "rm", "--force", name)
        there = f"{host}/{target}/made:1.0"
        assert digest in client.works("pull", there)


def copied(stack, token: str, source: str, body: dict[str, object]) -> None:
    """Plan and confirm a copy as a program does, and wait for its end."""
    api, headers = f"{stack.config.public_url}/api/v4", {"Authorization": f"Bearer {token}"}
    url = f"{api}/projects/{source}/-/copies"
    plan = requests.post(url, json=body, headers=headers, timeout=60).json()
    one = f"{api}/projects/{plan['project']}/-/copies/{plan['id']}"
    requests.post(f"{one}/confirm", headers=headers, timeout=60).raise_for_status()
    stack.until(
        lambda: requests.get(one, headers=headers, timeout=60).json()["state"] == "done", 60
    )
