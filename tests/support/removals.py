"""Removals as the web tests ask for them: by the forms, of images that the registry has."""

from __future__ import annotations

import json

from registry_ui.models import Tag
from tests.support.html import Page

IMAGE = "acme/app/web"
PAGE = "/acme/app/-/images/web"


def open_project(site):
    """Make acme/app with an owner, who is signed in as ``site.owner``; return the site."""
    site.users("owner")
    site.project("acme/app")
    site.member("acme", "owner", "owner")
    site.owner = site.browser("owner")
    return site


def adopt(site):
    """Let the index learn what the registry has."""
    runner = site.app.test_cli_runner()
    for _ in range(5):  # the client's patience is short here, and the machine may be busy
        result = runner.invoke(args=["reconcile"])
        if result.exit_code == 0:
            return
    assert result.exit_code == 0, result.output


def names(site):
    return sorted(tag.name for tag in site.rows(Tag))


def preview_of(site, tag):
    """What the hidden fields of a preview say: which plan it is that was seen."""
    return Page(site.owner.get(f"{PAGE}/-/tags/{tag}/-/delete").text).hidden


def delete_tag(site, tag, seen=None, **more):
    return site.owner.post(f"{PAGE}/-/tags/{tag}/-/delete", seen or preview_of(site, tag), **more)


def delete_image(site):
    return site.owner.post(f"{PAGE}/-/delete", {"confirm": IMAGE})


def whole(graph, digest):
    """Whether a manifest and everything below it is still there."""
    if digest not in graph.manifests:
        return False
    document = json.loads(graph.manifests[digest][1])
    return all(whole(graph, child["digest"]) for child in document.get("manifests", []))
