"""Filters and global functions of the templates. They use neither the database nor the registry.

Text from the registry is untrusted, so nothing here marks it as safe. The only markup that
Python code creates is the ``<time>`` element of ``ago``, whose parts are escaped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask_login import current_user

from ..access import Permission
from ..formatting import (
    ago,
    clock_time,
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
from ..tag_detail.view_models import Labeled
from . import addresses, charts, comparison_labels, form_options, labels, operation_labels, tabs


def collapse_folders(folder: Any) -> list[Any]:
    """Return the folders of an image tree to show on one line: a folder, then folders below it.

    A folder shares a line with its only subfolder if neither of them is an image, because a
    separate line for the upper folder would show nothing but its name.
    """
    folders = [folder]
    while (
        folders[-1].image is None
        and len(folders[-1].folders) == 1
        and folders[-1].folders[0].image is None
    ):
        folders.append(folders[-1].folders[0])
    return folders


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The first items of a list, and the number of items that remain."""

    shown: Sequence[Any]
    remaining: int


def excerpt(items: Iterable[Any] | None, limit: int) -> Excerpt:
    """Return at most ``limit`` items of a list, and the number of remaining items."""
    rows = list(items or ())
    return Excerpt(rows[:limit], max(0, len(rows) - limit))


def labeled_rows(pairs: Iterable[tuple[str, str]]) -> list[Labeled]:
    """Convert (key, value) pairs to rows of a table; the rows have no description of their key."""
    return [Labeled(key, value) for key, value in pairs]


def it_or_them(count: int) -> str:
    """Return the pronoun for a number of objects: ``it`` for 1, otherwise ``them``."""
    return "it" if count == 1 else "them"


def last_segment(path: str) -> str:
    """Return the last segment of a path: ``api`` for ``group/api``."""
    return path.rpartition("/")[2]


def parent_path(path: str) -> str:
    """Return a path without its last segment; empty if the path has only one segment."""
    return path.rpartition("/")[0]


def can_copy(permissions: Collection[Permission] | None) -> bool:
    """Return whether the visitor can copy tags: they must be signed in and permitted to pull."""
    return Permission.PULL in (permissions or ()) and current_user.is_authenticated


def can_choose(permissions: Collection[Permission] | None) -> bool:
    """Return whether a list of tags has checkboxes: the visitor can delete or copy tags."""
    return Permission.DELETE in (permissions or ()) or can_copy(permissions)


def typing_triggers(fields: Iterable[str]) -> str:
    """Return an htmx trigger that fires when the user stops typing in a field, given field ids."""
    return ", ".join(f"input changed delay:400ms from:#{name}" for name in fields)


FILTERS = (
    size,
    difference,
    number,
    pluralize,
    percent,
    short_digest,
    short_tag,
    ago,
    clock_time,
    format_detail,
    day_name,
    excerpt,
    labeled_rows,
    it_or_them,
    last_segment,
    parent_path,
    *charts.FILTERS,
    *comparison_labels.FILTERS,
    *form_options.FILTERS,
    *labels.FILTERS,
    *operation_labels.FILTERS,
)

HELPERS = (
    current_address,
    collapse_folders,
    can_copy,
    can_choose,
    typing_triggers,
    *addresses.HELPERS,
    *charts.HELPERS,
    *comparison_labels.HELPERS,
    *form_options.HELPERS,
    *operation_labels.HELPERS,
    *tabs.HELPERS,
)


def init_app(app: Flask) -> None:
    """Register the filters, tests, and global functions of the templates with Jinja."""
    environment = app.jinja_env
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    for function in FILTERS:
        environment.filters[function.__name__] = function
    for helper in HELPERS:
        environment.globals[helper.__name__] = helper
    environment.globals.update(form_options.CONSTANTS)
    environment.tests["web_link"] = is_web_link
    environment.tests["username"] = is_username
