"""Format values for people: sizes, counts, digests, and times. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

from markupsafe import Markup

from .names import NAME

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
#: Earlier dates are not real: reproducible builds use the epoch, or 1980-01-01, which is the first
#: day that a zip archive can store.
_FIRST_REAL_DATE = datetime(1980, 1, 2, tzinfo=UTC)
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_SPANS = (
    (timedelta(minutes=1), timedelta(hours=1), "min", "min"),
    (timedelta(hours=1), timedelta(days=1), "h", "h"),
    (timedelta(days=1), timedelta(days=30), "day", "days"),
    (timedelta(days=30), timedelta(days=365), "month", "months"),
    (timedelta(days=365), timedelta.max, "year", "years"),
)
#: Displayed words for stored outcomes of steps, if they differ from the stored words.
_OUTCOME_LABELS = {"cancelled": "canceled", "in the bin": "in the trash"}
_DIGEST_TAG = re.compile(r"(sha256-|sha512-)([0-9a-f]{64,128})(.*)")


def size(value: int | None) -> str:
    """Format a number of bytes as Docker does (``12.3 MB``, decimal), or a dash for None."""
    if value is None:
        return DASH
    amount, unit = float(value), 0
    while round(amount, 1) >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{value} B"


def difference(value: int | None) -> str:
    """Format a change in bytes with its sign (``+12.3 MB``), or a dash for None."""
    if not value:
        return DASH if value is None else "no change"
    return f"{'+' if value > 0 else MINUS}{size(abs(value))}"


def number(value: int | None) -> str:
    """Format an integer with thousands separators (``12,345``), or a dash for None."""
    return DASH if value is None else f"{value:,}"


def pluralize(value: int | None, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 tag``, ``312 tags``.

    Args:
        value: the number; None is shown as a dash.
        one: the singular of the noun.
        many: the plural of the noun, if adding an ``s`` is not enough.
    """
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def outcome_label(outcome: str | None) -> str:
    """Return the displayed words for the stored outcome of a step, or a dash for None."""
    return DASH if outcome is None else _OUTCOME_LABELS.get(outcome, outcome)


def percent(share: float | None) -> str:
    """Format a share from 0 to 1 as a percentage (``23.2%``), or a dash for None.

    A tiny share is shown as ``< 0.1%`` instead of zero, and an almost full one as ``> 99.9%``.
    """
    if share is None:
        return DASH
    if 0 < share < 0.0005:
        return "< 0.1%"
    return "> 99.9%" if 0.9995 <= share < 1 else f"{share * 100:.1f}%"


def short_digest(value: str | None) -> str:
    """Return the first twelve hex digits of a digest, as Docker shows them, or a dash for None."""
    if not value:
        return DASH
    return value.rpartition(":")[2][:12]


def short_tag(name: str) -> str:
    """Return a tag name; the digest in a name like ``sha256-<hex>.sig`` is cut to twelve digits."""
    match = _DIGEST_TAG.fullmatch(name)
    return f"{match[1]}{match[2][:12]}…{match[3]}" if match else name


def relative(moment: datetime, now: datetime) -> str:
    """Return the time from ``now`` to ``moment`` in words: ``3 h ago``, ``in 2 days``.

    A time in the future is rounded to the nearest unit, so that seven days still read ``in 7 days``
    a second later.
    """
    is_past = moment < now
    distance = abs(now - moment)
    for step, end, one, many in _SPANS:
        if distance < step:
            break
        if distance < end:
            count = (distance if is_past else distance + step / 2) // step
            text = f"{count} {one if count == 1 else many}"
            return f"{text} ago" if is_past else f"in {text}"
    return "just now"


def ago(value: datetime | None, missing: str = DASH) -> Markup:
    """Return a ``<time>`` element with relative text, and the exact time in title and datetime.

    Args:
        value: the time; a naive datetime is taken as UTC. A date before 1980-01-02, which
            reproducible builds use, is shown as ``not recorded``.
        missing: text to show for None.
    """
    if value is None:
        return Markup('<span class="muted">{}</span>').format(missing)
    moment = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if moment < _FIRST_REAL_DATE:
        return Markup('<span class="muted">not recorded</span>')
    moment = moment.replace(microsecond=0)
    # The text has only digits and fixed words. Skip escaping, because a page can have hundreds of
    # times.
    exact = moment.isoformat(" ").replace("+00:00", "")
    return Markup(  # noqa: S704
        f'<time datetime="{exact.replace(" ", "T")}Z" title="{exact} UTC">'
        f"{relative(moment, datetime.now(UTC))}</time>"
    )


def is_web_link(value: object) -> bool:
    """Return whether a value from an image is a plain http or https URL, safe to show as a link."""
    if not isinstance(value, str) or len(value) > 2048 or not value.isprintable():
        return False
    if any(character.isspace() or character in "\\\"'<>" for character in value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def format_detail(detail: object) -> str:
    """Format the detail of an audit entry as text: ``tags: 3, dry run: yes``."""
    if isinstance(detail, Mapping):
        items = (
            (str(name).replace("_", " "), format_detail(value)) for name, value in detail.items()
        )
        detail = ", ".join(f"{name}: {value}" for name, value in items)
    elif isinstance(detail, bool):
        detail = "yes" if detail else "no"
    elif isinstance(detail, (list, tuple)):
        detail = " ".join(str(item) for item in detail)
    return DASH if detail in (None, "") else str(detail)


def day_name(day: date, today: date | None = None) -> str:
    """Return a date as text: ``Today``, ``Yesterday``, ``24 November 2026``."""
    today = today or datetime.now(UTC).date()
    names = {today: "Today", today - timedelta(days=1): "Yesterday"}
    return names.get(day) or f"{day.day} {day:%B %Y}"


def is_username(value: object) -> bool:
    """Return whether a name can be a user name, and not that of a deploy token or the system."""
    return isinstance(value, str) and re.fullmatch(NAME, value) is not None


def clock_time(moment: datetime) -> str:
    """Return the time of day of an aware datetime: ``14:05 UTC``."""
    return f"{moment.astimezone(UTC):%H:%M} UTC"
