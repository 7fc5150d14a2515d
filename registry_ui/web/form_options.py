"""Options of select fields, radio buttons, and checkboxes, and columns of sortable lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..access import Role
from ..models import AccessToken


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a form field: its value, its label, and a hint that explains it, or ""."""

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
    """Return the options of a select field for the path of a namespace or project.

    Args:
        values: the paths to offer; None for none.
        chosen: the selected path, included even if ``values`` lacks it; None for no selection.
        top: label of the first option, which stands for no path; empty to leave it out.
    """
    paths = [value for value in values or () if value]
    if chosen and chosen not in paths:
        paths.insert(0, chosen)
    return ([Option("", top)] if top else []) + [Option(path, path) for path in paths]


def parent_options(values: Iterable[str], chosen: str | None, *, is_admin: bool) -> list[Option]:
    """Return the options for the namespace of a new project.

    Args:
        values: paths of the namespaces to offer.
        chosen: the selected path, or None.
        is_admin: whether the user is an administrator, who can create a project without a
            namespace; then the last option stands for no namespace.
    """
    top = [Option("", "None: at the top")] if is_admin else []
    return place_options(values, chosen) + top


def protection_options(own_role: int) -> tuple[Option, ...]:
    """Return the kinds of tag protection that a user can choose, given the number of their Role."""
    return (*_PROTECTIONS, _FOR_OWNERS) if own_role >= Role.OWNER else _PROTECTIONS


def role_options() -> list[Option]:
    """Return the options of the field that selects a member's role, one for each Role."""
    return [Option(role.name.lower(), role.label) for role in Role]


def token_options(tokens: Iterable[AccessToken]) -> list[Option]:
    """Return the credentials for an access check: the user's account, and each access token."""
    token_choices = [Option(str(token.id), f"access token “{token.name}”") for token in tokens]
    return [Option("", "no token, as the user"), *token_choices]


@dataclass(frozen=True, slots=True)
class SortableColumn:
    """A column by which a list can be sorted.

    Attributes:
        key: sort key in the query string.
        label: header of the column.
        first_order: order after the first click on the header, ``asc`` or ``desc``.
        css_class: CSS class of the cells, or "".
    """

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
    """Return the sort order, ``asc`` or ``desc``, after a click on a column header.

    Args:
        current: the present order of the list, ``asc`` or ``desc``.
        first_order: the order after a click if the list is not sorted by this column yet.
        is_sorted: whether the list is now sorted by this column.
    """
    if not is_sorted:
        return first_order
    return "desc" if current == "asc" else "asc"


def aria_sort(order: str) -> str:
    """Return the value of the HTML attribute ``aria-sort`` for the order ``asc`` or ``desc``."""
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
