"""skopeo: copy, list-tags, inspect, delete; and podman: login, pull."""

from __future__ import annotations

import itertools
import json

import pytest

from registry_ui.demo.artifacts import attestation
from registry_ui.demo.images import index
from tests.support.engines import oci_layout, podman, skopeo
from tests.support.live import tiny
from tests.web.support import PASSWORD

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

ONE, TWO = tiny("one"), tiny("two")
AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64")
BOTH = index([AMD, ARM, attestation(AMD), attestation(ARM)])
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> str:
    home = tmp_path_factory.mktemp("layout")
    return oci_layout(home, {"one": ONE, "two": TWO, "both": BOTH})


@pytest.fixture
def person(stack, host, home):
    """Return a skopeo (or podman) in which a user has signed in with an access token."""

    def make(username: str = "", *scopes: str, program=skopeo):
        client = program(home / f"{next(_numbers)}")
        if username:
            token = stack.fill.access_token(username, *(scopes or ("write_registry",)))
            login = ("login", "--tls-verify=false", "--password-stdin", "-u", username, host)
            client.works(*login, given=token)
        return client

    return make


@pytest.fixture
def filled(stack, host, person, layout):
    """A project in which ``app:1.0`` and ``app:latest`` were pushed, and its developer's skopeo."""
    project = stack.place()
    client = person(stack.developer(project))
    for tag in ("1.0", "latest"):
        copy(client, f"{layout}:one", f"docker://{host}/{project}/app:{tag}")
    stack.wait_for_tags(project, "app", {"1.0", "latest"})
    return project, client


def copy(client, source: str, target: str, *more: str) -> str:
    tls = [f"--{end}-tls-verify=false" for end in ("src", "dest")]
    return client.works("copy", "--quiet", *tls, *more, source, target)


def member(stack, project: str, role: str) -> str:
    user = f"{stack.developer(project)}-{role}"
    stack.fill.user(user)
    stack.fill.member(project, user, role)
    return user


def test_a_copy_into_the_registry_is_in_the_index(stack, filled):
    project, _ = filled
    assert {tag["digest"] for tag in stack.tags(project, "app").values()} == {ONE.digest}
    # A check may find a tag before the event tells of whom it is.
    told = {stack.developer(project)}
    stack.until(lambda: {tag["pushed_by"] for tag in stack.tags(project, "app").values()} == told)


def test_a_multi_platform_image_is_copied_with_all_its_parts(stack, host, person, layout):
    project = stack.place()
    client = person(stack.developer(project))
    copy(client, f"{layout}:both", f"docker://{host}/{project}/app:1.0", "--all")
    stack.wait_for_tags(project, "app", {"1.0"})
    assert stack.tags(project, "app")["1.0"]["digest"] == BOTH.digest
    page = stack.site(stack.developer(project)).get(f"/{project}/-/images/app/-/tags/1.0")
    assert "linux/arm64" in page.body
    assert len(stack.tags(project, "app")) == 1


def test_list_tags_lists_them(filled, host):
    project, client = filled
    listed = client.works("list-tags", "--tls-verify=false", f"docker://{host}/{project}/app")
    assert sorted(json.loads(listed)["Tags"]) == ["1.0", "latest"]


def test_inspect_shows_the_digest(filled, host):
    project, client = filled
    shown = client.works("inspect", "--tls-verify=false", f"docker://{host}/{project}/app:1.0")
    assert json.loads(shown)["Digest"] == ONE.digest


def test_inspect_is_not_counted_as_a_pull_and_a_copy_is(stack, filled, host, tmp_path):
    project, client = filled
    source = f"docker://{host}/{project}/app:1.0"
    copy(client, source, f"dir:{tmp_path / 'copy'}")
    stack.until(lambda: stack.tags(project, "app")["1.0"]["pull_count"] == 1)
    client.works("list-tags", "--tls-verify=false", f"docker://{host}/{project}/app")
    copy(client, source, f"dir:{tmp_path / 'again'}")
    stack.until(lambda: stack.tags(project, "app")["1.0"]["pull_count"] == 2)


def test_a_copy_between_repositories_needs_pull_here_and_push_there(stack, filled, host, person):
    source, owner = filled
    target = stack.place()
    user = stack.developer(target)
    client = person(user)
    origin, place = f"docker://{host}/{source}/app:1.0", f"docker://{host}/{target}/mirror:1.0"
    tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
    assert "authentication required" in client.fails("copy", *tls, origin, place)
    assert "denied: requested access" in owner.fails("copy", *tls, origin, place)
    stack.fill.member(source, user, "reporter")
    copy(client, origin, place)
    stack.wait_for_tags(target, "mirror", {"1.0"})
    assert stack.tags(target, "mirror")["1.0"]["digest"] == ONE.digest


