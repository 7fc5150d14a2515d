"""Functions that return the addresses of pages and static files, for templates and views."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from flask import current_app, request, url_for

from ..activity.entries import Entry

#: Characters that stay unquoted in an address. In a query string, ``url_for()`` leaves further
#: characters unquoted, such as ``?``; in a path, they have to be quoted.
_SAFE_CHARACTERS = "/:"


def image_url(project: str, name: str = "", endpoint: str = "registry.image", **values: Any) -> str:
    """Return the address of a page about an image or a folder of images.

    Args:
        project: path of the project.
        name: name of the image or folder below the project; empty for the root image.
        endpoint: endpoint of a route with the variable parts ``path`` and ``name``.
        values: further parameters of the route, such as ``tag``; a value None is left out.
    """
    if name:
        values["name"] = name
    return page_url(endpoint, path=project, **values)


def page_url(endpoint: str, **values: str | None) -> str:
    """Return the same address as url_for(), but fast enough for hundreds of links on one page.

    Args:
        endpoint: endpoint of a route whose variable parts accept any path.
        values: parameters of the route; a value None is left out.
    """
    quoted = {
        name: quote(value, safe=_SAFE_CHARACTERS)
        for name, value in values.items()
        if value is not None
    }
    return _make_pattern(request.script_root, endpoint, tuple(quoted)).format_map(quoted)


@lru_cache(maxsize=256)
def _make_pattern(_root: str, endpoint: str, names: tuple[str, ...]) -> str:
    """Return the address of an endpoint as a format string, with ``{name}`` for each parameter.

    Args:
        _root: path prefix of the application. It is part of the cache key only, because
            ``url_for()`` reads the prefix from the request.
        endpoint: endpoint of the route.
        names: names of the parameters of the route.
    """
    values: dict[str, Any] = {name: f"value.{name}" for name in names}
    address = url_for(endpoint, **values)
    for name in names:
        address = address.replace(f"value.{name}", f"{{{name}}}")
    return address


def reference_url(project: str, reference: str) -> str | None:
    """Return the address of a tag's page, given a reference to the tag.

    Return None if the reference has no tag, has a digest, or is outside the project.

    Args:
        project: path of the project.
        reference: the reference, ``repository:tag``.
    """
    repository, colon, tag = reference.rpartition(":")
    if not colon or "@" in reference or "/" in tag:
        return None
    if repository != project and not repository.startswith(project + "/"):
        return None
    return image_url(project, repository[len(project) + 1 :], "registry.tag", tag=tag)


def push_url(push: Any, project: str = "") -> str | None:
    """Return the address of a pushed tag's page; None for a push without a tag.

    Args:
        push: a row of the list of recent pushes.
        project: path of the project, used if the row has no ``project_path``.
    """
    if not push.tag:
        return None
    return reference_url(push.project_path or project, f"{push.repository}:{push.tag}")


def entry_url(entry: Entry) -> str | None:
    """Return the address of the tag in an activity entry; of the image if the entry has no tag.

    Return None if the tag is not in the project of the entry.
    """
    if entry.tag:
        return reference_url(entry.project, entry.reference)
    return image_url(entry.project, entry.name)


def packages_url(sbom_url: str, package_type: str) -> str:
    """Return the address of the page that lists an SBOM's packages of one type.

    Args:
        sbom_url: the address of the page of the SBOM.
        package_type: type of the packages; empty for packages without a type.
    """
    separator = "&" if "?" in sbom_url else "?"
    return f"{sbom_url}{separator}{urlencode({'type': package_type or '-'})}"


@dataclass(frozen=True, slots=True)
class Crumb:
    """One link of a breadcrumb navigation: its label and its address."""

    label: str
    url: str


def breadcrumb_trail(
    crumbs: Iterable[tuple[str, str]] | None, project: str = "", name: str = "", tag: str = ""
) -> list[Crumb]:
    """Return the breadcrumb links of a page: namespaces, project, folders, image, and tag.

    Args:
        crumbs: (label, path) pairs for the namespaces and optionally the project; None for none.
        project: path of the project; empty if the page does not belong to a project.
        name: name of the image or folder below the project; empty for none.
        tag: name of the tag; empty if the page is not about a tag.
    """
    places = [(label, path) for label, path in crumbs or () if "/-" not in path]
    trail = [Crumb(label, url_for("projects.show", path=path)) for label, path in places]
    if project and project not in {path for _, path in places}:
        trail.append(Crumb(project.rpartition("/")[2], url_for("projects.show", path=project)))
    segments = name.split("/") if name else []
    trail += [
        Crumb(segment, image_url(project, "/".join(segments[: index + 1])))
        for index, segment in enumerate(segments)
    ]
    if tag:
        trail.append(Crumb(tag, image_url(project, name, "registry.tag", tag=tag)))
    return trail


def asset(filename: str) -> str:
    """Return the address of a static file, with a hash of its content to make it cacheable."""
    path = Path(current_app.static_folder or "") / filename
    return url_for(
        "static", filename=filename, v=_compute_fingerprint(path, path.stat().st_mtime_ns)
    )


@lru_cache(maxsize=64)
def _compute_fingerprint(path: Path, _mtime: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


HELPERS = (
    page_url,
    image_url,
    reference_url,
    push_url,
    packages_url,
    entry_url,
    breadcrumb_trail,
    asset,
)
