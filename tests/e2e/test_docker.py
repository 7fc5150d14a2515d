"""The docker CLI with a real dockerd: issue 2, "Tests that must be there"."""

from __future__ import annotations

import re

import pytest

from registry_ui.demo.images import sha256
from tests.support.engines import Command, Docker, docker
from tests.support.stack import ADMIN
from tests.web.support import PASSWORD

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

WRONG = "The user name, password or access token is wrong."
DENIED = "denied: requested access to the resource is denied"


@pytest.fixture(scope="module")
def daemon():
    with docker() as running:
        yield running


@pytest.fixture
def sign_in(stack, daemon, host):
    """Return a client in which a user has signed in with an access token."""

    def make(username: str, *scopes: str) -> Command:
        client = daemon.person()
        token = stack.fill.access_token(username, *(scopes or ("write_registry",)))
        client.works("login", host, "--username", username, "--password-stdin", given=token)
        return client

    return make


def made(daemon: Docker, name: str) -> str:
    """Make a local image of that name, unlike any other."""
    daemon.make_image(name, name)
    return name


def pull_afresh(client: Command, name: str) -> str:
    """Forget the local image and pull it; return its digest."""
    client("image", "rm", "--force", name)
    client.works("pull", "--quiet", name)
    listed = client.works("image", "inspect", "--format", "{{index .RepoDigests 0}}", name)
    return listed.strip().partition("@")[2]


@pytest.mark.parametrize("with_what", ["password", "access token"])
def test_login_takes_the_password_and_an_access_token(stack, daemon, host, with_what):
    user = stack.developer(stack.place())
    is_token = with_what == "access token"
    secret = stack.fill.access_token(user, "read_registry") if is_token else PASSWORD
    client = daemon.person()
    done = client.works("login", host, "--username", user, "--password-stdin", given=secret)
    assert "Login Succeeded" in done


def test_a_wrong_password_is_refused_in_our_words(stack, daemon, host):
    user = stack.developer(stack.place())
    client = daemon.person()
    complaint = client.fails(
        "login", host, "--username", user, "--password-stdin", given="not the password"
    )
    assert f"unauthorized: {WRONG}" in complaint
    assert not (client.home / "config.json").exists()


def test_what_one_pushes_another_pulls(stack, daemon, host, sign_in):
    project = stack.place()
    name = made(daemon, f"{host}/{project}/deep/below/app:1.0")
    pushed = sign_in(stack.developer(project)).works("push", name)
    stack.wait_for_tags(project, "deep/below/app", {"1.0"})
    digest = stack.tags(project, "deep/below/app")["1.0"]["digest"]
    assert digest in pushed
    stack.fill.user(f"{stack.developer(project)}-reader")
    stack.fill.member(project, f"{stack.developer(project)}-reader", "reporter")
    reader = sign_in(f"{stack.developer(project)}-reader", "read_registry")
    assert pull_afresh(reader, name) == digest
    content = reader.works("image", "inspect", "--format", "{{.Size}}", name)
    assert int(content) == len(name)


def test_the_root_image_of_a_project_is_pushed_and_pulled(stack, daemon, host, sign_in):
    project = stack.place()
    name = made(daemon, f"{host}/{project}:latest")
    client = sign_in(stack.developer(project))
    client.works("push", name)
    stack.until(lambda: stack.api(f"projects/{project}/-/images").json()["images"])
    assert pull_afresh(client, name).startswith("sha256:")


def test_a_pull_is_counted_once_for_image_and_tag(stack, daemon, host, sign_in):
    # Two images: a daemon that still holds a manifest only looks (HEAD) whether it is current.
    project = stack.place()
    client = sign_in(stack.developer(project))
    for tag in ("1.0", "2.0"):
        client.works("push", made(daemon, f"{host}/{project}/app:{tag}"))
    stack.wait_for_tags(project, "app", {"1.0", "2.0"})
    for tag in ("1.0", "2.0"):
        pull_afresh(client, f"{host}/{project}/app:{tag}")

    def counts() -> list[int]:
        return [tag["pull_count"] for tag in stack.tags(project, "app").values()]

    stack.until(lambda: min(counts()) >= 1)
    (image,) = stack.api(f"projects/{project}/-/images").json()["images"]
    assert (image["pull_count"], counts()) == (2, [1, 1])


