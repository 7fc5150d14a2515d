"""Verify the filled system as different users, and report what is wrong.

Events take a moment to arrive, so each check is repeated until a deadline.
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

#: The account that views each project: the one with the fewest rights that can still see it. ""
#: is a visitor without an account.
READERS = {PUBLIC: "", INTERNAL: "stranger", PRIVATE: "guest", PERSONAL: "developer"}
BASE = f"{INTERNAL}/base"
NEVER_MADE = "orchard/never-made"
PAUSE = 0.2


class NotYet(Exception):
    """A check has failed, but can still succeed later. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check: ``look`` raises NotYet unless ``what``, a description for people, is as expected."""

    what: str
    look: Callable[[], object]


def verify(filling: Filling, seconds: float) -> list[str]:
    """Run every check, and return a message for each that failed.

    A check that fails is repeated until ``seconds`` have passed since the start.
    """
    deadline = time.monotonic() + seconds
    return [problem for check in checks(filling) if (problem := _outcome(check, deadline))]


def _outcome(check: Check, deadline: float) -> str:
    while True:
        try:
            check.look()
        except NotYet as error:
            if time.monotonic() > deadline:
                return f"{check.what}: {error}"
            time.sleep(PAUSE)
        else:
            return ""


def checks(filling: Filling) -> Iterable[Check]:
    """Yield a check for each sample, for pulls, and for the invisibility of the private project."""
    for sample in SAMPLES:
        site = filling.site(READERS[sample.project])
        yield Check(f"{sample.what} in {sample.repository}", partial(_is_shown, site, sample))
    yield Check("the empty project", partial(_opens, filling.site("maintainer"), f"/{EMPTY}"))
    yield Check("pulling without an account", partial(_pulls, filling, "", PUBLIC, "1.0"))
    yield Check("pulling as reporter", partial(_pulls, filling, "reporter", BASE, "2026.11"))
    for person in ("guest", "stranger", ""):
        if person and not filling.knows(person):
            continue
        who = person or "someone without an account"
        yield Check(f"{PRIVATE} by token for {who}", partial(_is_refused, filling, person))
        if person != "guest":
            page = partial(_is_invisible, filling.site(person))
            yield Check(f"{PRIVATE} by page for {who}", page)
            lists = partial(_is_listed_nowhere, filling.site(person))
            yield Check(f"{PRIVATE} in lists for {who}", lists)
            api = partial(_is_unknown_to_the_api, filling, person)
            yield Check(f"{PRIVATE} by API for {who}", api)


def _opens(site: Site, path: str, *texts: str) -> Page:
    """Return a page; raise NotYet unless it exists and shows the texts."""
    page = site.get(path)
    if page.status != 200:
        raise NotYet(f"{page.url} answers {page.status}")
    for text in texts:
        if text not in page.body:
            raise NotYet(f"{page.url} does not show {text}")
    return page


def _is_shown(site: Site, sample: Sample) -> None:
    """Check that the project's page lists the image, and that pages of its tags show the digest."""
    tags = sample.tags()
    project = _opens(site, f"/{sample.project}")
    address = image_page(sample.project, sample.name)
    if address not in project.links:
        raise NotYet(f"{project.url} has no link to {address}")
    for tag in (next(iter(tags)), list(tags)[-1]):
        _opens(site, image_page(sample.project, sample.name, tag), tags[tag].digest)
    if len(tags) > 2:
        _opens(site, address, f"{len(tags)} tags")


def _is_invisible(site: Site) -> None:
    """Check that the private project's pages equal those of a project that never existed."""
    for below in ("", "/-/images/api", "/-/images/api/-/tags/1.1", "/-/members", "/-/settings"):
        there, nowhere = site.get(f"/{PRIVATE}{below}"), site.get(f"/{NEVER_MADE}{below}")
        if there.status != nowhere.status:
            raise NotYet(f"{there.url} answers {there.status}, {nowhere.url} {nowhere.status}")
        if _neutral(there, PRIVATE) != _neutral(nowhere, NEVER_MADE):
            raise NotYet(f"{there.url} differs from a page that does not exist")
        # Without an account, pages for members can redirect to the sign-in page instead.
        if there.status != 404 and not (site.username == "" and "/-/sign-in" in there.url):
            raise NotYet(f"{there.url} answers {there.status}, not 404")


def _is_listed_nowhere(site: Site) -> None:
    """Check that no page with a list names the private project."""
    for path in ("/", "/?q=ledger", "/orchard", "/orchard?q=ledger"):
        page = site.get(path)
        if f"/{PRIVATE}" in page.body or f"{PRIVATE}/" in page.body:
            raise NotYet(f"{page.url} names it")


def _neutral(page: Page, path: str) -> str:
    """Return the body of a page without its own path and its CSRF tokens, for a comparison."""
    body = page.body.replace(path, "PATH").replace(path.replace("/", "%2F"), "PATH")
    return re.sub(r'(name="csrf_token"[^>]*value=|csrf-token"[^>]*content=)"[^"]*"', r"\1", body)


def _pulls(filling: Filling, username: str, repository: str, tag: str) -> None:
    try:
        filling.registry(username).pull(repository, tag)
    except RegistryError as error:
        raise NotYet(str(error)) from error


def _is_refused(filling: Filling, username: str) -> None:
    """Check that a bearer token for the private project grants nothing, and that a pull fails."""
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


def _is_unknown_to_the_api(filling: Filling, username: str) -> None:
    """Check that the API treats the private project like one that never existed."""
    base = filling.config.public_url
    auth = (username, filling.access_token(username)) if username else None
    with requests.Session() as session:
        session.trust_env = False
        session.auth = auth
        for below in ("", "/-/images", "/-/images/api/-/tags"):
            there = session.get(f"{base}/api/v4/projects/{PRIVATE}{below}", timeout=15)
            nowhere = session.get(f"{base}/api/v4/projects/{NEVER_MADE}{below}", timeout=15)
            if (there.status_code, there.text) != (nowhere.status_code, nowhere.text):
                raise NotYet(f"{there.url} answers otherwise than {nowhere.url}")
            if there.status_code != 404:
                raise NotYet(f"{there.url} answers {there.status_code}, not 404")
        listed = session.get(f"{base}/api/v4/projects", timeout=15)
        if PRIVATE in listed.text:
            raise NotYet(f"{listed.url} lists it")
