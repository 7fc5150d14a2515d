"""Filters and helpers for templates. They use neither the database nor the registry.

Text from the registry is untrusted, so nothing here marks it as safe. The only markup that
Python code creates is the ``<time>`` element of ``ago``, whose parts are escaped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from flask import Flask, current_app, request, url_for

from ..formatting import (
    ago,
    day_name,
    difference,
    format_detail,
    is_username,
    is_web_link,
    number,
    outcome_label,
    percent,
    pluralize,
    short_digest,
    short_tag,
    size,
)
from ..http.query_args import current_address

#: Characters that stay unquoted in an address. ``url_for()`` leaves more characters unquoted in a
#: query string, for example ``?``, but that would end a path.
_SAFE_CHARACTERS = "/:"


_BAR_WIDTH = 1000
_MIN_SEGMENT_WIDTH = 2
_TONE_COUNT = 6


# --- data for macros ---


def records(items: Iterable[Any] | None, names: str) -> list[Any]:
    """Convert items of any form to objects with named attributes.

    Args:
        items: tuples, mappings, or objects that already have the attributes.
        names: the attribute names, separated by spaces, in the order of the fields of a tuple.
    """
    return [_make_record(item, names.split()) for item in items or ()]


def _make_record(item: Any, names: Sequence[str]) -> Any:
    if isinstance(item, Mapping):
        return SimpleNamespace(**{name: item.get(name) for name in names})
    if isinstance(item, (tuple, list)) and not hasattr(item, "_fields"):
        padded = [*item, *[None] * (len(names) - len(item))]
        return SimpleNamespace(**dict(zip(names, padded, strict=False)))
    return item


def choices(
    values: Iterable[str] | None, chosen: str | None, top: str = ""
) -> list[tuple[str, str]]:
    """Return the (value, label) options of a select field for a path.

    Args:
        values: the paths to offer.
        chosen: the selected path; it is included even if it is no longer offered.
        top: label of the option for no path; empty to leave this option out.
    """
    paths = [value for value in values or () if value]
    if chosen and chosen not in paths:
        paths.insert(0, chosen)
    return ([("", top)] if top else []) + [(path, path) for path in paths]


# --- addresses ---


def image_url(project: str, name: str = "", endpoint: str = "registry.image", **values: Any) -> str:
    """Return the address of a page of an image, or of a folder of names.

    Args:
        project: the path of the project.
        name: the name below the project; empty for the root image.
        endpoint: endpoint of a route with the variable parts ``path`` and ``name``.
        values: further parts of the address, such as ``tag``; None is left out.
    """
    if name:
        values["name"] = name
    return page_url(endpoint, path=project, **values)


def page_url(endpoint: str, **values: str | None) -> str:
    """Return the same address as url_for(), but fast enough for hundreds of links on one page.

    Args:
        endpoint: endpoint of a route whose variable parts accept any path.
        values: parts of the address; None is left out.
    """
    quoted = {
        name: quote(value, safe=_SAFE_CHARACTERS)
        for name, value in values.items()
        if value is not None
    }
    return _make_pattern(request.script_root, endpoint, tuple(quoted)).format_map(quoted)


@lru_cache(maxsize=256)
def _make_pattern(_root: str, endpoint: str, names: tuple[str, ...]) -> str:
    """Return the address of an endpoint as a format string, with the names of values in braces.

    Args:
        _root: path prefix of the application; addresses depend on it, so it belongs to the cache
            key.
        endpoint: endpoint of the route.
        names: names of the values.
    """
    values: dict[str, Any] = {name: f"value.{name}" for name in names}
    address = url_for(endpoint, **values)
    for name in names:
        address = address.replace(f"value.{name}", f"{{{name}}}")
    return address


def reference_url(project: str, reference: str) -> str | None:
    """Return the address of the page of a tag, given its reference; None if it has no page.

    Args:
        project: the path of the project.
        reference: ``repository:tag``; a reference with a digest, or one outside the project,
            has no page.
    """
    repository, colon, tag = reference.rpartition(":")
    if not colon or "@" in reference or "/" in tag:
        return None
    if repository != project and not repository.startswith(project + "/"):
        return None
    return image_url(project, repository[len(project) + 1 :], "registry.tag", tag=tag)


@dataclass(frozen=True, slots=True)
class Crumb:
    """One segment of a breadcrumb: its label and the address that it links to."""

    label: str
    url: str


def breadcrumb_trail(
    crumbs: Iterable[Any] | None, project: str = "", name: str = "", tag: str = ""
) -> list[Crumb]:
    """Return the breadcrumb of a page: namespaces, project, folders, image, tag.

    Args:
        crumbs: ``(label, path)`` of the namespaces and optionally of the project.
        project: the path of the project; empty if the page does not belong to a project.
        name: the name of the image or folder below the project; empty for none.
        tag: the tag; empty if the page is not about a tag.
    """
    places = [place for place in records(crumbs, "label path") if "/-" not in str(place.path)]
    trail = [Crumb(str(p.label), url_for("projects.show", path=p.path)) for p in places]
    if project and project not in {place.path for place in places}:
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
    """Return the address of a static file, with a hash of its content, so it can be cached."""
    path = Path(current_app.static_folder or "") / filename
    return url_for(
        "static", filename=filename, v=_compute_fingerprint(path, path.stat().st_mtime_ns)
    )


@lru_cache(maxsize=64)
def _compute_fingerprint(path: Path, _mtime: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


# --- charts and trees ---


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a proportional bar, in units of its viewBox; ``tone`` selects the color."""

    x: float
    width: float
    tone: int


