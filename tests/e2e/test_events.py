"""From `docker push` to the page, and not one event lost: issue 2, "Holds when"."""

from __future__ import annotations

import re
import threading
import time
from typing import Self

import pytest
import requests

from registry_ui.demo.images import Manifest, Step, image
from registry_ui.demo.push import RegistryError
from registry_ui.demo.site import image_page
from registry_ui.names import is_trash_tag
from tests.support.processes import until
from tests.support.stack import ADMIN, Client, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

TOKEN_PAGE = "/-/admin/registry-token"
#: Five pushes a second.
PACE = 0.2


def numbered(number: int) -> Manifest:
    """An image without layers; each number is another digest."""
    return image([Step(f"LABEL number={number}")])


class SteadyPusher(threading.Thread):
    """Pushes five tags a second, one after the other; what fails is tried again, as by a person."""

    def __init__(self, client: Client, repository: str) -> None:
        super().__init__(name="pusher")
        self.client, self.repository = client, repository
        self.pushed: list[str] = []
        self.failures = 0
        self._enough = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self.join(60)

    def run(self) -> None:
        while not self._enough.is_set():
            begun = time.monotonic()
            number = len(self.pushed)
            try:
                self.client.put(self.repository, f"t{number}", numbered(number))
                self.pushed.append(f"t{number}")
            except RegistryError:
                self.failures += 1
            self._enough.wait(max(0.0, begun + PACE - time.monotonic()))

    def push_more(self, count: int) -> None:
        """Wait until so many more are pushed."""
        goal = len(self.pushed) + count
        until(lambda: len(self.pushed) >= goal, 60, f"{count} more pushes")


def secret_on(page) -> str:
    """The registry token that a page reveals."""
    assert page.status == 200, page.reason
    (secret,) = {text for text in page.texts["code"] if re.fullmatch(r"rt_\S{40,}", text)}
    return secret


def reset(stack: Stack) -> str:
    """Reset the registry token through the page; return the new one."""
    return secret_on(stack.site(ADMIN).press(TOKEN_PAGE, "/reset"))


