"""URL converters for repository names, tags, and digests."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import BaseConverter, ValidationError

from .. import names


class NameConverter(BaseConverter):
    """URL converter for a repository name with its slashes, which are never written as ``%2F``.

    A name can't contain ``/-/``, so the rest of the URL after it is unambiguous.
    """

    regex = names.NAME
    part_isolating = False

    def to_python(self, value: str) -> str:
        """Return the name in a URL; raise ValidationError if it is invalid or too long."""
        try:
            return str(names.RepositoryName(value))
        except names.NameInvalid:
            raise ValidationError from None

    def to_url(self, value: str) -> str:
        """Return the name unchanged, because its characters need no quoting."""
        return str(value)


class TagConverter(BaseConverter):
    """URL converter for a tag."""

    regex = names.TAG


class DigestConverter(BaseConverter):
    """URL converter for a complete digest, with its algorithm."""

    regex = names.DIGEST


def init_app(app: Flask) -> None:
    """Register the converters for use in routes, as ``name``, ``tag``, and ``digest``."""
    app.url_map.converters["name"] = NameConverter
    app.url_map.converters["tag"] = TagConverter
    app.url_map.converters["digest"] = DigestConverter
