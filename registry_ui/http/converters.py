"""Converters that read names of the registry from a URL."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import BaseConverter, ValidationError

from .. import names


class NameConverter(BaseConverter):
    """A whole name with its slashes: a slash is a slash, never ``%2F``.

    ``/-/`` can't be part of one, so what follows it in a URL is unambiguous.
    """

    regex = names.NAME
    part_isolating = False

    def to_python(self, value: str) -> str:
        """Return a name that fits the grammar and the length."""
        try:
            return str(names.RepositoryName(value))
        except names.NameInvalid:
            raise ValidationError from None

    def to_url(self, value: str) -> str:
        """Names need no quoting."""
        return str(value)


class TagConverter(BaseConverter):
    """A tag."""

    regex = names.TAG


class DigestConverter(BaseConverter):
    """A whole digest."""

    regex = names.DIGEST


def init_app(app: Flask) -> None:
    """Register the converters."""
    app.url_map.converters["name"] = NameConverter
    app.url_map.converters["tag"] = TagConverter
    app.url_map.converters["digest"] = DigestConverter