def deliver(stack: Stack, token: str) -> int:
    """Post an envelope without events, as the registry would with this token."""
    answer = requests.post(
        stack.config.events_url,
        json={"events": []},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    return answer.status_code


@pytest.mark.parametrize("name", ["", "app", "a/b/c/app"], ids=["root", "one", "four"])
def test_a_push_shows_up_on_the_project_page_by_itself(stack, name):
    project = stack.place()
    person, client = stack.site(stack.developer(project)), stack.client(stack.developer(project))
    address = image_page(project, name)
    assert address not in person.get(f"/{project}").links
    client.put(f"{project}/{name}".rstrip("/"), "1.0", numbered(1))
    stack.until(lambda: address in person.get(f"/{project}").links)
    page = person.get(image_page(project, name, "1.0"))
    assert numbered(1).digest in page.body
    assert stack.developer(project) in page.body


@pytest.mark.both_databases
def test_the_token_is_reset_under_five_pushes_a_second_and_no_tag_is_lost(stack):
    project = stack.place()
    client = stack.client(stack.developer(project))
    old = secret_on(stack.site(ADMIN).press(TOKEN_PAGE, "/reveal"))
    with SteadyPusher(client, f"{project}/app") as pusher:
        pusher.push_more(10)
        new = reset(stack)
        assert new != old
        pusher.push_more(5)
        # The registry still sends the old one, and is heard.
        stack.wait_for_tags(project, "app", set(pusher.pushed))
        assert "still valid" in stack.site(ADMIN).get(TOKEN_PAGE).body
        stack.write_registry_files(new)
        stack.stop("registry")
        stack.start("registry")
        pusher.push_more(10)
    assert len(pusher.pushed) >= 25
    stack.wait_for_tags(project, "app", set(pusher.pushed))
    found = stack.tags(project, "app")
    assert {tag: found[tag]["digest"] for tag in pusher.pushed} == {
        f"t{number}": numbered(number).digest for number in range(len(pusher.pushed))
    }
    assert set(found) == set(pusher.pushed)
    assert deliver(stack, old) == 401
    assert deliver(stack, new) == 202
    assert "still valid" not in stack.site(ADMIN).get(TOKEN_PAGE).body


def test_a_revoked_token_is_refused_at_once_and_the_refusal_is_on_the_page(stack):
    old = secret_on(stack.site(ADMIN).press(TOKEN_PAGE, "/reveal"))
    new = reset(stack)
    assert deliver(stack, old) == 202
    page = stack.site(ADMIN).press(TOKEN_PAGE, "/revoke-previous")
    assert page.status == 200
    assert deliver(stack, old) == 401
    assert "127.0.0.1" in stack.site(ADMIN).get(TOKEN_PAGE).body
    stack.write_registry_files(new)
    stack.stop("registry")
    stack.start("registry")
    project = stack.place()
    stack.client(stack.developer(project)).put(f"{project}/app", "1.0", numbered(1))
    stack.wait_for_tags(project, "app", {"1.0"})


@pytest.mark.both_databases
def test_events_that_the_registry_lost_in_its_restart_are_made_up_for(stack):
    """What waits in its memory dies with it: then the first new event has all compared."""
    project = stack.place()
    client = stack.client(stack.developer(project))
    client.put(f"{project}/app", "before", numbered(0))
    stack.wait_for_tags(project, "app", {"before"})
    stack.write_registry_files(reset(stack))
    stack.stop("web")
    for number in range(3):
        client.put(f"{project}/app", f"lost{number}", numbered(number))
    stack.kill("registry")
    stack.start("registry", "web")
    client.put(f"{project}/other", "after", numbered(9))
    stack.wait_for_tags(project, "other", {"after"})
    stack.wait_for_tags(project, "app", {"before", "lost0", "lost1", "lost2"})


def test_pushes_while_nobody_receives_are_told_later(stack):
    project = stack.place()
    client = stack.client(stack.developer(project))
    client.put(f"{project}/app", "t", numbered(0))  # the bearer token of this one lasts
    stack.stop("web")
    tags = {f"t{number}" for number in range(8)}
    for number in range(8):
        client.put(f"{project}/app", f"t{number}", numbered(number))
    stack.start("web")
    stack.wait_for_tags(project, "app", tags)
    # Not only found by a reconcile: told, with the name of who pushed.
    told = dict.fromkeys(tags | {"t"}, stack.developer(project))
    stack.until(
        lambda: told == {n: tag["pushed_by"] for n, tag in stack.tags(project, "app").items()}
    )


@pytest.mark.both_databases
def test_a_worker_killed_while_events_come_loses_none_and_counts_none_twice(stack):
    project = stack.place()
    client = stack.client(stack.developer(project))
    with SteadyPusher(client, f"{project}/app") as pusher:
        for _ in range(2):
            pusher.push_more(4)
            stack.kill("worker")
            pusher.push_more(4)
            stack.start("worker")
            pusher.push_more(1)
    pulls = 6
    for _ in range(pulls):
        client.pull(f"{project}/app", "t0")
    stack.wait_for_tags(project, "app", set(pusher.pushed))
    stack.until(lambda: stack.tags(project, "app")["t0"]["pull_count"] >= pulls)
    assert set(stack.tags(project, "app")) == set(pusher.pushed)
    assert stack.tags(project, "app")["t0"]["pull_count"] == pulls


@pytest.mark.both_databases
def test_pages_killed_under_pushes_lose_none(stack):
    project = stack.place()
    client = stack.client(stack.developer(project))
    with SteadyPusher(client, f"{project}/app") as pusher:
        pusher.push_more(4)
        stack.kill("web")
        pusher.push_more(4)
        stack.start("web")
        pusher.push_more(4)
    stack.wait_for_tags(project, "app", set(pusher.pushed))


def test_a_tag_deleted_on_the_page_is_gone_from_the_index_and_the_registry(stack):
    project = stack.place()
    developer = stack.developer(project)
    stack.fill.user(f"{developer}-boss")
    stack.fill.member(project, f"{developer}-boss", "maintainer")
    client = stack.client(developer)
    for tag in ("1.0", "latest"):
        client.put(f"{project}/app", tag, numbered(1))
    stack.wait_for_tags(project, "app", {"1.0", "latest"})
    address = image_page(project, "app", "latest") + "/-/delete"
    assert stack.site(f"{developer}-boss").press(address, "/-/delete").status == 200
    assert [tag for tag in client.tags(f"{project}/app") if not is_trash_tag(tag)] == ["1.0"]
    assert set(stack.tags(project, "app")) == {"1.0"}
    assert client.holds(f"{project}/app", "1.0", numbered(1).digest)


def test_a_tag_deleted_by_another_client_goes_from_the_index_by_its_event(stack):
    project = stack.place()
    client = stack.client(ADMIN, "write_registry", "delete_registry")
    client.put(f"{project}/app", "1.0", numbered(1))
    client.put(f"{project}/app", "2.0", numbered(2))
    stack.wait_for_tags(project, "app", {"1.0", "2.0"})
    client._call("DELETE", f"{project}/app/manifests/{numbered(2).digest}", f"{project}/app", 202)
    stack.until(lambda: set(stack.tags(project, "app")) == {"1.0"})