def test_delete_takes_a_digest_with_its_tags_and_the_index_follows(stack, filled, host, person):
    project, client = filled
    copy(client, f"docker://{host}/{project}/app:1.0", f"docker://{host}/{project}/other:1.0")
    maintainer = person(member(stack, project, "maintainer"), "read_registry", "delete_registry")
    maintainer.works("delete", "--tls-verify=false", f"docker://{host}/{project}/app:latest")
    stack.until(lambda: stack.tags(project, "app") == {})
    assert set(stack.tags(project, "other")) == {"1.0"}


@pytest.mark.parametrize(
    ("role", "scopes"),
    [("developer", ("write_registry", "delete_registry")), ("maintainer", ("write_registry",))],
)
def test_delete_needs_the_role_and_the_scope(stack, filled, host, person, role, scopes):
    project, client = filled
    user = stack.developer(project) if role == "developer" else member(stack, project, role)
    target = f"docker://{host}/{project}/app:latest"
    person(user, *scopes).fails("delete", "--tls-verify=false", target)
    listed = client.works("list-tags", "--tls-verify=false", f"docker://{host}/{project}/app")
    assert sorted(json.loads(listed)["Tags"]) == ["1.0", "latest"]
    assert set(stack.tags(project, "app")) == {"1.0", "latest"}


def test_a_private_image_cannot_be_copied_by_anyone(filled, host, person, tmp_path):
    project, _ = filled
    origin = f"docker://{host}/{project}/app:1.0"
    complaint = person().fails("copy", "--src-tls-verify=false", origin, f"dir:{tmp_path / 'c'}")
    assert "authentication required" in complaint


# -- both clients ----------------------------------------------------------------


@pytest.mark.parametrize("program", [skopeo, podman])
@pytest.mark.parametrize("secret", ["not the password", ""], ids=["wrong", "of another"])
def test_login_with_wrong_credentials_is_refused(stack, host, home, program, secret):
    user = stack.developer(stack.place())
    given = secret or stack.fill.access_token(stack.developer(stack.place()), "read_registry")
    login = ("login", "--tls-verify=false", "--password-stdin", "-u", user, host)
    assert "invalid username/password" in program(home).fails(*login, given=given)


@pytest.mark.parametrize("program", [skopeo, podman])
def test_login_takes_the_password(stack, host, home, program):
    user = stack.developer(stack.place())
    login = ("login", "--tls-verify=false", "--password-stdin", "-u", user, host)
    assert "Login Succeeded!" in program(home).works(*login, given=PASSWORD)


# -- podman ----------------------------------------------------------------------


def test_podman_pulls_with_an_access_token_and_after_logout_no_more(stack, filled, host, person):
    project, _ = filled
    name = f"{host}/{project}/app:1.0"
    client = person(member(stack, project, "reporter"), "read_registry", program=podman)
    client.works("pull", "--quiet", "--tls-verify=false", name)
    shown = client.works("image", "inspect", "--format", "{{.Digest}}", name)
    assert shown.strip() == ONE.digest
    client.works("logout", host)
    client.works("image", "rm", "--force", name)
    assert "authentication required" in client.fails("pull", "--tls-verify=false", name)


def test_podman_pulls_a_public_image_without_signing_in(stack, host, person, layout):
    project = stack.place("public")
    developer = person(stack.developer(project))
    copy(developer, f"{layout}:both", f"docker://{host}/{project}/app:1.0", "--all")
    client = person(program=podman)
    client.works("pull", "--quiet", "--tls-verify=false", f"{host}/{project}/app:1.0")


def test_podman_pushes_what_it_tagged(stack, filled, host, person):
    project, _ = filled
    name, target = f"{host}/{project}/app:1.0", f"{host}/{project}/by/podman:2.0"
    client = person(stack.developer(project), program=podman)
    client.works("pull", "--quiet", "--tls-verify=false", name)
    client.works("tag", name, target)
    client.works("push", "--quiet", "--tls-verify=false", target)
    stack.wait_for_tags(project, "by/podman", {"2.0"})


def test_podman_may_not_push_as_a_reporter(stack, filled, host, person):
    project, _ = filled
    name = f"{host}/{project}/app:1.0"
    client = person(member(stack, project, "reporter"), "write_registry", program=podman)
    client.works("pull", "--quiet", "--tls-verify=false", name)
    assert "authentication required" in client.fails("push", "--tls-verify=false", name)