@pytest.mark.parametrize("role", ["guest", "reporter", ""])
def test_who_may_not_push_is_denied_by_the_registry(stack, daemon, host, sign_in, role):
    project = stack.place("public")
    user = f"{stack.developer(project)}-{role or 'stranger'}"
    stack.fill.user(user)
    if role:
        stack.fill.member(project, user, role)
    name = made(daemon, f"{host}/{project}/app:1.0")
    assert DENIED in sign_in(user).fails("push", name)
    assert stack.tags(project, "app") == {}


def test_an_access_token_that_only_reads_does_not_push(stack, daemon, host, sign_in):
    project = stack.place()
    name = made(daemon, f"{host}/{project}/app:1.0")
    client = sign_in(stack.developer(project), "read_registry")
    assert DENIED in client.fails("push", name)


def test_a_name_that_no_project_owns_takes_no_push(stack, daemon, host, sign_in):
    project = stack.place()
    beside = project.rpartition("/")[0] + "/nowhere/app"
    name = made(daemon, f"{host}/{beside}:1.0")
    assert DENIED in sign_in(stack.developer(project)).fails("push", name)


def test_after_logout_a_private_image_cannot_be_pulled(stack, daemon, host, sign_in):
    project = stack.place()
    name = made(daemon, f"{host}/{project}/app:1.0")
    client = sign_in(stack.developer(project))
    client.works("push", name)
    pull_afresh(client, name)
    client.works("logout", host)
    client("image", "rm", "--force", name)
    assert "denied" in client.fails("pull", name)


@pytest.mark.parametrize("there", [True, False], ids=["private", "never pushed"])
def test_a_stranger_gets_one_answer_for_what_is_private_and_what_is_not_there(
    stack, daemon, host, sign_in, there
):
    project = stack.place()
    name = made(daemon, f"{host}/{project}/app:1.0")
    if there:
        sign_in(stack.developer(project)).works("push", name)
    stack.fill.user(f"{stack.developer(project)}-stranger")
    stranger = sign_in(f"{stack.developer(project)}-stranger")
    stranger("image", "rm", "--force", name)
    complaint = stranger.fails("pull", name).replace(project, "PROJECT")
    assert f"pull access denied for {host}/PROJECT/app" in complaint


@pytest.mark.parametrize(("visibility", "taken"), [("public", True), ("internal", False)])
def test_without_signing_in_only_public_images_are_pulled(
    stack, daemon, host, sign_in, visibility, taken
):
    project = stack.place(visibility)
    name = made(daemon, f"{host}/{project}/app:1.0")
    sign_in(stack.developer(project)).works("push", name)
    anyone = daemon.person()
    anyone("image", "rm", "--force", name)
    assert (anyone("pull", name).returncode == 0) == taken


def test_a_tag_deleted_on_the_page_leaves_its_sibling_to_pull(stack, daemon, host, sign_in):
    project = stack.place()
    name = made(daemon, f"{host}/{project}/app:1.0")
    client = sign_in(stack.developer(project))
    client.works("tag", name, f"{host}/{project}/app:latest")
    for tag in ("1.0", "latest"):
        client.works("push", f"{host}/{project}/app:{tag}")
    stack.wait_for_tags(project, "app", {"1.0", "latest"})
    page = f"/{project}/-/images/app/-/tags/latest/-/delete"
    assert stack.site(ADMIN).press(page, "/-/delete").status == 200
    client("image", "rm", "--force", f"{host}/{project}/app:latest")
    assert "not found" in client.fails("pull", f"{host}/{project}/app:latest")
    assert pull_afresh(client, name) == stack.tags(project, "app")["1.0"]["digest"]


def test_an_image_pulls_by_digest_as_the_page_says(stack, daemon, host, sign_in):
    project = stack.place()
    name = made(daemon, f"{host}/{project}/app:1.0")
    client = sign_in(stack.developer(project))
    client.works("push", name)
    stack.wait_for_tags(project, "app", {"1.0"})
    page = stack.site(stack.developer(project)).get(f"/{project}/-/images/app/-/tags/1.0")
    (command,) = {text for text in page.texts["code"] if re.match("docker pull .*@sha256:", text)}
    docker_word, pull_word, reference = command.split()
    assert (docker_word, pull_word) == ("docker", "pull")
    client("image", "rm", "--force", name)
    client.works("pull", reference)
    assert len(reference.partition("@")[2]) == len(sha256(b""))
