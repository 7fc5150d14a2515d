"""What templates may call: filters, addresses and small pure helpers. No database, no registry.

Text from the registry is hostile: nothing here marks it as safe. The only markup made
in Python is the ``<time>`` element of ``ago``, whose parts are escaped.
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
    percent,
    pluralize,
    short_digest,
    short_tag,
    size,
)
from ..http.query_args import current_address

#: What url_for() leaves as it is in a query; none of it ends a part of a path but "?".
_SAFE = "/:"


_BAR_WIDTH = 1000
_BAR_LEAST = 2
_TONES = 6


# --- words and figures ---


def records(items: Iterable[Any] | None, names: str) -> list[Any]:
    """Give every item its fields by name, whatever form it came in.

    Args:
        items: tuples, mappings, or objects that have the fields as attributes already.
        names: the names of a tuple's fields in their order, apart by spaces.
    """
    return [_record(item, names.split()) for item in items or ()]


def _record(item: Any, names: Sequence[str]) -> Any:
    if isinstance(item, Mapping):
        return SimpleNamespace(**{name: item.get(name) for name in names})
    if isinstance(item, (tuple, list)) and not hasattr(item, "_fields"):
        padded = [*item, *[None] * (len(names) - len(item))]
        return SimpleNamespace(**dict(zip(names, padded, strict=False)))
    return item


def choices(
    values: Iterable[str] | None, chosen: str | None, top: str = ""
) -> list[tuple[str, str]]:
    """Return the options of a choice of paths, the chosen one among them in any case.

    Args:
        values: the paths that are offered.
        chosen: the one that the form came with, perhaps not offered any more.
        top: the label of no path at all, where that is a choice.
    """
    paths = [value for value in values or () if value]
    if chosen and chosen not in paths:
        paths.insert(0, chosen)
    return ([("", top)] if top else []) + [(path, path) for path in paths]


# --- addresses ---


def image_url(project: str, name: str = "", endpoint: str = "image", **values: Any) -> str:
    """Return the address of a page of an image, or of a folder of names.

    Args:
        project: the path of the project.
        name: the name below the project; empty for the root image.
        endpoint: ``image``, ``tag_rows``, ``tag`` or ``reconcile``, or one of a removal:
            ``delete_tag``, ``delete_tags``, ``delete_image``; or ``copy_tags``.
        values: further parts of the address, such as ``tag``; None is left out.
    """
    if name:
        values["name"] = name
    rooms = {"delete": "removals", "copy": "copies"}
    room = rooms.get(endpoint.partition("_")[0], "registry")
    return page_url(f"{room}.{endpoint}", path=project, **values)


def page_url(endpoint: str, **values: str | None) -> str:
    """Return what url_for() returns for a page, for hundreds of them on one page.

    Args:
        endpoint: of a route whose parts may be any path.
        values: text only; None is left out.
    """
    given = {name: quote(value, safe=_SAFE) for name, value in values.items() if value is not None}
    return _pattern(request.script_root, endpoint, tuple(given)).format_map(given)


@lru_cache(maxsize=256)
def _pattern(_root: str, endpoint: str, names: tuple[str, ...]) -> str:
    """Return an address with the names of its values in braces."""
    values: dict[str, Any] = {name: f"value.{name}" for name in names}
    marked = url_for(endpoint, **values)
    for name in names:
        marked = marked.replace(f"value.{name}", f"{{{name}}}")
    return marked


def reference_url(project: str, reference: str) -> str | None:
    """Return the page of ``repository:tag`` in a project, or None where it has none.

    Args:
        project: the path of the project.
        reference: a whole reference; one by digest, or outside the project, has no page.
    """
    repository, colon, tag = reference.rpartition(":")
    if not colon or "@" in reference or "/" in tag:
        return None
    if repository != project and not repository.startswith(project + "/"):
        return None
    return image_url(project, repository[len(project) + 1 :], "tag", tag=tag)


@dataclass(frozen=True, slots=True)
class Crumb:
    """One segment of a breadcrumb, and where it leads."""

    label: str
    url: str


def breadcrumb_trail(
    crumbs: Iterable[Any] | None, project: str = "", name: str = "", tag: str = ""
) -> list[Crumb]:
    """Return the breadcrumb of a page: namespaces, project, every folder, image, tag.

    Args:
        crumbs: ``(label, path)`` of the namespaces and, perhaps, of the project.
        project: the path of the project, on a page below one.
        name: the name below the project.
        tag: the tag, on its page.
    """
    places = [place for place in records(crumbs, "label path") if "/-" not in str(place.path)]
    found = [Crumb(str(p.label), url_for("projects.show", path=p.path)) for p in places]
    if project and project not in {place.path for place in places}:
        found.append(Crumb(project.rpartition("/")[2], url_for("projects.show", path=project)))
    segments = name.split("/") if name else []
    found += [
        Crumb(segment, image_url(project, "/".join(segments[: index + 1])))
        for index, segment in enumerate(segments)
    ]
    if tag:
        found.append(Crumb(tag, image_url(project, name, "tag", tag=tag)))
    return found


def asset(filename: str) -> str:
    """Return the address of a static file, changed whenever its content changes."""
    path = Path(current_app.static_folder or "") / filename
    return url_for("static", filename=filename, v=_fingerprint(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=64)
def _fingerprint(path: Path, _mtime: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


# --- shapes ---


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a proportional bar, in units of its viewBox; ``tone`` picks the colour."""

    x: float
    width: float
    tone: int


def proportional_bar(shares: Sequence[float | None]) -> list[Segment]:
    """Lay shares of a whole out as a bar 1000 wide; what is too thin to see is widened.

    Args:
        shares: 0..1 each, None for unknown. They need not add up to 1.
    """
    total = sum(share or 0 for share in shares)
    if not shares or total <= 0:
        return []
    widths = [max((share or 0) / total * _BAR_WIDTH, _BAR_LEAST) for share in shares]
    scale, x, found = _BAR_WIDTH / sum(widths), 0.0, []
    for index, width in enumerate(widths):
        found.append(Segment(round(x, 2), round(width * scale, 2), index % _TONES))
        x += width * scale
    return found


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart, in units of its viewBox."""

    x: int
    y: float
    height: float


def bar_chart(values: Sequence[int], height: int = 40, step: int = 10) -> list[Column]:
    """Lay numbers out as columns from the left, the greatest of them ``height`` high.

    Args:
        values: not negative. What is not nothing is seen, however little it is.
        height: of the chart.
        step: from one column to the next.
    """
    greatest = max(values, default=0)
    tall = [max(value / greatest * height, 1.0) if value else 0.0 for value in values]
    return [
        Column(index * step, round(height - value, 2), round(value, 2))
        for index, value in enumerate(tall)
    ]


def collapse_folders(folder: Any) -> list[Any]:
    """Return the folder and those below it that can share its line in a tree.

    A folder without an image whose only child is another such folder would be a line
    with nothing to see on it.
    """
    found = [folder]
    while (
        found[-1].image is None
        and len(found[-1].folders) == 1
        and found[-1].folders[0].image is None
    ):
        found.append(found[-1].folders[0])
    return found


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
    """Register filters, tests and globals of the templates."""
    environment = app.jinja_env
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    for function in FILTERS:
        environment.filters[function.__name__] = function
    for helper in HELPERS:
        environment.globals[helper.__name__] = helper
    environment.tests["web_link"] = is_web_link
    environment.tests["username"] = is_username