def proportional_bar(shares: Sequence[float | None]) -> list[Segment]:
    """Lay out shares of a whole as a bar of width 1000; segments too thin to see are widened.

    Args:
        shares: a number from 0 to 1 each, or None if unknown. They need not add up to 1.
    """
    total = sum(share or 0 for share in shares)
    if not shares or total <= 0:
        return []
    widths = [max((share or 0) / total * _BAR_WIDTH, _MIN_SEGMENT_WIDTH) for share in shares]
    scale, x, bar = _BAR_WIDTH / sum(widths), 0.0, []
    for index, width in enumerate(widths):
        bar.append(Segment(round(x, 2), round(width * scale, 2), index % _TONE_COUNT))
        x += width * scale
    return bar


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart, in units of its viewBox."""

    x: int
    y: float
    height: float


def bar_chart(values: Sequence[int], height: int = 40, step: int = 10) -> list[Column]:
    """Lay out numbers as columns of a chart, from left to right.

    Args:
        values: non-negative numbers. Any number above 0 gets a visible column.
        height: height of the chart, and of the column of the largest number.
        step: distance from one column to the next.
    """
    greatest = max(values, default=0)
    heights = [max(value / greatest * height, 1.0) if value else 0.0 for value in values]
    return [
        Column(index * step, round(height - value, 2), round(value, 2))
        for index, value in enumerate(heights)
    ]


def collapse_folders(folder: Any) -> list[Any]:
    """Return a folder and the folders below it that share one line with it in a tree.

    A folder without an image, whose only child is also a folder without an image, would take up
    a line that shows nothing.
    """
    folders = [folder]
    while (
        folders[-1].image is None
        and len(folders[-1].folders) == 1
        and folders[-1].folders[0].image is None
    ):
        folders.append(folders[-1].folders[0])
    return folders


FILTERS = (
    size,
    difference,
    number,
    pluralize,
    percent,
    short_digest,
    short_tag,
    ago,
    format_detail,
    records,
    outcome_label,
    day_name,
)

HELPERS = (
    page_url,
    image_url,
    reference_url,
    breadcrumb_trail,
    current_address,
    asset,
    proportional_bar,
    bar_chart,
    collapse_folders,
    choices,
)


def init_app(app: Flask) -> None:
    """Register the filters, tests and global functions of the templates."""
    environment = app.jinja_env
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    for function in FILTERS:
        environment.filters[function.__name__] = function
    for helper in HELPERS:
        environment.globals[helper.__name__] = helper
    environment.tests["web_link"] = is_web_link
    environment.tests["username"] = is_username
