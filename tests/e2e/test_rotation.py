"""The key that signs changes while people pull and push, and nobody notices: issue 3."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import ge
from typing import Any

import pytest
import requests

from registry_ui.token_auth.keyring import POLL_INTERVAL, KeyRing, RotationRefused
from registry_ui.token_auth.signer import Signer
from tests.support.live import tiny
from tests.support.processes import until
from tests.support.stack import Client, Stack, running
from tests.unit.bearer import header_of

#: How long people pull and push. REGISTRY_UI_TEST_SOAK_SECONDS=120 is the long run.
SECONDS = float(os.environ.get("REGISTRY_UI_TEST_SOAK_SECONDS", "4"))
#: How often each of them does so at least between two changes of the keys.
ROUNDS = 3

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(120 + 2 * SECONDS),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]


@pytest.fixture
def stack(storage, registry_version, tmp_path) -> Iterator[Stack]:
    """A product whose keys may change."""
    with running(tmp_path / "stack", storage, registry_version) as made:
        yield made


@pytest.fixture
def ring(stack) -> KeyRing:
    return KeyRing(stack.config.token_key_file, stack.config.token_certificate_file)


@dataclass
class Crowd:
    """What several people met meanwhile: key and moment of every token, and all failures."""

    tokens: list[tuple[float, str]] = field(default_factory=list, repr=False)
    failures: list[str] = field(default_factory=list)
    failed: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    #: How many rounds each of them has done.
    done: list[int] = field(default_factory=list)

    def fail(self, what: str) -> None:
        self.failures.append(what)
        self.failed.set()

    def go_on(self, seconds: float) -> None:
        """Let them work for so long, and each some rounds; not longer, if one of them fails."""
        goals = [done + ROUNDS for done in self.done]
        self.failed.wait(seconds)
        until(lambda: self.failures or all(map(ge, self.done, goals)), 60, "some rounds of each")
        assert not self.failures, self.failures[0]

    def keys_since(self, moment: float) -> set[str]:
        """The ids of the keys that signed tokens which were asked for since then."""
        return {key for at, key in self.tokens if at >= moment}


def is_everyday(answer: requests.Response, **sent: Any) -> bool:
    """Whether this refusal belongs to any push: to ask first, and to ask for more."""
    if answer.status_code == 404:
        return answer.request.method == "HEAD"  # a blob that is not there yet
    asked_first = "Authorization" not in sent.get("headers", {})
    asks_for_more = 'error="insufficient_scope"' in answer.headers.get("WWW-Authenticate", "")
    return answer.status_code == 401 and (asked_first or asks_for_more)


class Witness(Client):
    """A client that tells a crowd what it is answered."""

    def __init__(self, crowd: Crowd, *arguments: str) -> None:
        super().__init__(*arguments)
        self.crowd = crowd

    def token(self, *arguments: Any) -> str:
        asked_at = time.monotonic()
        token = super().token(*arguments)
        self.crowd.tokens.append((asked_at, header_of(token)["kid"]))
        return token

    def _send(self, method: str, url: str, **more: Any) -> requests.Response:
        answer = super()._send(method, url, **more)
        if not (answer.ok or is_everyday(answer, **more)):
            self.crowd.fail(f"{method} {url}: {answer.status_code} {answer.text}")
        return answer


@contextmanager
def at_work(*people: Any, crowd: Crowd) -> Iterator[None]:
    """Let each do their round again and again, in a thread."""
    crowd.done = [0] * len(people)

    def work(number: int) -> None:
        for round_ in itertools.count():
            if crowd.over.is_set():
                return
            try:
                people[number](round_)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure
                crowd.fail(repr(error))
                return
            crowd.done[number] += 1

    with ThreadPoolExecutor(len(people)) as pool:
        try:
            for number in range(len(people)):
                pool.submit(work, number)
            until(lambda: crowd.failures or min(crowd.done) > 1, 30, "everyone at work")
            yield
        finally:
            crowd.over.set()
    assert not crowd.failures, crowd.failures[0]
    assert min(crowd.done) > 5


class Site:
    """The product of the soak, as its people and its keys see it."""

    def __init__(self, stack: Stack, ring: KeyRing) -> None:
        self.stack, self.ring, self.crowd = stack, ring, Crowd()
        self.project, self.public = stack.place(), stack.place("public")
        self.user = stack.developer(self.project)
        self.secret = stack.fill.access_token(self.user, "write_registry")
        owner = stack.client(stack.developer(self.public))
        owner.put(f"{self.public}/app", "1.0", tiny("public"))

    def client(self, username: str = "", secret: str = "") -> Witness:
        config = self.stack.config
        return Witness(self.crowd, config.registry_url, username, secret, config.public_url)

    def with_one_token(self, repository: str) -> Callable[[int], None]:
        """Somebody whose client keeps its token for all that time."""
        client = self.client(self.user, self.secret)
        return lambda number: push_and_pull(client, f"{self.project}/{repository}", number)

    def with_a_token_for_each(self, repository: str) -> Callable[[int], None]:
        """Somebody, as in pipelines, who begins anew each time."""

        def work(number: int) -> None:
            client = self.client(self.user, self.secret)
            push_and_pull(client, f"{self.project}/{repository}", number)

        return work

    def nobody(self, _number: int) -> None:
        """Pull without an account."""
        self.client().pull(f"{self.public}/app", "1.0")

    def restart_registry(self) -> None:
        """Stop the registry and start it again."""
        self.stack.stop("registry")
        self.stack.start("registry")

    def published(self) -> set[str]:
        """The ids of the keys that everyone may read."""
        url = f"{self.stack.config.public_url}/jwt/jwks.json"
        return {key["kid"] for key in requests.get(url, timeout=60).json()["keys"]}

    def key(self, part: str) -> str:
        """The id of one key of the ring."""
        (found,) = [view.key_id for view in self.ring.views() if view.part == part]
        return found

    def opens(self, signer: Signer) -> bool:
        """Whether the registry takes what this signs."""
        path = f"{self.project}/kept"
        access = [{"type": "repository", "name": path, "actions": ["pull"]}]
        bearer = signer.sign(self.user, access).token
        answer = requests.get(
            f"{self.stack.config.registry_url}/v2/{path}/tags/list",
            headers={"Authorization": f"Bearer {bearer}"},
            timeout=60,
        )
        assert answer.status_code in {200, 401}
        return answer.status_code == 200


def push_and_pull(client: Client, repository: str, number: int) -> None:
    manifest, tag = tiny(f"{repository} {number}"), f"t{number % 10}"
    client.put(repository, tag, manifest)
    client.pull(repository, tag)
    client.pull(repository, manifest.digest)


@pytest.fixture
def site(stack, ring) -> Site:
    return Site(stack, ring)


def test_no_pull_and_no_push_fails_while_keys_follow_each_other(site, ring):
    crowd, config = site.crowd, site.stack.config
    signing = (config.token_issuer, config.token_service, config.token_lifetime)
    old, new = site.key("active"), site.key("next")
    retired = ring.signer(*signing)
    people = [
        site.with_one_token("kept"),
        site.with_a_token_for_each("new"),
        site.with_a_token_for_each("other"),
        site.nobody,
    ]
    with at_work(*people, crowd=crowd):
        crowd.go_on(SECONDS / 2)
        assert crowd.keys_since(0) == {old}
        assert site.published() == {old, new}

        ring.activate()
        activated = time.monotonic()
        crowd.go_on(POLL_INTERVAL + 1)
        taken_up = time.monotonic()
        assert site.published() == {old, new}
        assert (site.key("active"), site.key("previous")) == (new, old)
        crowd.go_on(SECONDS / 4)
        assert crowd.keys_since(activated) <= {old, new}
        assert crowd.keys_since(taken_up) == {new}

        ring.stage()
        following = site.key("next")
        assert site.published() == {old, new, following}
        with pytest.raises(RotationRefused, match="in use for another"):
            ring.retire(config.token_lifetime)
        ring.retire(config.token_lifetime, force=True)  # six minutes are too long for a test
        assert site.published() == {new, following}
        crowd.go_on(SECONDS / 4)

    # Next time: at its start, the registry takes up the key to come and forgets the retired one.
    site.restart_registry()
    assert site.opens(ring.signer(*signing))
    assert site.opens(ring.next_signer(*signing))
    assert not site.opens(retired)
