"""Moves as the web tests plan them: two groups, and the form of a move."""

from __future__ import annotations

from tests.support.html import Page


def fill_acme(site):
    """Make a group with an owner, and another one in which they may do nothing; return the site."""
    site.users("owner", "worker", "boss")
    site.project("acme/app")
    site.image("acme/app", "v1")
    site.image("acme/app/web", "v1", "v2")
    site.project("acme/other", "public")
    site.project("elsewhere/app")
    site.member("acme", "owner", "owner")
    site.member("acme", "worker", "developer")
    site.member("elsewhere", "boss", "owner")
    return site


def plan(site, path, target, who="owner", image=None):
    """Send the form; return the answer and what the page says."""
    address = f"/{path}/-/move" if image is None else f"/{path}/-/images/{image}/-/move"
    answer = site.browser(who).post(address, {"target": target})
    return answer, Page(answer.text).text
