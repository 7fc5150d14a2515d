"""What templates may call: filters, addresses and small pure helpers. No database, no registry.

Text from the registry is hostile: nothing here marks it as safe. The only markup made
in Python is the ``<time>`` element of ``ago``, whose parts are escaped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from flask import Flask, current_app, request, url_for
from markupsafe import Markup

from ..names import NAME

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"

#: Builds that want to be reproducible write one of these: the epoch, or the first day
#: that a zip archive can hold.
_FIRST_REAL_DATE = datetime(1980, 1, 2, tzinfo=UTC)

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_SPANS = (
    (timedelta(minutes=1), timedelta(hours=1), "min", "min"),
    (timedelta(hours=1), timedelta(days=1), "h", "h"),
    (timedelta(days=1), timedelta(days=30), "day", "days"),
    (timedelta(days=30), timedelta(days=365), "month", "months"),
    (timedelta(days=365), timedelta.max, "year", "years"),
)

#: What url_for() leaves as it is in a query; none of it ends a part of a path but "?".
_SAFE = "/:"

_DIGEST_TAG = re.compile(r"(sha256-|sha512-)([0-9a-f]{64,128})(.*)")

_BAR_WIDTH = 1000
_BAR_LEAST = 2
_TONES = 6


# --- words and figures ---


def size(value: int | None) -> str:
    """Return bytes as docker prints them (``12.3 MB``, decimal), or a dash for None."""
    if value is None:
        return DASH
    amount, unit = float(value), 0
    while round(amount, 1) >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{value} B"


def difference(value: int | None) -> str:
    """Return by how many bytes something grew or shrank (``+12.3 MB``), or a dash for None."""
    if not value:
        return DASH if value is None else "no change"
    return f"{'+' if value > 0 else MINUS}{size(abs(value))}"


def number(value: int | None) -> str:
    """Return a whole number with its thousands apart (``12,345``), or a dash for None."""
    return DASH if value is None else f"{value:,}"


def counted(value: int | None, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 tag``, ``312 tags``.

    Args:
        value: how many; None reads as a dash.
        one: the noun for one.
        many: the noun for any other number, where an ``s`` is not enough.
    """
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def percent(share: float | None) -> str:
    """Return a share of 0..1 as ``23.2 %``.

    What would round to nothing reads ``< 0.1 %``, and what would round to all ``> 99.9 %``.
    """
    if share is None:
        return DASH
    if 0 < share < 0.0005:
        return "< 0.1%"
    return "> 99.9%" if 0.9995 <= share < 1 else f"{share * 100:.1f}%"


def short_digest(value: str | None) -> str:
    """Return the first twelve digits of a digest, as docker shows them, or a dash."""
    if not value:
        return DASH
    return value.rpartition(":")[2][:12]


def short_tag(name: str) -> str:
    """Return a tag's name with the digest of a ``sha256-<hex>.sig`` cut to twelve digits."""
    found = _DIGEST_TAG.fullmatch(name)
    return f"{found[1]}{found[2][:12]}…{found[3]}" if found else name


def relative(moment: datetime, now: datetime) -> str:
    """Return how far ``moment`` is from ``now``, in words: ``3 h ago``, ``in 2 days``.

    What is to come is rounded to the nearest: seven days, a second later, are still seven.
    """
    is_past = moment < now
    distance = abs(now - moment)
    for step, end, one, many in _SPANS:
        if distance < step:
            break
        if distance < end:
            count = (distance if is_past else distance + step / 2) // step
            words = f"{count} {one if count == 1 else many}"
            return f"{words} ago" if is_past else f"in {words}"
    return "just now"


def ago(value: datetime | None, missing: str = DASH) -> Markup:
    """Return a ``<time>`` with relative text, and the exact moment in title and datetime.

    Args:
        value: an aware datetime; a naive one is read as UTC. The epoch, which
            reproducible builds write, reads ``not recorded``.
        missing: what to print for None.
    """
    if value is None:
        return Markup('<span class="muted">{}</span>').format(missing)
    moment = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if moment < _FIRST_REAL_DATE:
        return Markup('<span class="muted">not recorded</span>')
    moment = moment.replace(microsecond=0)
    # Figures and words of ours alone: there is nothing to escape, hundreds of times a page.
    exact = moment.isoformat(" ").replace("+00:00", "")
    return Markup(  # noqa: S704
        f'<time datetime="{exact.replace(" ", "T")}Z" title="{exact} UTC">'
        f"{relative(moment, datetime.now(UTC))}</time>"
    )


def is_web_link(value: object) -> bool:
    """Whether a text from an image may become a link: plain http or https and nothing else."""
    if not isinstance(value, str) or len(value) > 2048 or not value.isprintable():
        return False
    if any(character.isspace() or character in "\\\"'<>" for character in value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


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


def plain(detail: object) -> str:
    """Return the detail of an audit entry as words: ``tags: 3, dry run: yes``."""
    if isinstance(detail, Mapping):
        words = ((str(name).replace("_", " "), plain(value)) for name, value in detail.items())
        detail = ", ".join(f"{name}: {value}" for name, value in words)
    elif isinstance(detail, bool):
        detail = "yes" if detail else "no"
    elif isinstance(detail, (list, tuple)):
        detail = " ".join(str(item) for item in detail)
    return DASH if detail in (None, "") else str(detail)


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
    marked = url_for(endpoint, **{name: f"value.{name}" for name in names})
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


def trail(
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


def query_with(pairs: Iterable[tuple[str, str]], changes: Mapping[str, object]) -> str:
    """Return a query string with some values changed; an empty or None value is left out."""
    kept = [(name, value) for name, value in pairs if name not in changes and value]
    new = [(name, str(value)) for name, value in changes.items() if value not in (None, "")]
    return urlencode(kept + new)


def here(**changes: object) -> str:
    """Return the address of this page with some values of its query changed."""
    query = query_with(request.args.items(multi=True), changes)
    # One slash at the start: two would lead to another host.
    path = request.script_root + "/" + quote(request.path.lstrip("/"), safe="/:@!$&'()*+,;=")
    return f"{path}?{query}" if query else path


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


def bar(shares: Sequence[float | None]) -> list[Segment]:
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


def columns(values: Sequence[int], height: int = 40, step: int = 10) -> list[Column]:
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


def day_name(day: date, today: date | None = None) -> str:
    """Return a day as people say it: ``Today``, ``Yesterday``, ``24 November 2026``."""
    today = today or datetime.now(UTC).date()
    near = {today: "Today", today - timedelta(days=1): "Yesterday"}
    return near.get(day) or f"{day.day} {day:%B %Y}"


def is_username(value: object) -> bool:
    """Whether a name can be a person's: a deploy token's and the system's own can't."""
    return isinstance(value, str) and re.fullmatch(NAME, value) is not None


def chain(folder: Any) -> list[Any]:
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
    counted,
    percent,
    short_digest,
    short_tag,
    ago,
    plain,
    records,
    day_name,
)

HELPERS = (
    page_url,
    image_url,
    reference_url,
    trail,
    here,
    asset,
    bar,
    columns,
    chain,
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
