"""Check that everything that `make demo` created is shown to the right users, and only to them.

The registry's notifications take a moment to arrive, so each check is repeated until a deadline.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import requests

from .content import EMPTY, INTERNAL, PERSONAL, PRIVATE, PUBLIC, SAMPLES, Sample
from .fill import Filling
from .push import RegistryError
from .site import Page, Site, image_page

#: User name of the account that views each project: the account with the fewest permissions that
#: can still see the project. "" is a visitor without an account.
READERS = {PUBLIC: "", INTERNAL: "stranger", PRIVATE: "guest", PERSONAL: "developer"}
BASE = f"{INTERNAL}/base"
NO_PROJECT = "orchard/never-made"
RETRY_PAUSE = 0.2


class NotYet(Exception):
    """A check has failed, but can still succeed later. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check: ``look`` raises NotYet if the check fails; ``title`` describes the check."""

    title: str
    look: Callable[[], object]


def verify(filling: Filling, timeout: float) -> list[str]:
    """Run every check, and return a message for each that failed.

    A check that fails is repeated until ``timeout`` seconds have passed since the start.
    """
    deadline = time.monotonic() + timeout
    return [problem for check in checks(filling) if (problem := _run_check(check, deadline))]


def _run_check(check: Check, deadline: float) -> str:
    while True:
        try:
            check.look()
        except NotYet as error:
            if time.monotonic() > deadline:
                return f"{check.title}: {error}"
            time.sleep(RETRY_PAUSE)
        else:
            return ""


def checks(filling: Filling) -> Iterable[Check]:
    """Yield checks that samples are shown, pulls work, and the private project stays hidden."""
    for sample in SAMPLES:
        site = filling.site(READERS[sample.project])
        yield Check(f"{sample.title} in {sample.repository}", partial(_require_shown, site, sample))
    yield Check(
        "the empty project", partial(_require_page, filling.site("maintainer"), f"/{EMPTY}")
    )
    yield Check("pulling without an account", partial(_require_pull, filling, "", PUBLIC, "1.0"))
    yield Check("pulling as reporter", partial(_require_pull, filling, "reporter", BASE, "2026.11"))
    for person in ("guest", "stranger", ""):
        if person and not filling.knows(person):
            continue
        user_label = person or "someone without an account"
        yield Check(
            f"{PRIVATE} by token for {user_label}", partial(_require_refused, filling, person)
        )
        if person != "guest":
            page = partial(_require_invisible, filling.site(person))
            yield Check(f"{PRIVATE} by page for {user_label}", page)
            lists = partial(_require_unlisted, filling.site(person))
            yield Check(f"{PRIVATE} in lists for {user_label}", lists)
            api = partial(_require_unknown_to_api, filling, person)
            yield Check(f"{PRIVATE} by API for {user_label}", api)


def _require_page(site: Site, path: str, *texts: str) -> Page:
    """Open and return a page; raise NotYet unless it exists and its HTML contains the texts."""
    page = site.get(path)
    if page.status != 200:
        raise NotYet(f"{page.url} answers {page.status}")
    for text in texts:
        if text not in page.body:
            raise NotYet(f"{page.url} does not show {text}")
    return page


def _require_shown(site: Site, sample: Sample) -> None:
    """Check that the project's page links to the image, and that tag pages show the digest."""
    tags = sample.tags()
    project = _require_page(site, f"/{sample.project}")
    address = image_page(sample.project, sample.name)
    if address not in project.links:
        raise NotYet(f"{project.url} has no link to {address}")
    for tag in (next(iter(tags)), list(tags)[-1]):
        _require_page(site, image_page(sample.project, sample.name, tag), tags[tag].digest)
    if len(tags) > 2:
        _require_page(site, address, f"{len(tags)} tags")


def _require_invisible(site: Site) -> None:
    """Check that the private project's pages equal those of a project that never existed."""
    for subpath in ("", "/-/images/api", "/-/images/api/-/tags/1.1", "/-/members", "/-/settings"):
        private, missing = site.get(f"/{PRIVATE}{subpath}"), site.get(f"/{NO_PROJECT}{subpath}")
        if private.status != missing.status:
            raise NotYet(f"{private.url} answers {private.status}, {missing.url} {missing.status}")
        if _normalize(private, PRIVATE) != _normalize(missing, NO_PROJECT):
            raise NotYet(f"{private.url} differs from a page that does not exist")
        # Without an account, pages for members can redirect to the sign-in page instead.
        if private.status != 404 and not (site.username == "" and "/-/sign-in" in private.url):
            raise NotYet(f"{private.url} answers {private.status}, not 404")


def _require_unlisted(site: Site) -> None:
    """Check that no list of projects or search result contains the private project."""
    for path in ("/", "/?q=ledger", "/orchard", "/orchard?q=ledger"):
        page = site.get(path)
        if f"/{PRIVATE}" in page.body or f"{PRIVATE}/" in page.body:
            raise NotYet(f"{page.url} names it")


def _normalize(page: Page, path: str) -> str:
    """Return a page's HTML without ``path`` and CSRF tokens, to compare it with a different page.

    Args:
        page: the page.
        path: the path of the project that the page is about; replaced with ``PATH``.
    """
    body = page.body.replace(path, "PATH").replace(path.replace("/", "%2F"), "PATH")
    return re.sub(r'(name="csrf_token"[^>]*value=|csrf-token"[^>]*content=)"[^"]*"', r"\1", body)


def _require_pull(filling: Filling, username: str, repository: str, tag: str) -> None:
    try:
        filling.registry(username).pull(repository, tag)
    except RegistryError as error:
        raise NotYet(str(error)) from error


def _require_refused(filling: Filling, username: str) -> None:
    """Check that a user gets no access to the private project by token, and that a pull fails."""
    client = filling.registry(username)
    challenge = client.challenge()
    if challenge is None:
        raise NotYet("the registry asks for no token")
    bearer = client.token(challenge, f"repository:{PRIVATE}/api:pull,push registry:catalog:*")
    payload = bearer.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if granted := [entry for entry in claims.get("access") or [] if entry.get("actions")]:
        raise NotYet(f"the token endpoint grants {granted}")
    try:
        client.pull(f"{PRIVATE}/api", "1.1")
    except RegistryError as error:
        if error.status == 401:
            return
        raise NotYet(str(error)) from error
    raise NotYet("the registry hands the image out")


def _require_unknown_to_api(filling: Filling, username: str) -> None:
    """Check that the API hides the demo's private project from a user who has no role in it.

    The API must answer 404, exactly as for a project that never existed, and must not list the
    project.

    Args:
        filling: the created demo content.
        username: name of the user; "" for a client without an account.
    """
    base = filling.config.public_url
    auth = (username, filling.access_token(username)) if username else None
    with requests.Session() as session:
        session.trust_env = False
        session.auth = auth
        for subpath in ("", "/-/images", "/-/images/api/-/tags"):
            private = session.get(f"{base}/api/v4/projects/{PRIVATE}{subpath}", timeout=15)
            missing = session.get(f"{base}/api/v4/projects/{NO_PROJECT}{subpath}", timeout=15)
            if (private.status_code, private.text) != (missing.status_code, missing.text):
                raise NotYet(f"{private.url} answers otherwise than {missing.url}")
            if private.status_code != 404:
                raise NotYet(f"{private.url} answers {private.status_code}, not 404")
        list_response = session.get(f"{base}/api/v4/projects", timeout=15)
        if PRIVATE in list_response.text:
            raise NotYet(f"{list_response.url} lists it")
