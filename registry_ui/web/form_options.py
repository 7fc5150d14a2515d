"""Options of select fields, radio buttons and check boxes, and the columns of lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..access import Role
from ..models import AccessToken


@dataclass(frozen=True, slots=True)
class Option:
    """One value that a user can choose, with its label and what it means."""

    value: str
    label: str
    hint: str = ""


VISIBILITIES = (
    Option("private", "Private", "Members only."),
    Option("internal", "Internal", "Anyone who is signed in may see and pull."),
    Option("public", "Public", "Anyone may see and pull, without signing in."),
)
SCOPES = (
    Option("read_registry", "Pull", "Pull images and read the API"),
    Option("write_registry", "Push", "Push images, and pull them"),
    Option("delete_registry", "Delete", "Delete tags and images"),
    Option("api", "API", "Change things through the API"),
)
PATTERN_KINDS = (Option("glob", "Glob"), Option("regex", "Regular expression (RE2)"))
PROJECT_PARTS = (
    Option("0", "The whole name of the repository"),
    Option("1", "The first part: team"),
    Option("2", "The first 2 parts: team/app"),
    Option("3", "The first 3 parts: team/app/web"),
    Option("4", "The first 4 parts"),
)
EVENT_STATUSES = (
    Option("", "All"),
    Option("pending", "Pending"),
    Option("applied", "Applied"),
    Option("dropped", "Dropped"),
    Option("rejected", "Rejected"),
)
TAG_SORTS = (
    Option("name", "By name"),
    Option("pushed", "By push"),
    Option("size", "By size"),
    Option("pulled", "By last pull"),
    Option("pulls", "By pulls"),
)
SORT_ORDERS = (Option("asc", "Ascending"), Option("desc", "Descending"))
_PROTECTIONS = (
    Option("immutable", "Immutable"),
    Option("signable", "Immutable, signatures can be added"),
    Option("maintainer", "Protected, for Maintainers"),
)
_FOR_OWNERS = Option("owner", "Protected, for Owners")


def place_options(values: Iterable[str] | None, chosen: str | None, top: str = "") -> list[Option]:
    """Return the options of a select field for a path.

    Args:
        values: the paths to offer.
        chosen: the selected path; it is included even if it is no longer offered.
        top: label of the option for no path; empty to leave this option out.
    """
    paths = [value for value in values or () if value]
    if chosen and chosen not in paths:
        paths.insert(0, chosen)
    return ([Option("", top)] if top else []) + [Option(path, path) for path in paths]


def parent_options(values: Iterable[str], chosen: str | None, *, is_admin: bool) -> list[Option]:
    """Return the options for the namespace of a new project; administrators can choose none."""
    top = [Option("", "None: at the top")] if is_admin else []
    return place_options(values, chosen) + top


def protection_options(own_role: int) -> tuple[Option, ...]:
    """Return the kinds of protection that a member with this role can choose."""
    return (*_PROTECTIONS, _FOR_OWNERS) if own_role >= Role.OWNER else _PROTECTIONS


def role_options() -> list[Option]:
    """Return the roles that a member can have."""
    return [Option(role.name.lower(), role.label) for role in Role]


def token_options(tokens: Iterable[AccessToken]) -> list[Option]:
    """Return the credentials that a user can check: the account, or one of its access tokens."""
    own = [Option(str(token.id), f"access token “{token.name}”") for token in tokens]
    return [Option("", "no token, as the user"), *own]


@dataclass(frozen=True, slots=True)
class SortableColumn:
    """A column of a list: its sort key, its header, and the order that a first click gives."""

    key: str
    label: str
    first_order: str
    css_class: str = ""


TAG_COLUMNS = (
    SortableColumn("name", "Tag", "asc"),
    SortableColumn("size", "Platforms and size", "desc"),
    SortableColumn("pushed", "Pushed", "desc"),
    SortableColumn("pulls", "Pulls", "desc", "num"),
    SortableColumn("pulled", "Last pull", "desc"),
)


def next_order(current: str, first_order: str, *, is_sorted: bool) -> str:
    """Return the order that a click on a column's header gives.

    Args:
        current: the present order, ``asc`` or ``desc``.
        first_order: the order that a click gives if the list is sorted by another column.
        is_sorted: whether the list is sorted by this column.
    """
    if not is_sorted:
        return first_order
    return "desc" if current == "asc" else "asc"


def aria_sort(order: str) -> str:
    """Return the value of ``aria-sort`` for an order, ``asc`` or ``desc``."""
    return "ascending" if order == "asc" else "descending"


FILTERS = (aria_sort,)
HELPERS = (place_options, parent_options, protection_options, token_options, next_order)
CONSTANTS = {
    "VISIBILITIES": VISIBILITIES,
    "SCOPES": SCOPES,
    "PATTERN_KINDS": PATTERN_KINDS,
    "PROJECT_PARTS": PROJECT_PARTS,
    "EVENT_STATUSES": EVENT_STATUSES,
    "TAG_SORTS": TAG_SORTS,
    "SORT_ORDERS": SORT_ORDERS,
    "TAG_COLUMNS": TAG_COLUMNS,
}
